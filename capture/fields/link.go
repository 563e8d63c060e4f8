package fields

import (
	"encoding/binary"
	"fmt"
	"net"

	"github.com/google/gopacket/layers"
)

func etherType(n uint64) string {
	name := layers.EthernetType(n).String()
	switch {
	case n < 0x600:
		return fmt.Sprintf("length %d", n)
	case n == 0x9100:
		name = "QinQ (0x9100)"
	}
	if !assigned(name) {
		return hex16(n)
	}
	return fmt.Sprintf("%s (0x%04x)", name, n)
}

// mac adds an Ethernet address; way is dst or src.
func (b *builder) mac(name, label string, at int, way string) {
	if !b.has(at, 6) {
		return
	}
	text := net.HardwareAddr(b.b[at : at+6]).String()
	if f := b.add(name, label, at, 6, text); f != nil && way != "" {
		f.Filter = b.scope.says("ether %s %s", way, text)
	}
}

func (b *builder) ethernet() {
	b.mac("eth.dst", "Destination", 0, "dst")
	b.mac("eth.src", "Source", 6, "src")
	if b.has(12, 2) && b.number(12, 2) < 0x600 {
		b.uint("eth.len", "Length", 12, 2, decimal)
		return
	}
	b.uint("eth.type", "Type", 12, 2, etherType)
}

func (b *builder) vlan() {
	header := "vlan"
	if b.scope.kind == layers.EthernetTypeQinQ {
		header = "ieee8021ad"
		b.bits(header+".priority", "Priority", 0, 1, 0xe0, decimal)
		b.bits(header+".dei", "Drop eligible", 0, 1, 0x10, yesNo)
	} else {
		b.bits(header+".priority", "Priority", 0, 2, 0xe000, decimal)
		b.bits(header+".dei", "Drop eligible", 0, 2, 0x1000, yesNo)
	}
	if f := b.bits(header+".id", "VLAN", 0, 2, 0x0fff, decimal); f != nil {
		f.Filter = b.scope.number("vlan", b.number(0, 2)&0xfff)
	}
	b.uint(header+".etype", "Type", 2, 2, etherType)
}

var packetTypes = in(map[uint64]string{0: "to this host", 1: "broadcast", 2: "multicast", 3: "to another host",
	4: "from this host"})

func (b *builder) sll() {
	b.uint("sll.pkttype", "Packet type", 0, 2, packetTypes)
	b.uint("sll.hatype", "Type of link", 2, 2, decimal)
	b.uint("sll.halen", "Address length", 4, 2, decimal)
	b.hardware("sll.src.eth", "Source", 6, int(min(b.number(4, 2), 8)))
	b.uint("sll.etype", "Type", 14, 2, etherType)
}

// hardware adds a link address of any length.
func (b *builder) hardware(name, label string, at, size int) {
	if size > 0 && b.has(at, size) {
		b.add(name, label, at, size, net.HardwareAddr(b.b[at:at+size]).String())
	}
}

func (b *builder) sll2() {
	b.uint("sll.etype", "Type", 0, 2, etherType)
	b.uint("sll.ifindex", "Index of the interface", 4, 4, decimal)
	b.uint("sll.hatype", "Type of link", 8, 2, decimal)
	b.uint("sll.pkttype", "Packet type", 10, 1, packetTypes)
	b.uint("sll.halen", "Address length", 11, 1, decimal)
	b.hardware("sll.src.eth", "Source", 12, int(min(b.number(11, 1), 8)))
}

func (b *builder) llc() {
	b.uint("llc.dsap", "Destination service access point", 0, 1, hex8)
	b.uint("llc.ssap", "Source service access point", 1, 1, hex8)
	size := 1
	if b.has(2, 1) && b.b[2]&3 != 3 {
		size = 2
	}
	b.uint("llc.control", "Control", 2, size, func(n uint64) string { return fmt.Sprintf("0x%0*x", 2*size, n) })
}

func (b *builder) snap() {
	b.raw("llc.oui", "Organization code", 0, 3)
	b.uint("llc.type", "Type", 3, 2, etherType)
}

// loopback's number is in the byte order of the machine that captured.
func (b *builder) loopback() {
	n := binary.LittleEndian.Uint32(b.b)
	if n > 0xffff {
		n = binary.BigEndian.Uint32(b.b)
	}
	b.add("null.family", "Family", 0, 4, decimal(uint64(n)))
}

func pppType(n uint64) string {
	name := layers.PPPType(n).String()
	if !assigned(name) {
		return hex16(n)
	}
	return fmt.Sprintf("%s (0x%04x)", name, n)
}

func (b *builder) ppp() {
	at := 0
	if l, is := b.layer.(*layers.PPP); is && l.HasPPTPHeader {
		b.uint("ppp.address", "Address", 0, 1, hex8)
		b.uint("ppp.control", "Control", 1, 1, hex8)
		at = 2
	}
	b.uint("ppp.protocol", "Protocol", at, len(b.b)-at, pppType)
}

func (b *builder) pppoe() {
	b.bits("pppoe.version", "Version", 0, 1, 0xf0, decimal)
	b.bits("pppoe.type", "Type", 0, 1, 0x0f, decimal)
	b.uint("pppoe.code", "Code", 1, 1, in(map[uint64]string{0: "session", 9: "PADI", 7: "PADO", 0x19: "PADR", 0x65: "PADS", 0xa7: "PADT"}))
	if f := b.uint("pppoe.session_id", "Session", 2, 2, hex16); f != nil {
		f.Filter = b.scope.number("pppoes", b.number(2, 2))
	}
	b.uint("pppoe.payload_length", "Payload length", 4, 2, decimal)
}

func (b *builder) hdlc() {
	b.uint("chdlc.address", "Address", 0, 1, hex8)
	b.uint("chdlc.control", "Control", 1, 1, hex8)
	b.uint("chdlc.protocol", "Protocol", 2, 2, etherType)
}

func (b *builder) mpls() {
	if f := b.bits("mpls.label", "Label", 0, 4, 0xfffff000, decimal); f != nil {
		f.Filter = b.scope.number("mpls", b.number(0, 4)>>12)
	}
	b.bits("mpls.exp", "Traffic class", 0, 4, 0x00000e00, decimal)
	b.bits("mpls.bottom", "Bottom of the stack", 0, 4, 0x00000100, yesNo)
	b.bits("mpls.ttl", "Time to live", 0, 4, 0x000000ff, decimal)
}

func (b *builder) arp() {
	b.uint("arp.hw.type", "Hardware type", 0, 2, in(map[uint64]string{1: "Ethernet", 6: "IEEE 802", 32: "InfiniBand"}))
	b.uint("arp.proto.type", "Protocol type", 2, 2, etherType)
	b.uint("arp.hw.size", "Hardware size", 4, 1, decimal)
	b.uint("arp.proto.size", "Protocol size", 5, 1, decimal)
	b.uint("arp.opcode", "Operation", 6, 2, in(map[uint64]string{1: "request", 2: "reply", 3: "reverse request", 4: "reverse reply",
		8: "inverse request", 9: "inverse reply"}))
	hardware, protocol := int(b.b[4]), int(b.b[5])
	at := 8
	for _, side := range []struct{ name, label, way string }{{"src", "Sender", "src"}, {"dst", "Target", "dst"}} {
		if hardware == 6 {
			b.mac("arp."+side.name+".hw_mac", side.label+" hardware address", at, "")
		} else {
			b.raw("arp."+side.name+".hw", side.label+" hardware address", at, hardware)
		}
		if at += hardware; protocol == net.IPv4len && b.has(at, net.IPv4len) {
			text := net.IP(b.b[at : at+4]).String()
			f := b.add("arp."+side.name+".proto_ipv4", side.label+" address", at, 4, text)
			if hardware == 6 && b.number(2, 2) == uint64(layers.EthernetTypeIPv4) {
				f.Filter = b.scope.says("arp %s host %s", side.way, text)
			}
		} else {
			b.raw("arp."+side.name+".proto", side.label+" address", at, protocol)
		}
		at += protocol
	}
}
