package decode

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// describe fills in what the line of a packet shows. In nested packets it describes the innermost.
func (d *Packet) describe(s *stack) {
	d.Info = "length " + strconv.Itoa(d.Length)
	for n := range s.layers {
		if !d.frame(s, n) && !d.network(s, n) && !d.transport(s, n) {
			d.message(s, n)
		}
	}
	d.ending(s)
	d.Info = cut(d.Info, maxInfo)
}

// ethertype returns the name of what Ethernet carries.
func ethertype(t layers.EthernetType) string {
	// Trim may have removed the word for an unknown one.
	if name := t.String(); name != "" && !strings.HasPrefix(name, "Unknown") {
		return name
	}
	return "Unknown"
}

// behind returns how many bytes on the wire a layer contains.
func (s *stack) behind(n int) int {
	if n+1 < len(s.lengths) {
		return s.lengths[n+1]
	}
	return s.wire
}

// ends sets the addresses of IP; the ports are not known yet.
func (d *Packet) ends(protocol, family string, source, destination net.IP) {
	d.Protocol, d.family = protocol, family
	d.Source, d.Destination, d.SourcePort, d.DestinationPort, d.ported = address(source), address(destination),
		0, 0, false
}

// cutMark returns what tcpdump writes for an incomplete header.
func cutMark(kind gopacket.LayerType) string {
	name, known := map[gopacket.LayerType]string{
		layers.LayerTypeEthernet: "ether", layers.LayerTypeDot1Q: "vlan", layers.LayerTypeLinuxSLL: "sll",
		layerSLL2: "sll2", layers.LayerTypeLoopback: "null",
		layerCiscoHDLC: "chdlc", layers.LayerTypeIPv4: "ip", layers.LayerTypeIPv6: "ip6",
		layers.LayerTypeIPv6HopByHop:    "hbhopt",
		layers.LayerTypeIPv6Destination: "dstopt", layers.LayerTypeIPv6Routing: "rt6",
		layers.LayerTypeIPv6Fragment: "frag6",
		layers.LayerTypeIPSecAH:      "ah", layers.LayerTypeIPSecESP: "esp", layers.LayerTypeICMPv4: "icmp",
		layers.LayerTypeICMPv6:     "icmp6",
		layers.LayerTypeICMPv6Echo: "icmp6", layers.LayerTypeICMPv6NeighborSolicitation: "icmp6",
		layers.LayerTypeICMPv6NeighborAdvertisement: "icmp6",
		layers.LayerTypeICMPv6RouterSolicitation:    "icmp6", layers.LayerTypeICMPv6RouterAdvertisement: "icmp6",
		layers.LayerTypeICMPv6Redirect: "icmp6",
		layers.LayerTypeDNS:            "domain", layers.LayerTypeDHCPv4: "bootp", layers.LayerTypeEAPOL: "eap",
	}[kind]
	if !known {
		name = strings.ToLower(kind.String())
	}
	return "[|" + name + "]"
}

// ending describes the header that the packet ends in, or that is wrong, as far as known: the
// ports, if they are there.
func (d *Packet) ending(s *stack) {
	kind, mark := s.cut, cutMark(s.cut)
	switch {
	case s.bad != 0:
		kind, mark = s.bad, strings.ToLower(s.bad.String())+" "+clean(s.fault)
		if s.bad == layers.LayerTypeIPv4 || s.bad == layers.LayerTypeIPv6 {
			mark = clean(s.fault)
		}
	case s.cut == 0, s.kept && s.cut == layers.LayerTypeTCP:
		return
	}
	switch kind {
	case layers.LayerTypeIPv4, layers.LayerTypeIPv6:
		if !s.kept {
			d.ends(kind.String(), map[gopacket.LayerType]string{layers.LayerTypeIPv4: "IP",
				layers.LayerTypeIPv6: "IP6"}[kind], nil, nil)
		}
		d.Info = mark
	case layers.LayerTypeTCP, layers.LayerTypeUDP, layers.LayerTypeSCTP:
		d.Protocol, d.Info = kind.String(), mark
		if len(s.rest) >= 4 {
			d.ported = true
			d.SourcePort, d.DestinationPort = int(order.Uint16(s.rest)), int(order.Uint16(s.rest[2:]))
		}
		if s.bad == layers.LayerTypeTCP {
			d.Info = fmt.Sprintf("tcp %d [%s]", s.wire, clean(s.fault))
			if set := flagsOf(s.rest[13]); s.rest[12]>>4*4 >= tcpHeader {
				d.Info = fmt.Sprintf("Flags [%s] [%s]", flags(set), clean(s.fault))
			}
		}
		if s.bad == layers.LayerTypeUDP {
			d.Info = clean(s.fault)
		}
	case layers.LayerTypeICMPv6Echo, layers.LayerTypeICMPv6NeighborSolicitation,
		layers.LayerTypeICMPv6NeighborAdvertisement,
		layers.LayerTypeICMPv6RouterSolicitation, layers.LayerTypeICMPv6RouterAdvertisement,
		layers.LayerTypeICMPv6Redirect:
		// What is missing is not in the line, or icmp6 has said so.
	case layers.LayerTypeARP:
		d.Protocol, d.family, d.Info = "ARP", "ARP", mark
		d.Source, d.Destination = "", ""
	default:
		if optional[kind] {
			switch {
			case s.bad != 0:
			case kind == layers.LayerTypeDNS && len(s.rest) >= dnsHeader &&
				s.layers[len(s.layers)-1].LayerType() == layers.LayerTypeUDP:
				d.Protocol, d.Info = "DNS", cutDNS(s.rest, s.wire)
			default:
				d.Info += " " + mark // after what is known of the datagram
			}
			return
		}
		d.Protocol, d.Info = kind.String(), mark
		if kind == layers.LayerTypeICMPv4 {
			d.Protocol = "ICMP"
		}
	}
}

// protocol returns the name of a protocol above IP, or the number as tcpdump writes it.
func protocol(p layers.IPProtocol) string {
	switch p {
	case layers.IPProtocolTCP:
		return "tcp"
	case layers.IPProtocolUDP:
		return "udp"
	case layers.IPProtocolICMPv4:
		return "icmp"
	case layers.IPProtocolICMPv6:
		return "icmp6"
	case layers.IPProtocolAH:
		return "ah"
	case layers.IPProtocolESP:
		return "esp"
	case layers.IPProtocolIPv6HopByHop:
		return "hopopt"
	case layers.IPProtocolIPv6Routing:
		return "routing"
	case layers.IPProtocolIPv6Fragment:
		return "frag"
	case layers.IPProtocolIPv6Destination:
		return "dstopt"
	case layers.IPProtocolNoNextHeader:
		return "no next header"
	}
	if name := p.String(); name != "" && !strings.HasPrefix(name, "Unknown") {
		return strings.ToLower(name)
	}
	return fmt.Sprintf("ip-proto-%d", uint8(p))
}

// named returns gopacket's name of a protocol above IP, or "".
func named(p layers.IPProtocol) string {
	if name := p.String(); p != layers.IPProtocolIPv6HopByHop && !strings.HasPrefix(name, "Unknown") {
		return name
	}
	return protocol(p)
}

// address writes an IPv6 address that contains an IPv4 one in that form, which net.IP does not.
func address(ip net.IP) string {
	a, known := netip.AddrFromSlice(ip)
	if !known {
		return ""
	}
	return a.String()
}

// maxInfo limits the length of a line.
const maxInfo = 600

// arp describes an ARP packet. length includes the padding of its frame, as tcpdump has it.
func (d *Packet) arp(l *layers.ARP, length int) {
	d.Protocol, d.family = "ARP", "ARP"
	source, target := protocolAddress(l.SourceProtAddress), protocolAddress(l.DstProtAddress)
	d.Source, d.Destination = source, target
	switch l.Operation {
	case layers.ARPRequest:
		if to := net.HardwareAddr(l.DstHwAddress); slices.ContainsFunc(to, func(b byte) bool { return b != 0 }) {
			target += " (" + to.String() + ")"
		}
		d.Info = fmt.Sprintf("Request who-has %s tell %s, length %d", target, source, length)
	case layers.ARPReply:
		d.Info = fmt.Sprintf("Reply %s is-at %s, length %d", source, net.HardwareAddr(l.SourceHwAddress), length)
	default:
		d.Info = fmt.Sprintf("operation %d, length %d", l.Operation, length)
	}
}

func protocolAddress(b []byte) string {
	if len(b) == net.IPv4len {
		return net.IP(b).String()
	}
	return fmt.Sprintf("%x", b)
}

// tcp describes a TCP header. If not all of its options are there, the last one is [|tcp].
func tcp(l *layers.TCP, length int, cutOptions bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Flags [%s], seq %d", flags(l), l.Seq)
	if length > 0 {
		fmt.Fprintf(&b, ":%d", l.Seq+uint32(length))
	}
	if l.ACK {
		fmt.Fprintf(&b, ", ack %d", l.Ack)
	}
	fmt.Fprintf(&b, ", win %d", l.Window)
	options := optionWords(l.Options)
	switch {
	case cutOptions:
		options += cutMark(layers.LayerTypeTCP)
	case badOptions(l):
		options += "[bad opt]"
	}
	if options != "" {
		fmt.Fprintf(&b, ", options [%s]", options)
	}
	fmt.Fprintf(&b, ", length %d", max(length, 0))
	if text := firstLine(l.Payload); text != "" {
		fmt.Fprintf(&b, ": %s", text)
	}
	return b.String()
}

// flagsOf returns the flags of a TCP header that is wrong elsewhere.
func flagsOf(b byte) *layers.TCP {
	return &layers.TCP{FIN: b&1 != 0, SYN: b&2 != 0, RST: b&4 != 0, PSH: b&8 != 0, ACK: b&16 != 0, URG: b&32 != 0,
		ECE: b&64 != 0, CWR: b&128 != 0}
}

// flags writes the flags as tcpdump does.
func flags(l *layers.TCP) string {
	var b strings.Builder
	for _, f := range []struct {
		set    bool
		letter string
	}{{l.FIN, "F"}, {l.SYN, "S"}, {l.RST, "R"}, {l.PSH, "P"}, {l.ACK, "."}, {l.URG, "U"}, {l.ECE, "E"}, {l.CWR, "W"}} {
		if f.set {
			b.WriteString(f.letter)
		}
	}
	if b.Len() == 0 {
		return "none"
	}
	return b.String()
}

// badOptions reports whether there are options after those that could be read.
func badOptions(l *layers.TCP) bool {
	read := tcpHeader
	for _, o := range l.Options {
		read += int(o.OptionLength)
		if o.OptionType == layers.TCPOptionKindEndList {
			return false
		}
	}
	return read < len(l.Contents)
}

func optionWords(list []layers.TCPOption) string {
	var words []string
	number := func(b []byte) (n uint64) {
		for _, c := range b {
			n = n<<8 | uint64(c)
		}
		return n
	}
	for _, o := range list {
		switch data := o.OptionData; o.OptionType {
		case layers.TCPOptionKindEndList:
			words = append(words, "eol")
		case layers.TCPOptionKindNop:
			words = append(words, "nop")
		case layers.TCPOptionKindMSS:
			words = append(words, fmt.Sprintf("mss %d", number(data)))
		case layers.TCPOptionKindWindowScale:
			words = append(words, fmt.Sprintf("wscale %d", number(data)))
		case layers.TCPOptionKindSACKPermitted:
			words = append(words, "sackOK")
		case layers.TCPOptionKindSACK:
			word := fmt.Sprintf("sack %d", len(data)/8)
			for ; len(data) >= 8; data = data[8:] {
				word += fmt.Sprintf(" {%d:%d}", number(data[:4]), number(data[4:8]))
			}
			words = append(words, word)
		case layers.TCPOptionKindTimestamps:
			if len(data) == 8 {
				words = append(words, fmt.Sprintf("TS val %d ecr %d", number(data[:4]), number(data[4:])))
			}
		default:
			words = append(words, fmt.Sprintf("option %d", o.OptionType))
		}
	}
	return strings.Join(words, ",")
}

// firstLine returns the first line of data that are text, such as those of SMTP or HTTP.
func firstLine(data []byte) string {
	const least, most = 4, 100
	line, _, _ := bytes.Cut(data[:min(len(data), 4*most)], []byte("\n"))
	line = bytes.TrimRight(line, "\r")
	if len(line) < least || !plain(string(line)) {
		return ""
	}
	return cut(string(line), most)
}

func dhcp(l *layers.DHCPv4, length int) string {
	kind := "BOOTP"
	for _, o := range l.Options {
		if o.Type == layers.DHCPOptMessageType && len(o.Data) == 1 {
			kind = "DHCP " + clean(layers.DHCPMsgType(o.Data[0]).String())
		}
	}
	return fmt.Sprintf("%s, from %s, xid 0x%08x, your address %s, length %d", kind, l.ClientHWAddr, l.Xid,
		l.YourClientIP, length)
}

// link returns what the second level adds: link addresses, VLANs, the head of IP.
func (s *stack) link() string {
	var parts []string
	for n, l := range s.layers {
		switch l := l.(type) {
		case *layers.Ethernet:
			parts = append(parts, fmt.Sprintf("%s > %s, %s (0x%04x)", l.SrcMAC, l.DstMAC, ethertype(l.EthernetType),
				uint16(l.EthernetType)))
		case *layers.LinuxSLL:
			parts = append(parts, fmt.Sprintf("from %s", l.Addr))
		case *sll2:
			parts = append(parts, fmt.Sprintf("ifindex %d from %s", l.InterfaceIndex, l.Addr))
		case *layers.Dot1Q:
			parts = append(parts, fmt.Sprintf("vlan %d, p %d", l.VLANIdentifier, l.Priority))
		case *layers.IPv4:
			text := fmt.Sprintf("tos 0x%x, ttl %d, id %d", l.TOS, l.TTL, l.Id)
			if f := l.Flags.String(); f != "" {
				text += ", " + f
			}
			if l.FragOffset != 0 {
				text += fmt.Sprintf(", offset %d", int(l.FragOffset)*8)
			}
			length := int(l.Length)
			if length == 0 {
				length = s.lengths[n]
			}
			parts = append(parts, fmt.Sprintf("(%s, length %d)", text, length))
		case *layers.IPv6:
			parts = append(parts, fmt.Sprintf("(class 0x%02x, hlim %d, flow 0x%05x, length %d)", l.TrafficClass,
				l.HopLimit, l.FlowLabel, l.Length))
		}
	}
	return strings.Join(parts, " ")
}

// summary describes a layer in one line.
func summary(l gopacket.Layer) string {
	switch l := l.(type) {
	case *layers.Ethernet:
		return fmt.Sprintf("%s > %s, type %s", l.SrcMAC, l.DstMAC, ethertype(l.EthernetType))
	case *layers.Dot1Q:
		return fmt.Sprintf("vlan %d, priority %d, type %s", l.VLANIdentifier, l.Priority, ethertype(l.Type))
	case *layers.IPv4:
		return fmt.Sprintf("%s > %s, %s, ttl %d, id %d, length %d, checksum 0x%04x", l.SrcIP, l.DstIP,
			named(l.Protocol), l.TTL, l.Id, l.Length, l.Checksum)
	case *layers.IPv6:
		return fmt.Sprintf("%s > %s, %s, hop limit %d, length %d", address(l.SrcIP), address(l.DstIP),
			named(l.NextHeader), l.HopLimit, l.Length)
	case *layers.TCP:
		return fmt.Sprintf("%d > %d, [%s], seq %d, ack %d, win %d, checksum 0x%04x", l.SrcPort, l.DstPort, flags(l),
			l.Seq, l.Ack, l.Window, l.Checksum)
	case *layers.UDP:
		return fmt.Sprintf("%d > %d, length %d, checksum 0x%04x", l.SrcPort, l.DstPort, l.Length, l.Checksum)
	case *layers.DNS:
		return dns(l, len(l.Contents))
	}
	var parts []string
	for _, f := range fields(l) {
		parts = append(parts, f.Name+" "+f.Value)
	}
	return cut(strings.Join(parts, ", "), 160)
}
