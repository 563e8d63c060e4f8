package filter

import (
	"fmt"
	"net/netip"
	"strings"
)

// Explain says in words what an expression matches. It goes by the grammar
// alone: names are not looked up, and whether a link type has what the
// expression asks for shows only when it is compiled.
func Explain(expression string) (string, error) {
	tree, err := parse(expression)
	if err != nil {
		return "", err
	}
	if tree == nil {
		return "every packet\n", nil
	}
	var e explanation
	e.WriteString("every packet that\n")
	e.write(tree, 1, "")
	return e.String(), nil
}

// An explanation is an outline: a line for every primitive, deeper by one step
// in every group, with the word that joins it to the next line at its end.
type explanation struct{ strings.Builder }

// deepestIndent bounds the outline of a chain of thousands of alternating words,
// each of which is a group inside the next one.
const deepestIndent = 40

func (e *explanation) line(depth int, text, joint string) {
	e.WriteString(strings.Repeat("  ", min(depth, deepestIndent)) + text + joint + "\n")
}

func (e *explanation) write(n node, depth int, joint string) { e.writeSense(n, depth, joint, true) }

// writeSense writes what must hold for n to be true, or false.
func (e *explanation) writeSense(n node, depth int, joint string, sense bool) {
	switch n := n.(type) {
	case *group:
		e.writeSense(n.node, depth, joint, sense)
	case *negation:
		e.writeSense(n.term, depth, joint, !sense)
	case *chain:
		e.writeChain(n, depth, joint, sense)
	default:
		e.line(depth, phrase(n, sense), joint)
	}
}

// writeChain writes terms joined by the same word as one group. "And" and "or"
// bind alike: where the word changes, all to its left is the first of the next group.
func (e *explanation) writeChain(c *chain, depth int, joint string, sense bool) {
	last := len(c.rest) - 1
	or := c.rest[last].or
	from := last
	for from > 0 && c.rest[from-1].or == or {
		from--
	}
	terms := []node{c.first}
	if from > 0 {
		terms[0] = &chain{first: c.first, rest: c.rest[:from]}
	}
	for _, l := range c.rest[from:] {
		terms = append(terms, l.term)
	}
	// The outermost "and" needs no heading: it reads on from "every packet that".
	if depth > 1 || or || !sense {
		e.line(depth, heading(or, sense), "")
		depth++
	}
	for i, t := range terms {
		switch {
		case i == len(terms)-1:
			e.write(t, depth, joint)
		case or:
			e.write(t, depth, ", or")
		default:
			e.write(t, depth, ", and")
		}
	}
}

func heading(or, sense bool) string {
	switch {
	case or && sense:
		return "does at least one of these:"
	case or:
		return "does none of these:"
	case sense:
		return "does all of these:"
	}
	return "does not do all of these:"
}

// phrase returns a verb and what follows; all phrases begin with "is", "has" or "goes".
func phrase(n node, sense bool) string {
	var p string
	switch n := n.(type) {
	case *identifier:
		p = identifierPhrase(n)
	case *bareProtocol:
		p = "is " + protocolWords(n.proto)
	case *primitive:
		p = primitivePhrase(n)
	case *byteTest:
		p = byteTestPhrase(n)
	case *relation:
		p = fmt.Sprintf("has %s %s %s", numberWords(n.left, true), comparisonWords[n.op], numberWords(n.right, true))
	}
	if sense {
		return p
	}
	verb, rest, _ := strings.Cut(p, " ")
	switch verb {
	case "is":
		return "is not " + rest
	case "has":
		return "does not have " + rest
	}
	return "does not go " + rest
}

var directionWords = map[direction]string{
	dirDefault:   "source or destination",
	dirSrc:       "source",
	dirDst:       "destination",
	dirSrcOrDst:  "source or destination",
	dirSrcAndDst: "both source and destination",
	dirAddr1:     "first 802.11 address",
	dirAddr2:     "second 802.11 address",
	dirAddr3:     "third 802.11 address",
	dirAddr4:     "fourth 802.11 address",
	dirRA:        "802.11 receiver",
	dirTA:        "802.11 transmitter",
}

func identifierPhrase(i *identifier) string {
	as := " as " + directionWords[i.q.dir]
	switch i.q.typ {
	case typeNet:
		return "has an address in the network " + networkText(i) + as + addressScope(i)
	case typePort:
		return "has " + portCarrier(i.q.proto) + " port " + identifierText(i) + as
	case typePortRange:
		low, high, ok := strings.Cut(identifierText(i), "-")
		if !ok {
			return "has " + portCarrier(i.q.proto) + " port " + low + as
		}
		return "has a " + portCarrier(i.q.proto) + " port from " + low + " to " + high + as
	case typeProto:
		return protocolNumberPhrase(i)
	case typeProtoChain:
		return "has the protocol " + identifierText(i) + " somewhere in the chain of its " + chainCarrier(i.q.proto) +
			" headers"
	case typeGateway:
		return "goes through the gateway " + identifierText(i) +
			": it has the hardware address of that host, but not its IP address"
	}
	return "has " + hostWords(i) + as + addressScope(i)
}

func hostWords(i *identifier) string {
	switch {
	case i.kind == identEther:
		return "the hardware address " + identifierText(i)
	case i.kind == identName && i.q.proto == protoLink:
		return "the hardware address of " + identifierText(i)
	case i.kind == identName:
		return "an address of the host " + identifierText(i)
	case i.kind == identQuadLen, i.kind == identQuadMask, i.kind == identIPv6 && i.bits != 128:
		return "an address in the network " + networkText(i)
	}
	return "the address " + identifierText(i)
}

// addressScope says in which protocols an address is looked for, where that is
// not what one would expect.
func addressScope(i *identifier) string {
	switch i.q.proto {
	case protoDefault:
		switch {
		case i.kind == identIPv6, i.kind == identEther:
			return ""
		case i.kind == identName && i.q.typ != typeNet:
			return ", in IPv4, IPv6, ARP or RARP"
		}
		return ", in IPv4, ARP or RARP"
	case protoLink:
		return ""
	}
	return ", in " + protocolWords(i.q.proto)
}

func identifierText(i *identifier) string {
	if i.kind != identNumber {
		return i.text
	}
	switch i.q.typ {
	case typeDefault, typeHost:
		return netip.AddrFrom4([4]byte{byte(i.number >> 24), byte(i.number >> 16), byte(i.number >> 8),
			byte(i.number)}).String()
	}
	return fmt.Sprint(i.number)
}

func networkText(i *identifier) string {
	switch i.kind {
	case identQuadLen:
		return fmt.Sprintf("%s/%d", i.text, i.bits)
	case identIPv6:
		return fmt.Sprintf("%s/%d", i.text, i.bits)
	case identQuadMask:
		return i.text + " with the mask " + i.mask
	case identQuad:
		return fmt.Sprintf("%s/%d", i.text, 8*(strings.Count(i.text, ".")+1))
	}
	return identifierText(i)
}

func portCarrier(p protocol) string {
	switch p {
	case protoTCP, protoUDP, protoSCTP:
		return protocolWords(p)
	case protoIP, protoIPv6:
		return protocolWords(p) + " TCP, UDP or SCTP"
	}
	return "TCP, UDP or SCTP"
}

func chainCarrier(p protocol) string {
	if p == protoDefault {
		return "IPv4 or IPv6"
	}
	return protocolWords(p)
}

func protocolNumberPhrase(i *identifier) string {
	number := identifierText(i)
	switch i.q.proto {
	case protoDefault:
		return "is IPv4 or IPv6 with the protocol " + number
	case protoLink:
		if i.kind == identNumber {
			number = fmt.Sprintf("%#04x", i.number)
		}
		return "has the link-layer protocol " + number
	}
	return "is " + protocolWords(i.q.proto) + " with the protocol " + number
}

// protocolWords returns the names people use where they differ from the keyword in more than case.
func protocolWords(p protocol) string {
	switch p {
	case protoLink:
		return "a frame"
	case protoIP:
		return "IPv4"
	case protoIPv6:
		return "IPv6"
	case protoICMPv6:
		return "ICMPv6"
	case protoATalk:
		return "AppleTalk"
	case protoDECnet:
		return "DECnet"
	case protoNetBEUI:
		return "NetBEUI"
	case protoISISL1:
		return "IS-IS level 1"
	case protoISISL2:
		return "IS-IS level 2"
	case protoISISIIH:
		return "an IS-IS hello"
	case protoISISLSP, protoISISSNP, protoISISCSNP, protoISISPSNP:
		return "IS-IS " + strings.ToUpper(p.String())
	case protoISIS:
		return "IS-IS"
	case protoESIS:
		return "ES-IS"
	case protoRadio:
		return "the radio header"
	}
	return strings.ToUpper(p.String())
}

func primitivePhrase(n *primitive) string {
	with := func(what, label string) string {
		if n.hasNumber {
			return fmt.Sprintf("has %s with the %s %d; all that follows is looked for after it", what, label, n.number)
		}
		return "has " + what + "; all that follows is looked for after it"
	}
	switch n.kind {
	case primBroadcast, primMulticast:
		layer := "a link-layer"
		if n.proto == protoIP || n.proto == protoIPv6 {
			layer = "an " + protocolWords(n.proto)
		}
		return fmt.Sprintf("is %s %s", layer, n.kind)
	case primLess:
		return fmt.Sprintf("has at most %d bytes", n.number)
	case primGreater:
		return fmt.Sprintf("has at least %d bytes", n.number)
	case primInbound:
		return "is received by this host"
	case primOutbound:
		return "is sent by this host"
	case primIfindex:
		return fmt.Sprintf("is captured on the interface with the index %d", n.number)
	case primVLAN:
		return with("a VLAN tag", "number")
	case primMPLS:
		return with("an MPLS label", "value")
	case primPPPoED:
		return "is PPPoE discovery"
	case primPPPoES:
		return with("a PPPoE session header", "session")
	case primGeneve:
		return with("a Geneve header", "network")
	case primVXLAN:
		return with("a VXLAN header", "network")
	case primWLANType:
		return "is an 802.11 frame of type " + tokenTexts(n.names, ", subtype ")
	case primWLANSubtype:
		return "is an 802.11 frame of subtype " + tokenTexts(n.names, "")
	case primWLANDir:
		return "is an 802.11 frame in the direction " + tokenTexts(n.names, "")
	case primLLC:
		if len(n.names) > 0 {
			return "is an 802.2 frame of type " + tokenTexts(n.names, "")
		}
	}
	return "is an 802.2 frame"
}

func tokenTexts(tokens []token, separator string) string {
	var texts []string
	for _, t := range tokens {
		texts = append(texts, t.text)
	}
	return strings.Join(texts, separator)
}

func byteTestPhrase(b *byteTest) string {
	at := fmt.Sprintf("has byte %d of the link layer ", b.index)
	switch b.op {
	case tokenAmp:
		return fmt.Sprintf("%s& %d not equal to 0", at, b.value)
	case tokenBar:
		return fmt.Sprintf("%s| %d not equal to 0", at, b.value)
	}
	return fmt.Sprintf("%s%s %d", at, comparisonWords[b.op], b.value)
}

var comparisonWords = map[tokenKind]string{
	tokenEQ: "equal to",
	tokenNE: "not equal to",
	tokenLT: "less than",
	tokenLE: "at most",
	tokenGT: "greater than",
	tokenGE: "at least",
}

var operatorWords = map[tokenKind]string{
	tokenPlus: "+", tokenMinus: "-", tokenStar: "*", tokenSlash: "/", tokenPercent: "%", tokenCaret: "^",
	tokenAmp: "&", tokenBar: "|", tokenLsh: "<<", tokenRsh: ">>",
}

// numberWords writes arithmetic as it is calculated: every operation inside
// another one in parentheses.
func numberWords(n number, outermost bool) string {
	switch n := n.(type) {
	case *constant:
		return fmt.Sprint(n.value)
	case *packetLength:
		return "the length of the packet"
	case *negative:
		return "-" + numberWords(n.operand, false)
	case *packetData:
		return packetDataWords(n)
	case *operation:
		s := numberWords(n.left, false) + " " + operatorWords[n.op] + " " + numberWords(n.right, false)
		if outermost {
			return s
		}
		return "(" + s + ")"
	}
	return "?"
}

// field is a place in a header that has a name.
type field struct {
	proto        protocol
	offset, size uint32
}

var fieldNames = map[field]string{
	{protoIP, 1, 1}:     "the type of service",
	{protoIP, 2, 2}:     "the IPv4 packet length",
	{protoIP, 4, 2}:     "the IPv4 identification",
	{protoIP, 6, 2}:     "the IPv4 flags and fragment offset",
	{protoIP, 8, 1}:     "the time to live",
	{protoIP, 9, 1}:     "the IPv4 protocol",
	{protoIP, 12, 4}:    "the IPv4 source",
	{protoIP, 16, 4}:    "the IPv4 destination",
	{protoIPv6, 4, 2}:   "the IPv6 payload length",
	{protoIPv6, 6, 1}:   "the IPv6 next header",
	{protoIPv6, 7, 1}:   "the hop limit",
	{protoTCP, 0, 2}:    "the TCP source port",
	{protoTCP, 2, 2}:    "the TCP destination port",
	{protoTCP, 4, 4}:    "the TCP sequence number",
	{protoTCP, 8, 4}:    "the TCP acknowledgement number",
	{protoTCP, 13, 1}:   "the TCP flags",
	{protoTCP, 14, 2}:   "the TCP window",
	{protoUDP, 0, 2}:    "the UDP source port",
	{protoUDP, 2, 2}:    "the UDP destination port",
	{protoUDP, 4, 2}:    "the UDP length",
	{protoICMP, 0, 1}:   "the ICMP type",
	{protoICMP, 1, 1}:   "the ICMP code",
	{protoICMPv6, 0, 1}: "the ICMPv6 type",
	{protoICMPv6, 1, 1}: "the ICMPv6 code",
	{protoLink, 12, 2}:  "the Ethernet type",
	{protoARP, 6, 2}:    "the ARP operation",
}

func packetDataWords(d *packetData) string {
	where := "at " + numberWords(d.offset, true)
	if c, ok := d.offset.(*constant); ok {
		if name, ok := fieldNames[field{d.proto, c.value, d.size}]; ok {
			return name
		}
	}
	what := "the byte"
	if d.size > 1 {
		what = fmt.Sprintf("the %d bytes", d.size)
	}
	header := protocolWords(d.proto) + " header"
	switch d.proto {
	case protoLink:
		header = "frame"
	case protoRadio:
		header = "radio header"
	}
	return fmt.Sprintf("%s %s of the %s", what, where, header)
}
