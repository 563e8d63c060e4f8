package filter

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Candidate is a word that can stand at the cursor, and what it means.
type Candidate struct {
	Text string
	Help string
}

// Complete gives the words that can stand at the cursor (a byte offset), in
// place of the part of a word that is before it. addresses are those the caller
// has to offer, such as the ones of this host; they are offered where an address
// can stand. What can stand is for the parser to say: a word fits if the
// expression up to it is complete, or fails only by ending there. start is where
// the part of a word begins.
func Complete(expression string, cursor int, addresses []Candidate) (start int, fitting []Candidate) {
	before := expression[:min(max(cursor, 0), len(expression))]
	start = len(before)
	for start > 0 && isWordPart(before[start-1]) {
		start--
	}
	before, part := before[:start], before[start:]
	for _, c := range slices.Concat(vocabulary, addresses) {
		if strings.HasPrefix(c.Text, part) && fits(before, c.Text) {
			fitting = append(fitting, c)
		}
	}
	return start, fitting
}

// isWordPart tells the bytes of words, addresses and escaped names.
func isWordPart(c byte) bool {
	return isAlnum(c) || c >= utf8.RuneSelf || c == '-' || c == '_' || c == '.' || c == ':' || c == '/' || c == '\\'
}

func fits(before, word string) bool {
	text := before + word
	p := &parser{expression: text, tokens: lex(text)}
	if _, err := p.parseAll(); err != nil && err.Position < len(text) {
		return false
	}
	if _, number := namedNumber(word); number {
		return calculates(p.tokens[:len(p.tokens)-2])
	}
	if keywordStands(word) {
		return true
	}
	// A name or an address fits grammatically wherever an identifier does. It makes
	// sense only where the qualifiers ask for an address.
	if len(p.done) == 0 {
		return false
	}
	last, ok := p.done[len(p.done)-1].(*identifier)
	return ok && last.pos == len(before) &&
		(last.q.typ == typeDefault || last.q.typ == typeHost || last.q.typ == typeNet)
}

// calculates reports whether the tokens end where arithmetic wants a number, rather than where a
// number would be an address or a port.
func calculates(tokens []token) bool {
	for len(tokens) > 0 && tokens[len(tokens)-1].kind == tokenOpen {
		tokens = tokens[:len(tokens)-1]
	}
	if len(tokens) == 0 {
		return false
	}
	last := tokens[len(tokens)-1].kind
	return last == tokenOpenIndex || comparisonWords[last] != "" || operatorWords[last] != ""
}

// keywordStands tells the words of the vocabulary from names and addresses.
func keywordStands(word string) bool {
	first, _, _ := strings.Cut(word, " ")
	return keyword(first).kind != tokenName
}

// vocabulary is what an engineer is likely to want, in the order of likelihood.
// Words of link types that are rare here are understood, but not offered.
var vocabulary = []Candidate{
	{"host", "an address or name as source or destination"},
	{"net", "a network: 192.0.2.0/24"},
	{"port", "a TCP, UDP or SCTP port, number or name"},
	{"portrange", "a range of ports: 6000-6010"},
	{"src", "only as source"},
	{"dst", "only as destination"},
	{"src or dst", "as source or destination, as without it"},
	{"src and dst", "as both source and destination"},
	{"and", "both sides match"},
	{"or", "one side matches; binds like and, from left to right"},
	{"not", "what follows does not match"},
	{"ip", "IPv4"},
	{"ip6", "IPv6"},
	{"tcp", "TCP over IPv4 or IPv6; tcp[13] is a byte of its header"},
	{"udp", "UDP over IPv4 or IPv6"},
	{"icmp", "ICMP over IPv4"},
	{"icmp6", "ICMP over IPv6"},
	{"arp", "address resolution"},
	{"rarp", "reverse address resolution"},
	{"sctp", "SCTP over IPv4 or IPv6"},
	{"igmp", "multicast membership over IPv4"},
	{"esp", "IPsec encrypted payload"},
	{"ah", "IPsec authentication header"},
	{"pim", "multicast routing"},
	{"vrrp", "virtual router redundancy"},
	{"carp", "virtual addresses of OpenBSD"},
	{"proto", "a protocol over IP, number or name: proto \\tcp"},
	{"protochain", "a protocol anywhere in the chain of headers; only in user space"},
	{"ether", "the link layer: ether host 00:11:22:33:44:55"},
	{"broadcast", "sent to everybody on the link"},
	{"multicast", "sent to a group on the link"},
	{"vlan", "a VLAN tag, with a number if given; what follows is looked for after it"},
	{"mpls", "an MPLS label; what follows is looked for after it"},
	{"pppoed", "PPPoE discovery"},
	{"pppoes", "a PPPoE session; what follows is looked for in it"},
	{"geneve", "a Geneve tunnel; what follows is looked for in it"},
	{"vxlan", "a VXLAN tunnel; what follows is looked for in it"},
	{"gateway", "packets that a host forwards"},
	{"less", "at most that many bytes"},
	{"greater", "at least that many bytes"},
	{"len", "the length of the packet: len > 1000"},
	{"inbound", "received by this host"},
	{"outbound", "sent by this host"},
	{"ifindex", "captured on the interface with this index"},
	{"byte", "a byte of the packet: byte 23 = 6"},
	{"llc", "802.2 frames, of a type if given"},
	{"stp", "spanning tree"},
	{"isis", "IS-IS routing"},
	{"type", "802.11 frames of a type: mgt, ctl, data"},
	{"subtype", "802.11 frames of a subtype: beacon, qos-data"},
	{"dir", "802.11 frames in a direction: tods, fromds"},
	{"mask", "a netmask after a network: net 192.0.2.0 mask 255.255.255.0"},
	{"tcpflags", "the place of the flags in TCP: tcp[tcpflags]"},
	{"tcp-syn", "a flag of TCP: tcp[tcpflags] & tcp-syn != 0"},
	{"tcp-ack", "a flag of TCP"},
	{"tcp-fin", "a flag of TCP"},
	{"tcp-rst", "a flag of TCP"},
	{"tcp-push", "a flag of TCP"},
	{"icmptype", "the place of the type in ICMP: icmp[icmptype]"},
	{"icmp-echo", "a type of ICMP: icmp[icmptype] = icmp-echo"},
	{"icmp-echoreply", "a type of ICMP"},
	{"icmp-unreach", "a type of ICMP"},
}
