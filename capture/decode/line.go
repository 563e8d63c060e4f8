package decode

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// describe says what stands in the line of a packet. Of packets in packets it is the
// innermost.
func (d *Packet) describe(s *stack) {
	var inside int // bytes behind the headers of IP, on the wire
	d.Info = "length " + strconv.Itoa(d.Length)
	for _, l := range s.layers {
		switch l := l.(type) {
		case *layers.Ethernet:
			d.Protocol, d.family = "Ethernet", ""
			d.Source, d.Destination = l.SrcMAC.String(), l.DstMAC.String()
			d.Info = fmt.Sprintf("ethertype %s (0x%04x), length %d", clean(l.EthernetType.String()), uint16(l.EthernetType), d.Length)
		case *layers.Dot1Q:
			d.Protocol = "802.1Q"
			d.Info = fmt.Sprintf("vlan %d, ethertype %s (0x%04x), length %d", l.VLANIdentifier, clean(l.Type.String()), uint16(l.Type), d.Length)
		case *layers.ARP:
			d.arp(l)
		case *layers.STP:
			d.Protocol, d.Info = "STP", "length "+strconv.Itoa(d.Length)
		case *layers.IPv4:
			d.Protocol, d.family = "IPv4", "IP"
			d.Source, d.Destination, d.SourcePort, d.DestinationPort = address(l.SrcIP), address(l.DstIP), 0, 0
			inside = int(l.Length) - int(l.IHL)*4
			if l.Length == 0 { // what the kernel sends in one piece to cut it later has none
				inside = d.Length - (d.Captured - len(l.Payload))
			}
			d.Info = fmt.Sprintf("%s, length %d", strings.ToLower(l.Protocol.String()), inside)
			if l.FragOffset != 0 {
				d.Info = fmt.Sprintf("%s, fragment at %d, length %d", strings.ToLower(l.Protocol.String()), int(l.FragOffset)*8, inside)
			}
		case *layers.IPv6:
			d.Protocol, d.family = "IPv6", "IP6"
			d.Source, d.Destination, d.SourcePort, d.DestinationPort = address(l.SrcIP), address(l.DstIP), 0, 0
			inside = int(l.Length)
			if l.Length == 0 {
				inside = d.Length - (d.Captured - len(l.Payload))
			}
			d.Info = fmt.Sprintf("%s, length %d", strings.ToLower(l.NextHeader.String()), inside)
		case *layers.IPv6HopByHop, *layers.IPv6Routing, *layers.IPv6Destination, *layers.IPv6Fragment:
			inside -= len(l.LayerContents())
		case *layers.TCP:
			d.Protocol, d.SourcePort, d.DestinationPort = "TCP", int(l.SrcPort), int(l.DstPort)
			d.Info = tcp(l, inside-int(l.DataOffset)*4)
		case *layers.UDP:
			d.Protocol, d.SourcePort, d.DestinationPort = "UDP", int(l.SrcPort), int(l.DstPort)
			d.Info = fmt.Sprintf("UDP, length %d", max(int(l.Length)-8, 0))
		case *layers.SCTP:
			d.Protocol, d.SourcePort, d.DestinationPort = "SCTP", int(l.SrcPort), int(l.DstPort)
			d.Info = fmt.Sprintf("sctp, tag 0x%08x, length %d", l.VerificationTag, inside-12)
		case *layers.ICMPv4:
			d.Protocol, d.Info = "ICMP", icmp4(l, inside)
		case *layers.ICMPv6:
			d.Protocol, d.Info = "ICMPv6", fmt.Sprintf("ICMP6, %s, length %d", clean(strings.ToLower(l.TypeCode.String())), inside)
		case *layers.ICMPv6Echo:
			d.Info = strings.Replace(d.Info, ", length", fmt.Sprintf(", id %d, seq %d, length", l.Identifier, l.SeqNumber), 1)
		case *layers.ICMPv6NeighborSolicitation:
			d.Info = strings.Replace(d.Info, ", length", ", who has "+address(l.TargetAddress)+", length", 1)
		case *layers.ICMPv6NeighborAdvertisement:
			d.Info = strings.Replace(d.Info, ", length", ", tgt is "+address(l.TargetAddress)+", length", 1)
		case *layers.DNS:
			d.Protocol, d.Info = "DNS", dns(l, len(l.Contents))
		case *layers.DHCPv4:
			d.Protocol, d.Info = "DHCP", dhcp(l)
		case *layers.NTP:
			d.Protocol, d.Info = "NTP", fmt.Sprintf("NTPv%d, stratum %d, length %d", l.Version, l.Stratum, len(l.Contents))
		default:
			d.Protocol = l.LayerType().String()
			d.Info = fmt.Sprintf("%s, length %d", d.Protocol, d.Length)
		}
	}
	d.Info = cut(d.Info, maxInfo)
}

// address writes an IPv6 address that holds an IPv4 one as what it is, which net.IP does
// not.
func address(ip net.IP) string {
	a, _ := netip.AddrFromSlice(ip)
	return a.String()
}

// maxInfo bounds a line.
const maxInfo = 600

func (d *Packet) arp(l *layers.ARP) {
	d.Protocol, d.family = "ARP", "ARP"
	source, target := protocolAddress(l.SourceProtAddress), protocolAddress(l.DstProtAddress)
	d.Source, d.Destination = source, target
	switch l.Operation {
	case layers.ARPRequest:
		d.Info = fmt.Sprintf("Request who-has %s tell %s, length %d", target, source, len(l.Contents)+len(l.Payload))
	case layers.ARPReply:
		d.Info = fmt.Sprintf("Reply %s is-at %s, length %d", source, net.HardwareAddr(l.SourceHwAddress), len(l.Contents)+len(l.Payload))
	default:
		d.Info = fmt.Sprintf("operation %d, length %d", l.Operation, len(l.Contents))
	}
}

func protocolAddress(b []byte) string {
	if len(b) == net.IPv4len {
		return net.IP(b).String()
	}
	return fmt.Sprintf("%x", b)
}

func tcp(l *layers.TCP, length int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Flags [%s], seq %d", flags(l), l.Seq)
	if length > 0 {
		fmt.Fprintf(&b, ":%d", l.Seq+uint32(length))
	}
	if l.ACK {
		fmt.Fprintf(&b, ", ack %d", l.Ack)
	}
	fmt.Fprintf(&b, ", win %d", l.Window)
	if options := tcpOptions(l.Options); options != "" {
		fmt.Fprintf(&b, ", options [%s]", options)
	}
	fmt.Fprintf(&b, ", length %d", max(length, 0))
	if text := firstLine(l.Payload); text != "" {
		fmt.Fprintf(&b, ": %s", text)
	}
	return b.String()
}

// flags writes them as tcpdump does.
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

func tcpOptions(list []layers.TCPOption) string {
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

// firstLine is the beginning of data that are text, as those of SMTP or HTTP.
func firstLine(data []byte) string {
	const least, most = 4, 100
	line, _, _ := bytes.Cut(data[:min(len(data), 4*most)], []byte("\n"))
	line = bytes.TrimRight(line, "\r")
	if len(line) < least || !plain(string(line)) {
		return ""
	}
	return cut(string(line), most)
}

func icmp4(l *layers.ICMPv4, length int) string {
	switch l.TypeCode.Type() {
	case layers.ICMPv4TypeEchoRequest:
		return fmt.Sprintf("ICMP echo request, id %d, seq %d, length %d", l.Id, l.Seq, length)
	case layers.ICMPv4TypeEchoReply:
		return fmt.Sprintf("ICMP echo reply, id %d, seq %d, length %d", l.Id, l.Seq, length)
	}
	return fmt.Sprintf("ICMP %s, length %d", clean(strings.ToLower(l.TypeCode.String())), length)
}

// dns writes a query or an answer nearly as tcpdump does: the number, the question, how
// it went, the answers.
func dns(l *layers.DNS, length int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d", l.ID)
	if l.RD && !l.QR {
		b.WriteString("+")
	}
	for n, q := range l.Questions {
		if n == 3 {
			fmt.Fprintf(&b, " and %d more", len(l.Questions)-n)
			break
		}
		fmt.Fprintf(&b, " %s? %s.", q.Type, clean(string(q.Name)))
	}
	if l.QR {
		if l.ResponseCode != layers.DNSResponseCodeNoErr {
			fmt.Fprintf(&b, " %s", l.ResponseCode)
		}
		fmt.Fprintf(&b, " %d/%d/%d", len(l.Answers), len(l.Authorities), len(l.Additionals))
		for n := range l.Answers {
			if n == 8 {
				b.WriteString(" ...")
				break
			}
			if n > 0 {
				b.WriteString(",")
			}
			fmt.Fprintf(&b, " %s", answer(&l.Answers[n]))
		}
	}
	fmt.Fprintf(&b, " (%d)", length)
	return b.String()
}

func answer(r *layers.DNSResourceRecord) string {
	switch r.Type {
	case layers.DNSTypeA, layers.DNSTypeAAAA:
		return fmt.Sprintf("%s %s", r.Type, r.IP)
	case layers.DNSTypeCNAME:
		return "CNAME " + clean(string(r.CNAME)) + "."
	case layers.DNSTypeNS:
		return "NS " + clean(string(r.NS)) + "."
	case layers.DNSTypePTR:
		return "PTR " + clean(string(r.PTR)) + "."
	case layers.DNSTypeMX:
		return fmt.Sprintf("MX %s. %d", clean(string(r.MX.Name)), r.MX.Preference)
	case layers.DNSTypeTXT:
		var texts []string
		for _, t := range r.TXTs {
			texts = append(texts, `"`+clean(string(t))+`"`)
		}
		return "TXT " + strings.Join(texts, " ")
	}
	return clean(r.Type.String())
}

func dhcp(l *layers.DHCPv4) string {
	kind := "BOOTP"
	for _, o := range l.Options {
		if o.Type == layers.DHCPOptMessageType && len(o.Data) == 1 {
			kind = "DHCP " + clean(layers.DHCPMsgType(o.Data[0]).String())
		}
	}
	return fmt.Sprintf("%s, from %s, xid 0x%08x, your address %s, length %d", kind, l.ClientHWAddr, l.Xid, l.YourClientIP, len(l.Contents))
}

// link is what the second level adds: the addresses of the link, VLANs, the head of IP.
func (s *stack) link() string {
	var parts []string
	for _, l := range s.layers {
		switch l := l.(type) {
		case *layers.Ethernet:
			parts = append(parts, fmt.Sprintf("%s > %s, %s (0x%04x)", l.SrcMAC, l.DstMAC, clean(l.EthernetType.String()), uint16(l.EthernetType)))
		case *layers.LinuxSLL:
			parts = append(parts, fmt.Sprintf("from %s", l.Addr))
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
			parts = append(parts, fmt.Sprintf("(%s, length %d)", text, l.Length))
		case *layers.IPv6:
			parts = append(parts, fmt.Sprintf("(class 0x%02x, hlim %d, flow 0x%05x, length %d)", l.TrafficClass, l.HopLimit, l.FlowLabel, l.Length))
		}
	}
	return strings.Join(parts, " ")
}

// summary is a layer in one line.
func summary(l gopacket.Layer) string {
	switch l := l.(type) {
	case *layers.Ethernet:
		return fmt.Sprintf("%s > %s, type %s", l.SrcMAC, l.DstMAC, clean(l.EthernetType.String()))
	case *layers.Dot1Q:
		return fmt.Sprintf("vlan %d, priority %d, type %s", l.VLANIdentifier, l.Priority, clean(l.Type.String()))
	case *layers.IPv4:
		return fmt.Sprintf("%s > %s, %s, ttl %d, id %d, length %d, checksum 0x%04x", l.SrcIP, l.DstIP, l.Protocol, l.TTL, l.Id, l.Length, l.Checksum)
	case *layers.IPv6:
		return fmt.Sprintf("%s > %s, %s, hop limit %d, length %d", address(l.SrcIP), address(l.DstIP), l.NextHeader, l.HopLimit, l.Length)
	case *layers.TCP:
		return fmt.Sprintf("%d > %d, [%s], seq %d, ack %d, win %d, checksum 0x%04x", l.SrcPort, l.DstPort, flags(l), l.Seq, l.Ack, l.Window, l.Checksum)
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
