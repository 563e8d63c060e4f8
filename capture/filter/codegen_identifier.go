package filter

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// lookupLimit bounds the time for one host name.
const lookupLimit = 5 * time.Second

// identifier compiles an identifier as its qualifiers say.
func (g *generator) identifier(id *identifier) *condition {
	switch id.kind {
	case identEther:
		return g.etherIdentifier(id)
	case identARCnet:
		g.fail("ARCnet address %q: ARCnet captures are not supported", id.text)
	case identIPv6:
		return g.ipv6Identifier(id)
	case identQuadLen, identQuadMask:
		return g.maskedIdentifier(id)
	case identQuad, identNumber:
		return g.numericIdentifier(id)
	}
	return g.namedIdentifier(id)
}

// unqualified fails for an identifier where no qualifiers are in force.
func (g *generator) unqualified(id *identifier) {
	text := id.text
	if id.kind == identNumber {
		text = strconv.FormatUint(uint64(id.number), 10)
	}
	g.fail("nothing says what %q is: repeat the qualifier before it (such as host, net or port)", text)
}

func (g *generator) etherIdentifier(id *identifier) *condition {
	if id.q.typ != typeHost && id.q.typ != typeDefault || id.q.proto != protoLink {
		g.fail(`Ethernet address %q needs "ether" before it, as in "ether host %s"`, id.text, id.text)
	}
	return g.etherHost(parseEther(id.text), id.q.dir)
}

// parseEther reads an address that the lexer has accepted.
func parseEther(s string) (address [6]byte) {
	digits := make([]byte, 0, 12)
	add := func(part string) { digits = append(digits, part...) }
	if groups := strings.FieldsFunc(s,
		func(r rune) bool { return r == ':' || r == '-' || r == '.' }); len(groups) == 6 {
		for _, p := range groups {
			if len(p) == 1 {
				add("0")
			}
			add(p)
		}
	} else {
		for _, p := range groups {
			add(p)
		}
	}
	for i := range address {
		v, _ := strconv.ParseUint(string(digits[2*i:2*i+2]), 16, 8)
		address[i] = byte(v)
	}
	return address
}

func (g *generator) ipv6Identifier(id *identifier) *condition {
	a, err := netip.ParseAddr(id.text)
	if err != nil {
		g.fail("%q is not a valid IPv6 address", id.text)
	}
	if id.bits > 128 {
		g.fail("an IPv6 network has at most 128 bits, not %d", id.bits)
	}
	a = netip.AddrFrom16(a.As16())
	if p, err := a.Prefix(int(id.bits)); err != nil || p.Addr().As16() != a.As16() {
		g.fail("%s/%d has bits set after the first %d", id.text, id.bits, id.bits)
	}
	switch id.q.typ {
	case typeDefault, typeHost:
		if id.bits != 128 {
			g.fail(`a number of bits is for networks only: "net %s/%d"`, id.text, id.bits)
		}
	case typeNet:
	case typeUndefined:
		g.unqualified(id)
	default:
		g.fail("%q does not take an IPv6 address", id.q.typ)
	}
	return g.host6(a, id.bits, id.q)
}

// quad reads a whole or partial IPv4 address and returns its value and how many bits it has.
func (g *generator) quad(s string) (v, bits uint32) {
	for _, part := range strings.Split(s, ".") {
		n, err := strconv.ParseUint(part, 10, 32)
		if err != nil || n > 255 {
			g.fail("%q is not an IPv4 address: every part must be a decimal number of at most 255", s)
		}
		v = v<<8 | uint32(n)
		bits += 8
	}
	return v, bits
}

func (g *generator) maskedIdentifier(id *identifier) *condition {
	v, bits := g.quad(id.text)
	address := v << (32 - bits)
	var mask uint32
	if id.kind == identQuadMask {
		m, bits := g.quad(id.mask)
		mask = m << (32 - bits)
		if address&^mask != 0 {
			g.fail("%s has bits set outside the mask %s", id.text, id.mask)
		}
	} else {
		if id.bits > 32 {
			g.fail("an IPv4 network has at most 32 bits, not %d", id.bits)
		}
		mask = uint32(uint64(0xffffffff00000000) >> id.bits)
		if address&^mask != 0 {
			g.fail("%s/%d has bits set after the first %d", id.text, id.bits, id.bits)
		}
	}
	if id.q.typ != typeNet {
		if id.q.typ == typeUndefined {
			g.unqualified(id)
		}
		g.fail("a mask is for networks only: write net instead of %s", id.q.typ)
	}
	return g.host(address, mask, id.q)
}

// numericIdentifier compiles a number, a quad or part of one.
func (g *generator) numericIdentifier(id *identifier) *condition {
	v, bits := id.number, uint32(32)
	if id.kind == identQuad {
		switch id.q.typ {
		case typeDefault, typeHost, typeNet, typeUndefined:
		default:
			g.fail("%q does not take an IPv4 address", id.q.typ)
		}
		if id.q.proto == protoDECnet {
			v = g.decnetAddress(id.text)
		} else {
			v, bits = g.quad(id.text)
		}
	}
	switch id.q.typ {
	case typeDefault, typeHost, typeNet:
		switch {
		case id.q.proto == protoDECnet:
			return g.host(v, 0, id.q)
		case id.q.proto == protoLink:
			g.fail("%q is not an Ethernet address", id.text)
		}
		mask := uint32(0xffffffff)
		if id.kind == identNumber && id.q.typ == typeNet {
			// A bare number is the first part of a network: net 10 is 10/8.
			for v != 0 && v>>24 == 0 {
				v <<= 8
				mask <<= 8
			}
		} else {
			v <<= 32 - bits
			mask <<= 32 - bits
		}
		return g.host(v, mask, id.q)
	case typePort, typePortRange:
		p := ports{low: v, high: v, ranged: id.q.typ == typePortRange, transport: g.transport(id.q)}
		if v > 65535 {
			g.fail("port %d is above 65535", v)
		}
		return g.port(p, id.q.dir)
	case typeProto:
		return g.protocolNumber(v, id.q)
	case typeProtoChain:
		return g.protocolChain(v, id.q.proto)
	case typeGateway:
		g.fail("gateway takes the name of a host")
	}
	g.unqualified(id)
	return nil
}

// transport returns the transport that the protocol qualifier of a port names.
func (g *generator) transport(q qualifiers) uint32 {
	switch q.proto {
	case protoDefault:
		return ipAny
	case protoTCP:
		return ipTCP
	case protoUDP:
		return ipUDP
	case protoSCTP:
		return ipSCTP
	}
	g.fail("%q has no ports; tcp, udp and sctp have", q.proto)
	return 0
}

// decnetAddress reads AREA.NODE.
func (g *generator) decnetAddress(s string) uint32 {
	area, node, _ := strings.Cut(s, ".")
	if i := strings.IndexByte(node, '.'); i >= 0 {
		node = node[:i]
	}
	a, errA := strconv.ParseUint(area, 10, 32)
	n, errN := strconv.ParseUint(node, 10, 32)
	if errA != nil || errN != nil {
		g.fail("%q is not a DECnet address such as 10.123", s)
	}
	return uint32(a)<<10&0xfc00 | uint32(n)&0x3ff
}

// namedIdentifier compiles a name.
func (g *generator) namedIdentifier(id *identifier) *condition {
	switch id.q.typ {
	case typeNet:
		v, ok := g.resolver().Network(id.text)
		if !ok {
			g.fail("network %q is not known", id.text)
		}
		mask := uint32(0xffffffff)
		for v != 0 && v>>24 == 0 {
			v <<= 8
			mask <<= 8
		}
		return g.host(v, mask, id.q)
	case typeDefault, typeHost:
		return g.hostName(id)
	case typePort:
		return g.port(g.portName(id.text, id.q), id.q.dir)
	case typePortRange:
		return g.port(g.portRange(id.text, id.q), id.q.dir)
	case typeGateway:
		return g.gateway(id.text, id.q)
	case typeProto:
		return g.protocolNumber(g.protocolName(id.text, id.q.proto), id.q)
	case typeProtoChain:
		return g.protocolChain(g.protocolName(id.text, id.q.proto), id.q.proto)
	}
	g.failHint(suggestion(id.text),
		"nothing says what %q is: repeat the qualifier before it (such as host, net or port)", id.text)
	return nil
}

// hostName tests for any of the addresses of a host.
func (g *generator) hostName(id *identifier) *condition {
	q := id.q
	switch q.proto {
	case protoLink:
		if !g.hasAddresses() {
			g.fail("there are no Ethernet addresses on link type %s", g.linkType)
		}
		ether, ok := g.resolver().Ether(id.text)
		if !ok {
			g.fail("no Ethernet address is known for %q", id.text)
		}
		return g.etherHost(ether, q.dir)
	case protoDECnet:
		g.fail("DECnet host %q is not known; write its address, such as 10.123", id.text)
	}
	v4, v6 := q, q
	if g.typeless && q.proto == protoDefault {
		// Nothing but IP is there, so that ARP need not be looked for.
		v4.proto, v6.proto = protoIP, protoIPv6
	}
	var c *condition
	for _, a := range g.addresses(id.text) {
		var one *condition
		switch {
		case a.Is4() && v4.proto != protoIPv6:
			four := a.As4()
			one = g.host(binary.BigEndian.Uint32(four[:]), 0xffffffff, v4)
		case !a.Is4() && v6.proto != protoIP:
			one = g.host6(a, 128, v6)
		default:
			continue
		}
		if c == nil {
			c = one
		} else {
			c = or(c, one)
		}
	}
	if c == nil {
		g.fail("host %q has no %s address", id.text, q.proto)
	}
	return c
}
