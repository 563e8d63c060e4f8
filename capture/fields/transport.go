package fields

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/google/gopacket/layers"
)

// ports adds the two ports of a header.
func (b *builder) ports(protocol string) {
	for n, way := range []string{"src", "dst"} {
		label := [...]string{"Source port", "Destination port"}[n]
		if f := b.uint(protocol+"."+way+"port", label, 2*n, 2, decimal); f != nil {
			f.Filter = b.scope.port(protocol, way, b.number(2*n, 2))
		}
	}
}

var tcpFlags = []struct {
	name, label string
	mask        uint64
}{
	{"cwr", "Congestion window reduced", 0x80}, {"ece", "ECN echo", 0x40}, {"urg", "Urgent", 0x20},
	{"ack", "Acknowledgment", 0x10}, {"push", "Push", 0x08}, {"reset", "Reset", 0x04}, {"syn", "Syn", 0x02}, {"fin", "Fin", 0x01},
}

func (b *builder) tcp() {
	b.ports("tcp")
	b.uint("tcp.seq_raw", "Sequence number", 4, 4, decimal)
	b.uint("tcp.ack_raw", "Acknowledgment number", 8, 4, decimal)
	b.bits("tcp.hdr_len", "Header length", 12, 1, 0xf0, times(4, " bytes"))
	f := b.bits("tcp.flags", "Flags", 12, 2, 0x0fff, func(n uint64) string {
		var set []string
		for _, f := range tcpFlags {
			if n&f.mask != 0 {
				set = append(set, f.label)
			}
		}
		return fmt.Sprintf("0x%03x (%s)", n, strings.Join(set, ", "))
	})
	b.inside(f, func() {
		b.bits("tcp.flags.res", "Reserved", 12, 1, 0x0e, decimal)
		b.bits("tcp.flags.ae", "Accurate ECN", 12, 1, 0x01, yesNo)
		for _, f := range tcpFlags {
			b.bits("tcp.flags."+f.name, f.label, 13, 1, f.mask, yesNo)
		}
	})
	b.uint("tcp.window_size_value", "Window", 14, 2, decimal)
	b.uint("tcp.checksum", "Checksum", 16, 2, hex16)
	b.uint("tcp.urgent_pointer", "Urgent pointer", 18, 2, decimal)
	b.options("tcp", int(b.b[12]>>4)*4, tcpOptions)
}

var tcpOptions = map[byte]string{0: "End of options", 1: "No operation", 2: "Maximum segment size", 3: "Window scale",
	4: "SACK permitted", 5: "SACK", 8: "Timestamps", 19: "MD5 signature", 28: "User timeout", 29: "TCP-AO",
	30: "Multipath TCP", 34: "Fast open"}

// optionValues write what options of TCP say, by their labels.
var optionValues = map[string]func([]byte) string{
	"Maximum segment size": func(b []byte) string { return decimal(wide(b)) },
	"Window scale":         func(b []byte) string { return fmt.Sprintf("%d (multiply by %d)", b[0], uint64(1)<<min(b[0], 14)) },
	"Timestamps": func(b []byte) string {
		if len(b) != 8 {
			return fmt.Sprintf("%x", b)
		}
		return fmt.Sprintf("value %d, echo reply %d", wide(b[:4]), wide(b[4:]))
	},
	"SACK": func(b []byte) string {
		var blocks []string
		for ; len(b) >= 8; b = b[8:] {
			blocks = append(blocks, fmt.Sprintf("%d-%d", wide(b[:4]), wide(b[4:8])))
		}
		return strings.Join(blocks, ", ")
	},
}

func (b *builder) udp() {
	b.ports("udp")
	b.uint("udp.length", "Length", 4, 2, decimal)
	b.uint("udp.checksum", "Checksum", 6, 2, hex16)
}

func (b *builder) sctp() {
	b.ports("sctp")
	b.uint("sctp.verification_tag", "Verification tag", 4, 4, hex32)
	b.uint("sctp.checksum", "Checksum", 8, 4, hex32)
}

func (b *builder) ah() {
	b.uint("ah.next_header", "Next header", 0, 1, ipProtocol)
	b.uint("ah.length", "Length", 1, 1, decimal)
	b.uint("ah.spi", "Security parameters index", 4, 4, hex32)
	b.uint("ah.sequence", "Sequence number", 8, 4, decimal)
	b.raw("ah.icv", "Integrity check value", 12, len(b.b)-12)
}

func (b *builder) esp() {
	b.uint("esp.spi", "Security parameters index", 0, 4, hex32)
	b.uint("esp.sequence", "Sequence number", 4, 4, decimal)
}

func (b *builder) gre() {
	f := b.uint("gre.flags_and_version", "Flags and version", 0, 2, hex16)
	flags := b.number(0, 2)
	b.inside(f, func() {
		b.bits("gre.flags.checksum", "Checksum", 0, 2, 0x8000, yesNo)
		b.bits("gre.flags.routing", "Routing", 0, 2, 0x4000, yesNo)
		b.bits("gre.flags.key", "Key", 0, 2, 0x2000, yesNo)
		b.bits("gre.flags.sequence_number", "Sequence number", 0, 2, 0x1000, yesNo)
		b.bits("gre.flags.version", "Version", 0, 2, 0x0007, decimal)
	})
	b.uint("gre.proto", "Protocol", 2, 2, etherType)
	at := 4
	if flags&0xc000 != 0 {
		b.uint("gre.checksum", "Checksum", at, 2, hex16)
		at += 4
	}
	if flags&0x2000 != 0 {
		if flags&7 == 1 {
			b.uint("gre.key.payload_length", "Payload length", at, 2, decimal)
			b.uint("gre.key.call_id", "Call", at+2, 2, decimal)
		} else {
			b.uint("gre.key", "Key", at, 4, hex32)
		}
		at += 4
	}
	if flags&0x1000 != 0 {
		b.uint("gre.sequence_number", "Sequence number", at, 4, decimal)
		at += 4
	}
	if flags&0x80 != 0 && flags&7 == 1 {
		b.uint("gre.ack_number", "Acknowledgment number", at, 4, decimal)
	}
}

func (b *builder) vxlan() {
	b.uint("vxlan.flags", "Flags", 0, 2, hex16)
	b.uint("vxlan.gbp", "Group policy", 2, 2, decimal)
	b.uint("vxlan.vni", "Network identifier", 4, 3, decimal)
	b.uint("vxlan.reserved8", "Reserved", 7, 1, decimal)
}

func (b *builder) geneve() {
	b.bits("geneve.version", "Version", 0, 1, 0xc0, decimal)
	b.bits("geneve.options_length", "Options length", 0, 1, 0x3f, times(4, " bytes"))
	b.bits("geneve.flags.oam", "Control packet", 1, 1, 0x80, yesNo)
	b.bits("geneve.flags.critical", "Critical options", 1, 1, 0x40, yesNo)
	b.uint("geneve.proto_type", "Protocol", 2, 2, etherType)
	b.uint("geneve.vni", "Network identifier", 4, 3, decimal)
	if len(b.b) > 8 {
		b.raw("geneve.options", "Options", 8, len(b.b)-8)
	}
}

func (b *builder) etherIP() {
	b.bits("etherip.version", "Version", 0, 2, 0xf000, decimal)
	b.bits("etherip.reserved", "Reserved", 0, 2, 0x0fff, decimal)
}

func (b *builder) ntp() {
	f := b.uint("ntp.flags", "Flags", 0, 1, hex8)
	b.inside(f, func() {
		b.bits("ntp.flags.li", "Leap indicator", 0, 1, 0xc0, decimal)
		b.bits("ntp.flags.vn", "Version", 0, 1, 0x38, decimal)
		b.bits("ntp.flags.mode", "Mode", 0, 1, 0x07, in(map[uint64]string{1: "symmetric active", 2: "symmetric passive", 3: "client",
			4: "server", 5: "broadcast", 6: "control", 7: "private"}))
	})
	b.uint("ntp.stratum", "Stratum", 1, 1, decimal)
	b.add("ntp.ppoll", "Polling interval", 2, 1, fmt.Sprint(int8(b.b[2])))
	b.add("ntp.precision", "Precision", 3, 1, fmt.Sprint(int8(b.b[3])))
	b.uint("ntp.rootdelay", "Root delay", 4, 4, hex32)
	b.uint("ntp.rootdispersion", "Root dispersion", 8, 4, hex32)
	b.raw("ntp.refid", "Reference", 12, 4)
	for n, part := range []struct{ name, label string }{{"reftime", "Reference time"}, {"org", "Originate time"},
		{"rec", "Receive time"}, {"xmt", "Transmit time"}} {
		b.raw("ntp."+part.name, part.label, 16+8*n, 8)
	}
}

var dhcpKinds = in(map[uint64]string{1: "request", 2: "reply"})

func (b *builder) dhcp() {
	b.uint("dhcp.type", "Message", 0, 1, dhcpKinds)
	b.uint("dhcp.hw.type", "Hardware type", 1, 1, decimal)
	b.uint("dhcp.hw.len", "Hardware address length", 2, 1, decimal)
	b.uint("dhcp.hops", "Hops", 3, 1, decimal)
	b.uint("dhcp.id", "Transaction", 4, 4, hex32)
	b.uint("dhcp.secs", "Seconds elapsed", 8, 2, decimal)
	b.uint("dhcp.flags", "Flags", 10, 2, hex16)
	b.host("dhcp.ip.client", "Client address", 12, 4, "")
	b.host("dhcp.ip.your", "Your address", 16, 4, "")
	b.host("dhcp.ip.server", "Next server", 20, 4, "")
	b.host("dhcp.ip.relay", "Relay agent", 24, 4, "")
	b.mac("dhcp.hw.mac_addr", "Client hardware address", 28, "")
	for at := 240; b.has(at, 1); {
		kind, size := b.b[at], 1
		if kind != 0 && kind != 255 {
			if !b.has(at, 2) || !b.has(at, 2+int(b.b[at+1])) {
				return
			}
			size = 2 + int(b.b[at+1])
		}
		value := ""
		if size > 2 {
			value = dhcpValue(kind, b.b[at+2:at+size])
		}
		if kind != 0 {
			b.add("dhcp.option", fmt.Sprintf("Option %d: %s", kind, layers.DHCPOpt(kind)), at, size, value)
		}
		if at += size; kind == 255 {
			return
		}
	}
}

func dhcpValue(kind byte, value []byte) string {
	switch {
	case kind == byte(layers.DHCPOptMessageType) && len(value) == 1:
		return layers.DHCPMsgType(value[0]).String()
	case len(value) == 4 && (kind == 51 || kind == 58 || kind == 59):
		return fmt.Sprintf("%d s", binary.BigEndian.Uint32(value))
	case kind == 12 || kind == 15 || kind == 60 || kind == 66 || kind == 67:
		return string(value)
	case kind == 1 || kind == 3 || kind == 6 || kind == 28 || kind == 42 || kind == 50 || kind == 54:
		var list []string
		for ; len(value) >= 4; value = value[4:] {
			list = append(list, fmt.Sprintf("%d.%d.%d.%d", value[0], value[1], value[2], value[3]))
		}
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%x", value)
}
