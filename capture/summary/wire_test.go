package summary

import (
	"encoding/binary"

	"diagsh/capture"
)

// A wire is a TCP segment of one connection, as it is on the wire.
type wire struct {
	connection uint16 // which also determines the addresses
	back       bool   // from the server
	v6         bool
	flags      byte
	seq, ack   uint32
	window     uint16
	options    []byte
	data       int
	id         uint16 // of IPv4
}

// ip returns its packet from the IP header on.
func (s wire) ip() []byte {
	options := append([]byte(nil), s.options...)
	for len(options)%4 != 0 {
		options = append(options, 1)
	}
	t := make([]byte, 20, 20+len(options)+s.data)
	from, to := uint16(30000)+s.connection, uint16(80)
	if s.back {
		from, to = to, from
	}
	binary.BigEndian.PutUint16(t, from)
	binary.BigEndian.PutUint16(t[2:], to)
	binary.BigEndian.PutUint32(t[4:], s.seq)
	binary.BigEndian.PutUint32(t[8:], s.ack)
	t[12], t[13] = byte(20+len(options))/4<<4, s.flags
	binary.BigEndian.PutUint16(t[14:], s.window)
	t = append(append(t, options...), make([]byte, s.data)...)
	client, server := []byte{10, 0, byte(s.connection >> 8), byte(s.connection)}, []byte{192, 0, 2, 1}
	if s.back {
		client, server = server, client
	}
	if s.v6 {
		return ipv6(6, client, server, t)
	}
	return ipv4(6, s.id, 0, client, server, t)
}

func ipv4(protocol byte, id, fragment uint16, source, target, inside []byte) []byte {
	b := make([]byte, 20, 20+len(inside))
	b[0], b[8], b[9] = 0x45, 64, protocol
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(inside)))
	binary.BigEndian.PutUint16(b[4:], id)
	binary.BigEndian.PutUint16(b[6:], fragment)
	copy(b[12:], source)
	copy(b[16:], target)
	return append(b, inside...)
}

func ipv6(next byte, source, target, inside []byte) []byte {
	b := make([]byte, 40, 40+len(inside))
	b[0], b[6], b[7] = 0x60, next, 64
	binary.BigEndian.PutUint16(b[4:], uint16(len(inside)))
	copy(b[8:], []byte{0x20, 1, 0xd, 0xb8})
	copy(b[20:], source)
	copy(b[24:], []byte{0x20, 1, 0xd, 0xb8})
	copy(b[36:], target)
	return append(b, inside...)
}

// join concatenates bytes.
func join(parts ...[]byte) (all []byte) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

var (
	outer  = []byte{172, 16, 0, 1}
	outer2 = []byte{172, 16, 0, 2}
	macs   = []byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1}
)

func kind(ip []byte) []byte {
	if ip[0]>>4 == 6 {
		return []byte{0x86, 0xdd}
	}
	return []byte{8, 0}
}

func pppKind(ip []byte) []byte {
	if ip[0]>>4 == 6 {
		return []byte{0, 0x57}
	}
	return []byte{0, 0x21}
}

func ethernet(ip []byte) []byte { return join(macs, kind(ip), ip) }

func inUDP(port uint16, inside []byte) []byte {
	b := make([]byte, 8, 8+len(inside))
	binary.BigEndian.PutUint16(b, 40000)
	binary.BigEndian.PutUint16(b[2:], port)
	binary.BigEndian.PutUint16(b[4:], uint16(8+len(inside)))
	return ethernet(ipv4(17, 0, 0, outer, outer2, append(b, inside...)))
}

func inGRE(head []byte, inside []byte) []byte {
	return ethernet(ipv4(47, 0, 0, outer, outer2, join(head, inside)))
}

func snap(ip []byte) []byte { return join([]byte{0xaa, 0xaa, 3, 0, 0, 0}, kind(ip), ip) }

// wrapping is a link, or a tunnel in Ethernet, that IP packets come in.
type wrapping struct {
	name string
	link capture.LinkType
	wrap func(ip []byte) []byte
}

var wrappings = []wrapping{
	{"ethernet", 1, ethernet},
	{"vlan", 1, func(ip []byte) []byte { return join(macs, []byte{0x81, 0, 0, 5}, kind(ip), ip) }},
	{"qinq", 1, func(ip []byte) []byte { return join(macs, []byte{0x88, 0xa8, 0, 5, 0x81, 0, 0, 6}, kind(ip), ip) }},
	{"old qinq", 1, func(ip []byte) []byte { return join(macs, []byte{0x91, 0, 0, 5, 0x81, 0, 0, 6}, kind(ip), ip) }},
	{"802.3 and snap", 1, func(ip []byte) []byte {
		inside := snap(ip)
		return join(macs, []byte{byte(len(inside) >> 8), byte(len(inside))}, inside)
	}},
	{"padding", 1, func(ip []byte) []byte { return join(ethernet(ip), make([]byte, 30)) }},
	{"pppoe", 1, func(ip []byte) []byte {
		return join(macs, []byte{0x88, 0x64, 0x11, 0, 0, 9, byte((len(ip) + 2) >> 8), byte(len(ip) + 2)},
			pppKind(ip), ip)
	}},
	{"mpls", 1, func(ip []byte) []byte { return join(macs, []byte{0x88, 0x47, 0, 1, 1, 64}, ip) }},
	{"mpls twice", 1, func(ip []byte) []byte { return join(macs, []byte{0x88, 0x47, 0, 1, 0, 64, 0, 2, 1, 64}, ip) }},
	{"gre", 1, func(ip []byte) []byte { return inGRE(join([]byte{0, 0}, kind(ip)), ip) }},
	{"gre with key, sum and number", 1,
		func(ip []byte) []byte { return inGRE(join([]byte{0xb0, 0}, kind(ip), make([]byte, 12)), ip) }},
	{"gre with ethernet", 1, func(ip []byte) []byte { return inGRE([]byte{0, 0, 0x65, 0x58}, ethernet(ip)) }},
	{"gre with ppp", 1, func(ip []byte) []byte {
		return inGRE(join([]byte{0x30, 0x81, 0x88, 0x0b}, []byte{byte((len(ip) + 4) >> 8), byte(len(ip) + 4), 0, 1},
			make([]byte, 8), []byte{0xff, 3}, pppKind(ip)), ip)
	}},
	{"erspan", 1, func(ip []byte) []byte {
		return inGRE(join([]byte{0x10, 0, 0x88, 0xbe}, make([]byte, 4), []byte{0x10, 1, 0, 1, 0, 0, 0, 0}),
			ethernet(ip))
	}},
	{"ip in ip", 1, func(ip []byte) []byte {
		if ip[0]>>4 == 6 {
			return ethernet(ipv4(41, 0, 0, outer, outer2, ip))
		}
		return ethernet(ipv4(4, 0, 0, outer, outer2, ip))
	}},
	{"ip in ipv6", 1, func(ip []byte) []byte {
		if ip[0]>>4 == 6 {
			return ethernet(ipv6(41, outer, outer2, ip))
		}
		return ethernet(ipv6(4, outer, outer2, ip))
	}},
	{"ipv6 with options", 1, func(ip []byte) []byte {
		if ip[0]>>4 != 6 {
			return ethernet(ip)
		}
		b := join(ip[:40], []byte{60, 0, 1, 4, 0, 0, 0, 0}, []byte{ip[6], 0, 1, 4, 0, 0, 0, 0}, ip[40:])
		b[6] = 0
		binary.BigEndian.PutUint16(b[4:], uint16(len(b)-40))
		return ethernet(b)
	}},
	{"ah", 1, func(ip []byte) []byte {
		at, next := 20, 9
		if ip[0]>>4 == 6 {
			at, next = 40, 6
		}
		b := join(ip[:at], []byte{ip[next], 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1}, make([]byte, 12), ip[at:])
		b[next] = 51
		if at == 20 {
			binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
		} else {
			binary.BigEndian.PutUint16(b[4:], uint16(len(b)-40))
		}
		return ethernet(b)
	}},
	{"etherip", 1, func(ip []byte) []byte {
		return ethernet(ipv4(97, 0, 0, outer, outer2, join([]byte{0x30, 0}, ethernet(ip))))
	}},
	{"vxlan", 1, func(ip []byte) []byte { return inUDP(4789, join([]byte{8, 0, 0, 0, 0, 0, 7, 0}, ethernet(ip))) }},
	{"vxlan-gpe", 1,
		func(ip []byte) []byte { return inUDP(4790, join([]byte{12, 0, 0, 3, 0, 0, 7, 0}, ethernet(ip))) }},
	{"geneve", 1, func(ip []byte) []byte {
		return inUDP(6081, join([]byte{2, 0, 0x65, 0x58, 0, 0, 7, 0, 1, 2, 3, 1, 0, 0, 0, 0}, ethernet(ip)))
	}},
	{"geneve with ip", 1,
		func(ip []byte) []byte { return inUDP(6081, join([]byte{0, 0}, kind(ip), []byte{0, 0, 7, 0}, ip)) }},
	{"gtp", 1, func(ip []byte) []byte {
		return inUDP(2152, join([]byte{0x30, 255, byte(len(ip) >> 8), byte(len(ip)), 0, 0, 0, 1}, ip))
	}},
	{"gtp with an extension", 1, func(ip []byte) []byte {
		n := len(ip) + 8
		return inUDP(2152, join([]byte{0x34, 255, byte(n >> 8), byte(n), 0, 0, 0, 1, 0, 0, 0, 0x85, 1, 0, 9, 0}, ip))
	}},
	{"l2tp", 1, func(ip []byte) []byte {
		return inUDP(1701, join([]byte{0x00, 2, 0, 1, 0, 2, 0xff, 3}, pppKind(ip), ip))
	}},
	{"mpls in udp", 1, func(ip []byte) []byte { return inUDP(6635, join([]byte{0, 1, 1, 64}, ip)) }},
	{"tzsp", 1, func(ip []byte) []byte { return inUDP(37008, join([]byte{1, 0, 0, 1, 1}, ethernet(ip))) }},
	{"null", 0, func(ip []byte) []byte {
		if ip[0]>>4 == 6 {
			return join([]byte{30, 0, 0, 0}, ip)
		}
		return join([]byte{2, 0, 0, 0}, ip)
	}},
	{"loop", 108, func(ip []byte) []byte {
		if ip[0]>>4 == 6 {
			return join([]byte{0, 0, 0, 24}, ip)
		}
		return join([]byte{0, 0, 0, 2}, ip)
	}},
	{"raw", 101, func(ip []byte) []byte { return ip }},
	{"cooked", 113,
		func(ip []byte) []byte { return join([]byte{0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0}, kind(ip), ip) }},
	{"cooked 2", 276, func(ip []byte) []byte {
		return join(kind(ip), []byte{0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0}, ip)
	}},
	{"cooked 2 and vlan", 276, func(ip []byte) []byte {
		return join([]byte{0x81, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 0, 5}, kind(ip), ip)
	}},
	{"ppp", 9, func(ip []byte) []byte { return join([]byte{0xff, 3}, pppKind(ip), ip) }},
	{"ppp without address", 9, func(ip []byte) []byte { return join(pppKind(ip), ip) }},
	{"ppp in hdlc", 50, func(ip []byte) []byte { return join([]byte{0xff, 3}, pppKind(ip), ip) }},
	{"ppp with direction", 204, func(ip []byte) []byte { return join([]byte{1, 0xff, 3}, pppKind(ip), ip) }},
	{"cisco hdlc", 104, func(ip []byte) []byte { return join([]byte{0x0f, 0}, kind(ip), ip) }},
	{"frame relay", 107, func(ip []byte) []byte {
		if ip[0]>>4 == 6 {
			return join([]byte{0x18, 0x41, 3, 0x8e}, ip)
		}
		return join([]byte{0x18, 0x41, 3, 0xcc}, ip)
	}},
	{"firewire", 138, func(ip []byte) []byte { return join(make([]byte, 16), kind(ip), ip) }},
	{"fddi", 10, func(ip []byte) []byte { return join([]byte{0x50}, macs, snap(ip)) }},
	{"token ring", 6, func(ip []byte) []byte { return join([]byte{0x10, 0x40}, macs, snap(ip)) }},
	{"nflog", 239, func(ip []byte) []byte {
		n := len(ip) + 4
		return join([]byte{2, 0, 0, 1, 8, 0, 1, 0, 8, 0, 3, 0, byte(n), byte(n >> 8), 9, 0}, ip, make([]byte, -n&3))
	}},
	{"802.11", 105,
		func(ip []byte) []byte { return join([]byte{8, 1, 0, 0}, macs, macs[:6], []byte{0x10, 0}, snap(ip)) }},
	{"802.11 between access points, with quality", 105, func(ip []byte) []byte {
		return join([]byte{0x88, 3, 0, 0}, macs, macs[:6], []byte{0x10, 0}, macs[6:], []byte{0, 0}, snap(ip))
	}},
	{"radiotap", 127, func(ip []byte) []byte {
		return join([]byte{0, 0, 9, 0, 2, 0, 0, 0, 0}, []byte{8, 1, 0, 0}, macs, macs[:6], []byte{0x10, 0}, snap(ip))
	}},
	{"radiotap with padding", 127, func(ip []byte) []byte {
		return join([]byte{0, 0, 17, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x20}, []byte{0x88, 1, 0, 0}, macs,
			macs[:6], []byte{0x10, 0, 0, 0, 0, 0}, snap(ip))
	}},
	{"ppi", 192, func(ip []byte) []byte { return join([]byte{0, 0, 8, 0, 1, 0, 0, 0}, ethernet(ip)) }},
}
