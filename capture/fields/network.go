package fields

import (
	"fmt"
	"net/netip"

	"github.com/google/gopacket/layers"
)

// ipProtocol returns the name of a protocol above IP.
func ipProtocol(n uint64) string {
	name := layers.IPProtocol(n).String()
	if !assigned(name) {
		return decimal(n)
	}
	return fmt.Sprintf("%s (%d)", name, n)
}

// host adds an address of IP; way is src or dst, or "" for one that is no end of the packet.
func (b *builder) host(name, label string, at, size int, way string) {
	if !b.has(at, size) {
		return
	}
	a, _ := netip.AddrFromSlice(b.b[at : at+size])
	if f := b.add(name, label, at, size, a.String()); f != nil && way != "" {
		family := "ip"
		if size == 16 {
			family = "ip6"
		}
		f.Filter = b.scope.says("%s %s host %s", family, way, plainAddress(a))
	}
}

// plainAddress writes an address as the filter language takes it: without an IPv4 address in it.
func plainAddress(a netip.Addr) string {
	if !a.Is4In6() {
		return a.String()
	}
	b := a.As16()
	return fmt.Sprintf("::ffff:%x:%x", uint16(b[12])<<8|uint16(b[13]), uint16(b[14])<<8|uint16(b[15]))
}

var codepoints = in(map[uint64]string{0: "default", 8: "CS1", 10: "AF11", 12: "AF12", 14: "AF13", 16: "CS2", 18: "AF21", 20: "AF22",
	22: "AF23", 24: "CS3", 26: "AF31", 28: "AF32", 30: "AF33", 32: "CS4", 34: "AF41", 36: "AF42", 38: "AF43", 40: "CS5",
	44: "voice admit", 46: "EF", 48: "CS6", 56: "CS7"})

var congestion = in(map[uint64]string{0: "not capable", 1: "ECT(1)", 2: "ECT(0)", 3: "congestion experienced"})

func (b *builder) ipv4() {
	b.bits("ip.version", "Version", 0, 1, 0xf0, decimal)
	b.bits("ip.hdr_len", "Header length", 0, 1, 0x0f, times(4, " bytes"))
	f := b.uint("ip.dsfield", "Differentiated services", 1, 1, hex8)
	b.inside(f, func() {
		b.bits("ip.dsfield.dscp", "Codepoint", 1, 1, 0xfc, codepoints)
		b.bits("ip.dsfield.ecn", "Congestion notification", 1, 1, 0x03, congestion)
	})
	b.uint("ip.len", "Total length", 2, 2, decimal)
	b.uint("ip.id", "Identification", 4, 2, func(n uint64) string { return fmt.Sprintf("0x%04x (%d)", n, n) })
	f = b.bits("ip.flags", "Flags", 6, 1, 0xe0, hex8)
	b.inside(f, func() {
		b.bits("ip.flags.rb", "Reserved", 6, 1, 0x80, yesNo)
		b.bits("ip.flags.df", "Don't fragment", 6, 1, 0x40, yesNo)
		b.bits("ip.flags.mf", "More fragments", 6, 1, 0x20, yesNo)
	})
	b.bits("ip.frag_offset", "Fragment offset", 6, 2, 0x1fff, times(8, ""))
	b.uint("ip.ttl", "Time to live", 8, 1, decimal)
	b.uint("ip.proto", "Protocol", 9, 1, ipProtocol)
	b.uint("ip.checksum", "Header checksum", 10, 2, hex16)
	b.host("ip.src", "Source", 12, 4, "src")
	route := sourceRoute(b.b)
	if route > 0 {
		b.host("ip.cur_rt", "Next stop of the route", 16, 4, "dst")
		b.host("ip.dst", "Destination", route, 4, "")
	} else {
		b.host("ip.dst", "Destination", 16, 4, "dst")
	}
	b.options("ip", int(b.b[0]&0xf)*4, ipOptions)
}

// sourceRoute returns where the options have the final destination, the last address of a route
// (RFC 791, section 3.1), or 0 if there is none.
func sourceRoute(header []byte) int {
	for at := 20; at+1 < len(header) && header[at] != 0; {
		kind, size := header[at], int(header[at+1])
		switch {
		case kind == 1:
			size = 1
		case size < 2 || at+size > len(header):
			return 0
		case kind == 131 || kind == 137:
			if size < 7 || header[at+2] < 4 || header[at+2]&3 != 0 || int(header[at+2]) > size {
				return 0
			}
			return at + size - 4
		}
		at += size
	}
	return 0
}

var ipOptions = map[byte]string{0: "End of options", 1: "No operation", 7: "Record route", 68: "Timestamp", 130: "Security",
	131: "Loose source route", 136: "Stream", 137: "Strict source route", 148: "Router alert"}

// options adds the options of a header whose length it says. If not all of it was captured, there
// are those that were.
func (b *builder) options(protocol string, length int, names map[byte]string) {
	const fixed = 20
	list := func() { b.optionList(protocol+".option", fixed, names) }
	switch {
	case len(b.b) <= fixed:
	case len(b.b) < length:
		list()
	default:
		b.inside(b.raw(protocol+".options", "Options", fixed, len(b.b)-fixed), list)
	}
}

// optionList adds the options of IPv4 or TCP from a place to the end of the header.
func (b *builder) optionList(name string, at int, names map[byte]string) {
	for at < len(b.b) {
		kind, size := b.b[at], 1
		if kind > 1 {
			if !b.has(at, 2) || b.b[at+1] < 2 || !b.has(at, int(b.b[at+1])) {
				return
			}
			size = int(b.b[at+1])
		}
		label := names[kind]
		if label == "" {
			label = fmt.Sprintf("Option %d", kind)
		}
		value := ""
		if size > 2 {
			value = fmt.Sprintf("%x", b.b[at+2:at+size])
		}
		if show := optionValues[label]; show != nil && size > 2 {
			value = show(b.b[at+2 : at+size])
		}
		b.add(name, label, at, size, value)
		if at += size; kind == 0 {
			return
		}
	}
}

func (b *builder) ipv6() {
	b.bits("ipv6.version", "Version", 0, 1, 0xf0, decimal)
	f := b.bits("ipv6.tclass", "Traffic class", 0, 4, 0x0ff00000, hex8)
	b.inside(f, func() {
		b.bits("ipv6.tclass.dscp", "Codepoint", 0, 4, 0x0fc00000, codepoints)
		b.bits("ipv6.tclass.ecn", "Congestion notification", 0, 4, 0x00300000, congestion)
	})
	f = b.bits("ipv6.flow", "Flow label", 1, 3, 0x0fffff, func(n uint64) string { return fmt.Sprintf("0x%05x", n) })
	if f != nil {
		f.Filter = b.scope.bytes(0, 4, 0x000fffff, b.number(1, 3)&0x0fffff)
	}
	b.uint("ipv6.plen", "Payload length", 4, 2, decimal)
	b.uint("ipv6.nxt", "Next header", 6, 1, ipProtocol)
	b.uint("ipv6.hlim", "Hop limit", 7, 1, decimal)
	b.host("ipv6.src", "Source", 8, 16, "src")
	b.host("ipv6.dst", "Destination", 24, 16, "dst")
}

// options6 is the header of hop-by-hop and of destination options.
func (b *builder) options6() {
	header := "ipv6.hopopts"
	if _, is := b.layer.(*layers.IPv6Destination); is {
		header = "ipv6.dstopts"
	}
	b.uint(header+".nxt", "Next header", 0, 1, ipProtocol)
	b.uint(header+".len", "Length", 1, 1, decimal)
	for at := 2; b.has(at, 1); {
		size := 1
		name, label := "ipv6.opt.pad1", "Padding"
		if b.b[at] != 0 {
			name = "ipv6.opt"
			if !b.has(at, 2) || !b.has(at, 2+int(b.b[at+1])) {
				return
			}
			size = 2 + int(b.b[at+1])
			if b.b[at] != 1 {
				label = fmt.Sprintf("Option %d", b.b[at])
			}
		}
		b.raw(name, label, at, size)
		at += size
	}
}

func (b *builder) routing6() {
	b.uint("ipv6.routing.nxt", "Next header", 0, 1, ipProtocol)
	b.uint("ipv6.routing.len", "Length", 1, 1, decimal)
	b.uint("ipv6.routing.type", "Type", 2, 1, in(map[uint64]string{0: "source route", 2: "mobile IPv6", 3: "RPL", 4: "segments"}))
	b.uint("ipv6.routing.segleft", "Segments left", 3, 1, decimal)
	if b.has(2, 1) && (b.b[2] == 0 || b.b[2] == 2 || b.b[2] == 4) {
		for at := 8; b.has(at, 16) && at+16 <= 8+16*(int(b.b[1])/2); at += 16 {
			b.host("ipv6.routing.addr", "Address", at, 16, "")
		}
	}
}

func (b *builder) fragment6() {
	b.uint("ipv6.fraghdr.nxt", "Next header", 0, 1, ipProtocol)
	b.uint("ipv6.fraghdr.reserved_octet", "Reserved", 1, 1, hex8)
	b.bits("ipv6.fraghdr.offset", "Offset", 2, 2, 0xfff8, times(8, ""))
	b.bits("ipv6.fraghdr.reserved_bits", "Reserved bits", 2, 2, 0x0006, decimal)
	b.bits("ipv6.fraghdr.more", "More fragments", 2, 2, 0x0001, yesNo)
	b.uint("ipv6.fraghdr.ident", "Identification", 4, 4, hex32)
}

var icmpTypes = in(map[uint64]string{0: "echo reply", 3: "destination unreachable", 4: "source quench", 5: "redirect", 8: "echo request",
	9: "router advertisement", 10: "router solicitation", 11: "time exceeded", 12: "parameter problem",
	13: "timestamp request", 14: "timestamp reply"})

func (b *builder) icmp() {
	b.uint("icmp.type", "Type", 0, 1, icmpTypes)
	b.uint("icmp.code", "Code", 1, 1, decimal)
	b.uint("icmp.checksum", "Checksum", 2, 2, hex16)
	switch b.b[0] {
	case 0, 8, 13, 14:
		b.uint("icmp.ident", "Identifier", 4, 2, decimal)
		b.uint("icmp.seq", "Sequence number", 6, 2, decimal)
	case 5:
		b.host("icmp.redir_gw", "Gateway", 4, 4, "")
	case 3:
		b.uint("icmp.mtu", "MTU of the next hop", 6, 2, decimal)
	}
}

var icmp6Types = in(map[uint64]string{1: "destination unreachable", 2: "packet too big", 3: "time exceeded", 4: "parameter problem",
	128: "echo request", 129: "echo reply", 130: "multicast listener query", 131: "multicast listener report",
	132: "multicast listener done", 133: "router solicitation", 134: "router advertisement", 135: "neighbor solicitation",
	136: "neighbor advertisement", 137: "redirect", 143: "multicast listener report v2"})

func (b *builder) icmp6() {
	b.uint("icmpv6.type", "Type", 0, 1, icmp6Types)
	b.uint("icmpv6.code", "Code", 1, 1, decimal)
	b.uint("icmpv6.checksum", "Checksum", 2, 2, hex16)
}

func (b *builder) echo6() {
	b.uint("icmpv6.echo.identifier", "Identifier", 0, 2, decimal)
	b.uint("icmpv6.echo.sequence_number", "Sequence number", 2, 2, decimal)
}

func (b *builder) solicitation6() { b.host("icmpv6.nd.ns.target_address", "Target address", 4, 16, "") }

func (b *builder) advertisement6() {
	b.bits("icmpv6.nd.na.flag.r", "Router", 0, 4, 0x80000000, yesNo)
	b.bits("icmpv6.nd.na.flag.s", "Solicited", 0, 4, 0x40000000, yesNo)
	b.bits("icmpv6.nd.na.flag.o", "Override", 0, 4, 0x20000000, yesNo)
	b.host("icmpv6.nd.na.target_address", "Target address", 4, 16, "")
}

func (b *builder) igmp() {
	b.uint("igmp.type", "Type", 0, 1, in(map[uint64]string{0x11: "membership query", 0x12: "membership report v1", 0x16: "membership report v2",
		0x17: "leave group", 0x22: "membership report v3"}))
	b.uint("igmp.checksum", "Checksum", 2, 2, hex16)
	if b.b[0] != 0x22 {
		b.host("igmp.maddr", "Group", 4, 4, "")
	}
}
