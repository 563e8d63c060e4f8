package filter

import (
	endian "encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
)

// A chooser makes random expressions and random packets. Both draw addresses,
// ports and the like from the same few, or nothing would ever match.
type chooser struct{ *rand.Rand }

func newChooser(seed uint64) chooser {
	return chooser{rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15))}
}

func pick[V any](g chooser, values ...V) V { return values[g.IntN(len(values))] }

// chance is true once in n times.
func (g chooser) chance(n int) bool { return g.IntN(n) == 0 }

var (
	generatedIPv4 = []string{
		"192.0.2.10", "192.0.2.20", "192.0.2.255", "198.51.100.7", "10.0.0.1", "10.1.2.3", "172.16.5.4",
		"192.168.1.1", "224.0.0.5", "239.1.2.3", "255.255.255.255", "0.0.0.0", "127.0.0.1",
	}
	generatedIPv6 = []string{"2001:db8::1", "2001:db8::10", "2001:db8::20", "2001:db8:1::7", "fe80::1", "::1",
		"ff02::1", "ff02::1:ff00:10"}
	generatedPorts = []uint16{0, 20, 22, 53, 67, 80, 443, 1023, 1024, 4789, 6081, 8080, 65535}
	generatedMACs  = []mac{
		{2, 0, 0, 0, 0, 0x0a}, {2, 0, 0, 0, 0, 0x14}, {0, 0x11, 0x22, 0x33, 0x44, 0x55},
		{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, {1, 0, 0x5e, 0, 0, 5}, {0x33, 0x33, 0, 0, 0, 1}, {1, 0x80, 0xc2, 0, 0, 0},
	}
	generatedTags = []int{0, 1, 10, 20, 100, 4095}
)

func (g chooser) ipv4() string { return pick(g, generatedIPv4...) }
func (g chooser) ipv6() string { return pick(g, generatedIPv6...) }

func (g chooser) mac() string {
	m := pick(g, generatedMACs...)
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

func (g chooser) port() int { return int(pick(g, generatedPorts...)) }
func (g chooser) tag() int  { return pick(g, generatedTags...) }

// expression makes an expression; most are valid.
func (g chooser) expression(link LinkType) string {
	e := g.logical(link, 1+g.IntN(4))
	if g.chance(12) {
		e = g.damaged(e)
	}
	return e
}

// damaged takes a word away, doubles it or puts it elsewhere.
func (g chooser) damaged(e string) string {
	words := strings.Fields(e)
	i := g.IntN(len(words))
	switch g.IntN(3) {
	case 0:
		words = append(words[:i], words[i+1:]...)
	case 1:
		words = append(words[:i+1], words[i:]...)
	default:
		j := g.IntN(len(words))
		words[i], words[j] = words[j], words[i]
	}
	return strings.Join(words, " ")
}

func (g chooser) logical(link LinkType, depth int) string {
	if depth == 0 {
		return g.primitive(link)
	}
	left, right := g.logical(link, depth-1), g.logical(link, g.IntN(depth))
	switch g.IntN(9) {
	case 0:
		return pick(g, "not ", "! ") + g.primitive(link)
	case 1:
		return "not ( " + left + " )"
	case 2:
		return "( " + left + " ) " + g.connective() + " " + right
	case 3:
		return left + " " + g.connective() + " ( " + right + " )"
	case 4:
		return g.inherited()
	case 5:
		return left
	case 6:
		return g.related() + " " + g.connective() + " " + right
	}
	return left + " " + g.connective() + " " + right
}

func (g chooser) connective() string { return pick(g, "and", "or", "or", "&&", "||") }

// related makes two or three primitives about the same value. What one of them
// says about another is where an optimiser can go wrong.
func (g chooser) related() string {
	value := pick(g, "host "+g.ipv4(), "host "+g.ipv6(), "net 2001:db8::/125", "net 192.0.2.8/29", "net fe80::/10",
		fmt.Sprintf("port %d", g.port()), fmt.Sprintf("portrange %d-%d", g.port(), g.port()))
	e := g.direction() + value
	for range 1 + g.IntN(2) {
		e += " " + pick(g, "and", "or", "and not", "or not") + " " + g.direction() + value
	}
	return "( " + e + " )"
}

// anyProtocol returns a qualifier that goes with what follows only by chance.
func (g chooser) anyProtocol() string {
	return pick(g, "ip ", "ip6 ", "arp ", "rarp ", "tcp ", "udp ", "sctp ", "icmp ", "ether ")
}

// hostQualifiers, like portQualifiers, mostly fit.
func (g chooser) hostQualifiers(fitting ...string) string {
	if g.chance(30) {
		return g.anyProtocol() + g.direction()
	}
	return pick(g, "", "", pick(g, fitting...)) + g.direction()
}

func (g chooser) portQualifiers() string {
	if g.chance(30) {
		return g.anyProtocol() + g.direction()
	}
	return pick(g, "", "", "tcp ", "udp ", "sctp ") + g.direction()
}

func (g chooser) host() string {
	if g.chance(3) {
		return g.hostQualifiers("ip6 ") + "host " + g.ipv6()
	}
	return g.hostQualifiers("ip ", "arp ", "rarp ") + "host " + g.ipv4()
}

func (g chooser) direction() string {
	return pick(g, "", "", "", "src ", "dst ", "src or dst ", "src and dst ")
}

// inherited makes a primitive and values that take its qualifiers.
func (g chooser) inherited() string {
	value := func() string { return fmt.Sprint(g.port()) }
	e := g.portQualifiers() + "port "
	if g.chance(2) {
		value = g.ipv4
		e = g.hostQualifiers("ip ", "arp ") + "host "
	}
	if g.chance(2) {
		return e + "( " + value() + " or " + value() + " )"
	}
	e += value()
	for range 1 + g.IntN(3) {
		e += " " + pick(g, "or", "or", "or", "and") + " " + pick(g, "", "", "", "not ") + value()
	}
	return e
}

func (g chooser) primitive(link LinkType) string {
	switch g.IntN(20) {
	case 0, 1, 2:
		return g.host()
	case 3, 4:
		return g.network()
	case 5, 6:
		return g.portQualifiers() + "port " + fmt.Sprint(g.port())
	case 7:
		return g.portQualifiers() + fmt.Sprintf("portrange %d-%d", g.port(), g.port())
	case 8, 9:
		return pick(g, "ip", "ip6", "arp", "rarp", "tcp", "udp", "sctp", "icmp", "icmp6", "igmp", "igrp", "pim",
			"vrrp", "carp",
			"ah", "esp", "stp", "ipx", "iso", "clnp", "esis", "isis", "netbeui", "atalk", "aarp", "decnet", "lat",
			"moprc", "mopdl", "l1", "csnp")
	case 10:
		if !hasAddresses(link) && !g.chance(6) {
			return g.host()
		}
		return "ether " + pick(g, "host ", "src ", "dst ", "src host ", "dst host ") + g.mac()
	case 11:
		return pick(g,
			fmt.Sprintf("ether proto %#x", pick(g, 0x800, 0x86dd, 0x806, 0x8100, 0x88cc, 0x42, 0xe0, 0xfe, 1500, 1501)),
			fmt.Sprintf("ip proto %d", pick(g, 1, 2, 6, 17, 47, 50, 132)),
			fmt.Sprintf("ip6 proto %d", pick(g, 0, 6, 17, 44, 58)),
			fmt.Sprintf("proto %d", pick(g, 6, 17, 58, 89)),
			"ip proto \\tcp", "ether proto \\arp", "proto \\udp", "ether proto \\ip6",
			fmt.Sprintf("%sprotochain %d", pick(g, "", "ip ", "ip6 "), pick(g, 6, 17, 58)))
	case 12:
		if !hasAddresses(link) && !g.chance(6) {
			return "ip " + pick(g, "broadcast", "multicast")
		}
		return pick(g, "", "ether ", "ip ", "ip6 ") + pick(g, "broadcast", "multicast")
	case 13:
		return pick(g, "less", "greater") + fmt.Sprintf(" %d", pick(g, 0, 60, 100, 1000, 2000, 70000))
	case 14:
		return g.encapsulation()
	case 15:
		return g.linkPrimitive(link)
	}
	return g.relation()
}

func (g chooser) network() string {
	if g.chance(3) {
		return g.hostQualifiers("ip6 ") + "net " + pick(g, "2001:db8::/32", "fe80::/10", "2001:db8::10/128", "::/0",
			"2001:db8:1::/48")
	}
	return g.hostQualifiers("ip ", "arp ") + "net " + pick(g,
		"192.0.2", "10", "172.16", "192.0.2.0/24", "10.0.0.0/8", "192.0.2.8/29", "0.0.0.0/0", "192.0.2.10",
		"192.168.0.0 mask 255.255.0.0", "224.0.0.0/4", "10.0.0.1/8")
}

func (g chooser) encapsulation() string {
	return pick(g, "vlan", "vlan", fmt.Sprintf("vlan %d", g.tag()), fmt.Sprintf("vlan %d", g.tag()),
		"mpls", fmt.Sprintf("mpls %d", g.tag()), "pppoed", "pppoes", fmt.Sprintf("pppoes %d", g.tag()),
		"geneve", fmt.Sprintf("geneve %d", g.tag()))
}

// hasAddresses tells the link types that have hardware addresses to filter on.
func hasAddresses(link LinkType) bool {
	return link == EN10MB || link == IEEE80211 || link == IEEE80211Radio
}

// linkPrimitive makes what only some link types have.
func (g chooser) linkPrimitive(link LinkType) string {
	if (link == IEEE80211 || link == IEEE80211Radio) && !g.chance(4) {
		return pick(g, "type mgt", "type data", "type ctl", "subtype beacon", "type mgt subtype probe-req",
			"subtype qos-data",
			"dir fromds", "dir tods", "dir nods", "wlan addr1 "+g.mac(), "wlan ra "+g.mac(), "wlan host "+g.mac(),
			"wlan addr3 "+g.mac())
	}
	return pick(g, "inbound", "outbound", fmt.Sprintf("ifindex %d", g.IntN(4)),
		fmt.Sprintf("byte %d %s %d", g.IntN(40), pick(g, "=", "<", ">"), g.IntN(256)), "llc", "llc i", "llc u",
		"llc ui", "llc rr")
}

// relation compares two arithmetic expressions.
func (g chooser) relation() string {
	return g.arithmetic(2) + " " + pick(g, "=", "==", "!=", "<", ">", "<=", ">=") + " " + g.arithmetic(1)
}

// arithmetic takes care that no packet makes a divisor 0: a division by zero rejects the packet,
// and like a load after its end it may be optimised away. So divisions stand in parentheses, lest
// "%", which takes all to its right, makes a divisor of them.
func (g chooser) arithmetic(depth int) string {
	if depth == 0 {
		return g.operand()
	}
	switch g.IntN(6) {
	case 0:
		operator, right := g.operator(), g.arithmetic(depth-1)
		if divides(operator) {
			right = "( " + right + " | 1 )"
		}
		return "( " + g.arithmetic(depth-1) + " " + operator + " " + right + " )"
	case 1:
		operator := g.operator()
		e := g.arithmetic(depth-1) + " " + operator + " " + fmt.Sprint(g.number())
		if divides(operator) {
			return "( " + e + " )"
		}
		return e
	case 2:
		return "- " + g.operand()
	}
	return g.operand()
}

func divides(operator string) bool { return operator == "/" || operator == "%" }

func (g chooser) operator() string {
	return pick(g, "+", "-", "*", "/", "%", "&", "&", "|", "^", "<<", ">>")
}

func (g chooser) number() int {
	return pick(g, 0, 1, 2, 4, 5, 6, 13, 16, 17, 0x0f, 0x1fff, 0x40, 20, 80, 443, 255, 256, 0x800, 65535, 0x7fffffff,
		0xffffffff)
}

func (g chooser) operand() string {
	switch g.IntN(8) {
	case 0:
		return fmt.Sprint(g.number())
	case 1:
		return "len"
	case 2:
		return "tcp[tcpflags]"
	case 3:
		return pick(g, "tcp-syn", "tcp-ack", "icmp-echo", "icmp6-echo")
	}
	header := pick(g, "ether", "link", "ip", "ip", "ip", "ip6", "ip6", "arp", "tcp", "tcp", "tcp", "udp", "udp", "icmp",
		"icmp6", "igmp", "sctp")
	if g.chance(40) {
		header = "radio"
	}
	offset := fmt.Sprint(g.IntN(24))
	if g.chance(6) {
		offset = pick(g, "(ip[0] & 0xf) << 2", "(tcp[12] & 0xf0) >> 2", "2 + 2", "ip[9]", "udp[5] - 8 & 0xff")
	}
	return header + "[" + offset + pick(g, "", "", "", ":1", ":2", ":4") + "]"
}

// packet makes a frame of the link type.
func (g chooser) packet(link LinkType) []byte {
	switch link {
	case EN10MB:
		return g.etherFrame()
	case IPv4:
		return g.ipv4Packet()
	case IPv6:
		return g.ipv6Packet()
	}
	etherType, payload := g.network3()
	switch link {
	case Raw:
		if etherType != 0x86dd {
			return g.ipv4Packet()
		}
		return payload
	case LinuxSLL:
		b := []byte{0, byte(g.IntN(5)), 0, 1, 0, 6}
		b = append(b, g.macBytes()...)
		return append(endian.BigEndian.AppendUint16(append(b, 0, 0), etherType), payload...)
	case LinuxSLL2:
		b := append(endian.BigEndian.AppendUint16(nil, etherType), 0, 0, 0, 0, 0, byte(g.IntN(4)), 0, 1,
			byte(g.IntN(5)), 6)
		return append(append(append(b, g.macBytes()...), 0, 0), payload...)
	case Null, Loop:
		b := make([]byte, 4)
		family := map[uint16]uint32{0x0800: 2, 0x86dd: pick[uint32](g, 10, 24, 28, 30)}[etherType]
		if link == Null {
			endian.LittleEndian.PutUint32(b, family)
		} else {
			endian.BigEndian.PutUint32(b, family)
		}
		return append(b, payload...)
	case PPP:
		protocol := map[uint16]uint16{0x0800: 0x21, 0x86dd: 0x57, 0x8847: 0x281}[etherType]
		return append(endian.BigEndian.AppendUint16([]byte{0xff, 3}, protocol), payload...)
	case IEEE80211:
		return g.wlanFrame(etherType, payload)
	case IEEE80211Radio:
		length := pick(g, 8, 12, 24)
		header := make([]byte, length)
		endian.LittleEndian.PutUint16(header[2:], uint16(length))
		if length > 8 {
			header[4] = 2 // only the flags follow
			header[8] = byte(pick(g, 0, 0, 0x20, 0x10))
		}
		return append(header, g.wlanFrame(etherType, payload)...)
	}
	panic("no packets of this link type")
}

func (g chooser) macBytes() []byte {
	m := pick(g, generatedMACs...)
	return m[:]
}

func (g chooser) etherFrame() []byte {
	etherType, payload := g.network3()
	for range pick(g, 0, 0, 0, 1, 1, 2) {
		payload = vlanTag(uint16(g.tag()|g.IntN(8)<<13), etherType, payload)
		etherType = pick[uint16](g, 0x8100, 0x8100, 0x88a8, 0x9100)
	}
	if g.chance(12) {
		sap := pick(g, []byte{0x42, 0x42, 3}, []byte{0xe0, 0xe0, 3}, []byte{0xfe, 0xfe, 3, 0x83, 0x1b, 1, 0, 16},
			[]byte{0xff, 0xff, 0},
			[]byte{0xf0, 0xf0, 0x3f}, []byte{0xaa, 0xaa, 3, 0, 0, 0, 0x81, 0x37}, []byte{6, 6, 1, 0},
			[]byte{0xaa, 0xaa, 3, 8, 0, 7, 0x80, 0x9b})
		payload = append(append([]byte{}, sap...), make([]byte, 40)...)
		etherType = uint16(len(payload))
	}
	return ethernet(pick(g, generatedMACs...), pick(g, generatedMACs...), etherType, payload)
}

// network3 makes the payload of a link layer, and its Ethernet type.
func (g chooser) network3() (uint16, []byte) {
	switch g.IntN(16) {
	case 0, 1:
		v4 := func() netip.Addr { return netip.MustParseAddr(g.ipv4()) }
		return pick[uint16](g, 0x0806, 0x0806, 0x8035),
			arpPacket(uint16(1+g.IntN(4)), pick(g, generatedMACs...), pick(g, generatedMACs...), v4(), v4())
	case 2, 3, 4, 5, 6:
		return 0x86dd, g.ipv6Packet()
	case 7:
		var labels []byte
		for depth := 1 + g.IntN(3); depth > 0; depth-- {
			label := uint32(g.tag())<<12 | 64
			if depth == 1 {
				label |= 0x100
			}
			labels = endian.BigEndian.AppendUint32(labels, label)
		}
		return 0x8847, append(labels, pick(g, g.ipv4Packet(), g.ipv6Packet())...)
	case 8:
		protocol, payload := uint16(0x21), g.ipv4Packet()
		if g.chance(3) {
			protocol, payload = 0x57, g.ipv6Packet()
		}
		b := endian.BigEndian.AppendUint16([]byte{0x11, 0}, uint16(g.tag()))
		b = endian.BigEndian.AppendUint16(b, uint16(len(payload)+2))
		return 0x8864, append(endian.BigEndian.AppendUint16(b, protocol), payload...)
	case 9:
		return pick[uint16](g, 0x8863, 0x88cc, 0x6003, 0x6004, 0x6001, 0x6002, 0x809b, 0x80f3,
			0x8137), append([]byte{byte(g.IntN(256)), 0x42}, make([]byte, 44)...)
	}
	return 0x0800, g.ipv4Packet()
}

func (g chooser) ipv4Packet() []byte {
	protocol := pick[uint8](g, 6, 6, 6, 17, 17, 17, 132, 1, 2, 47, 50, 51, 9, 103, 112)
	payload := g.transportPayload(protocol, 6)
	fragment := pick[uint16](g, 0, 0, 0, 0x4000, 0x2000, 0x2007, 0x00b9)
	var options []byte
	if g.chance(5) {
		options = []byte{1, 1, 1, 0}
	}
	return ipv4Packet(netip.MustParseAddr(g.ipv4()), netip.MustParseAddr(g.ipv4()), protocol, fragment,
		options, payload)
}

func (g chooser) ipv6Packet() []byte {
	next := pick[uint8](g, 6, 6, 17, 17, 132, 58, 58, 50, 51)
	payload := g.transportPayload(next, 6)
	for range pick(g, 0, 0, 0, 1, 2) {
		extension := make([]byte, 8)
		extension[0] = next
		payload, next = append(extension, payload...), pick[uint8](g, 0, 43, 44, 60)
	}
	return ipv6Packet(netip.MustParseAddr(g.ipv6()), netip.MustParseAddr(g.ipv6()), next, payload)
}

func (g chooser) transportPayload(protocol, inAuthentication uint8) []byte {
	body := make([]byte, g.IntN(40))
	if protocol == 51 {
		header := make([]byte, 24)
		header[0], header[1] = inAuthentication, 4
		return append(header, g.transportPayload(inAuthentication, 6)...)
	}
	source, destination := pick(g, generatedPorts...), pick(g, generatedPorts...)
	if protocol == 17 && g.chance(4) {
		inner := ethernet(generatedMACs[0], generatedMACs[1], 0x0800,
			ipv4Packet(netip.MustParseAddr(g.ipv4()), netip.MustParseAddr(g.ipv4()), 6, 0, nil,
				transport(6, source, 80, 2, body)))
		body = append([]byte{0, 0, 0x65, 0x58, 0, 0, byte(g.tag()), 0}, inner...)
		destination = 6081
	}
	return transport(protocol, source, destination, byte(g.IntN(64)), body)
}

// wlanFrame makes an 802.11 frame: data with a payload, or management and control.
func (g chooser) wlanFrame(etherType uint16, payload []byte) []byte {
	b := []byte{byte(g.IntN(256)) &^ 3, byte(g.IntN(4)), 0, 0}
	if !g.chance(3) {
		b[0] = pick[byte](g, 0x08, 0x88)
	}
	b = append(append(append(b, g.macBytes()...), g.macBytes()...), g.macBytes()...)
	b = append(b, 0x10, 0)
	if b[0]&0x8c == 0x88 {
		b = append(b, 0, 0)
	}
	b = append(b, 0xaa, 0xaa, 3, 0, 0, 0)
	return append(endian.BigEndian.AppendUint16(b, etherType), payload...)
}

// kernelMetadata makes up what a kernel would know about the packet.
func (g chooser) kernelMetadata(p corpusPacket) Metadata {
	m := p.meta
	m.Kernel = true
	m.VLANPresent = g.chance(2)
	if m.VLANPresent {
		m.VLANTCI = uint16(g.tag() | g.IntN(8)<<13)
	}
	m.PacketType, m.Interface = uint8(g.IntN(5)), uint32(g.IntN(4))
	m.Protocol = endian.BigEndian.Uint16(p.data[12:])
	return m
}

// hexDump shows the beginning of a packet, which is all that filters look at.
func hexDump(p *corpusPacket) string {
	return fmt.Sprintf("% x (%d bytes, %+v)", p.data[:min(len(p.data), 96)], len(p.data), p.meta)
}
