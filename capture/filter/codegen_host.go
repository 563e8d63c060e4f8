package filter

import (
	"encoding/binary"
	"net/netip"
)

// eachEnd combines a test of the source with one of the destination as the direction says.
func (g *generator) eachEnd(d direction, src, dst func() *condition) *condition {
	switch d {
	case dirSrc:
		return src()
	case dirDst:
		return dst()
	case dirSrcAndDst:
		first := src()
		return and(first, dst())
	case dirDefault, dirSrcOrDst:
		first := src()
		return or(first, dst())
	}
	g.fail("%q applies only to 802.11 MAC addresses", d)
	return nil
}

// host tests the addresses of a packet against an IPv4 address under a mask.
func (g *generator) host(address, mask uint32, q qualifiers) *condition {
	switch q.proto {
	case protoDefault:
		q.proto = protoIP
		c := g.host(address, mask, q)
		if g.labels == 0 { // ARP does not travel over MPLS
			q.proto = protoARP
			c = or(c, g.host(address, mask, q))
			q.proto = protoRARP
			c = or(c, g.host(address, mask, q))
		}
		return c
	case protoIP:
		return g.hostIn(etherIP, 12, 16, address, mask, q.dir)
	case protoARP:
		return g.hostIn(etherARP, 14, 24, address, mask, q.dir)
	case protoRARP:
		return g.hostIn(etherRARP, 14, 24, address, mask, q.dir)
	case protoDECnet:
		return g.hostDECnet(address, q.dir)
	}
	g.fail("%q cannot qualify an IPv4 %s; ip, arp and rarp can", q.proto, q.typ)
	return nil
}

func (g *generator) hostIn(proto, srcAt, dstAt, address, mask uint32, d direction) *condition {
	at := func(offset uint32) func() *condition {
		return func() *condition {
			c := g.linkProtocol(proto)
			return and(c, g.equalMasked(fromNetwork, offset, sizeW, address, mask))
		}
	}
	return g.eachEnd(d, at(srcAt), at(dstAt))
}

// host6 tests the addresses of a packet against an IPv6 address under a mask of some bits.
func (g *generator) host6(address netip.Addr, bits uint32, q qualifiers) *condition {
	if q.proto != protoDefault && q.proto != protoIPv6 {
		g.fail("%q cannot qualify an IPv6 %s; ip6 can", q.proto, q.typ)
	}
	a := address.As16()
	at := func(offset uint32) func() *condition {
		return func() *condition {
			var words *condition
			for word := 3; word >= 0; word-- {
				value := binary.BigEndian.Uint32(a[4*word:])
				part := g.equalMasked(fromNetwork, offset+uint32(4*word), sizeW, value, wordMask(bits, word))
				if words == nil {
					words = part
				} else {
					words = and(part, words)
				}
			}
			return and(g.linkProtocol(etherIPv6), words)
		}
	}
	return g.eachEnd(q.dir, at(8), at(24))
}

// wordMask returns the mask of the given 32-bit word of an IPv6 address for a prefix of some bits.
func wordMask(bits uint32, word int) uint32 {
	inWord := min(max(int(bits)-32*word, 0), 32)
	return uint32(uint64(0xffffffff00000000) >> inWord)
}

// hostDECnet tests a DECnet node address. The header comes long or short, and after padding or not,
// so the address has four possible places; it is little-endian.
func (g *generator) hostDECnet(address uint32, d direction) *condition {
	address = address>>8&0xff | address&0xff<<8
	at := func(short, long uint32) func() *condition {
		return func() *condition {
			form := func(flags *condition, offset uint32) *condition {
				return and(flags, g.equal(fromNetwork, offset, sizeH, address))
			}
			link := g.linkProtocol(etherDECnet)
			c := form(g.equalMasked(fromNetwork, 2, sizeB, 0x02, 0x07), 2+short)
			c = or(c, form(g.equalMasked(fromNetwork, 2, sizeH, 0x8102, 0xff07), 3+short))
			c = or(c, form(g.equalMasked(fromNetwork, 2, sizeB, 0x06, 0x07), 2+long))
			c = or(c, form(g.equalMasked(fromNetwork, 2, sizeH, 0x8106, 0xff07), 3+long))
			return and(link, c)
		}
	}
	return g.eachEnd(d, at(3, 15), at(1, 7))
}

// etherHost tests the addresses of the link-layer header.
func (g *generator) etherHost(address [6]byte, d direction) *condition {
	if g.isWLAN() {
		return g.wlanHost(address, d)
	}
	if g.linkType != EN10MB {
		g.fail("there are no Ethernet addresses on link type %s", g.linkType)
	}
	at := func(offset uint32) func() *condition {
		return func() *condition { return g.equalBytes(fromLink, offset, address[:]) }
	}
	if d >= dirAddr1 {
		g.fail("%q applies only to 802.11", d)
	}
	return g.withLinkLayer(func() *condition { return g.eachEnd(d, at(6), at(0)) })
}

// withLinkLayer guards a test of an Ethernet header that may be missing inside a tunnel.
func (g *generator) withLinkLayer(test func() *condition) *condition {
	if !g.tunnelled {
		return test()
	}
	present := g.tunnelHasEthernet()
	return and(present, test())
}

// broadcast tests for frames or IPv4 packets to everybody.
func (g *generator) broadcast(p protocol) *condition {
	switch p {
	case protoDefault, protoLink:
		if !g.hasAddresses() {
			g.fail("there is no link-layer broadcast on link type %s", g.linkType)
		}
		return g.etherHost([6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, dirDst)
	case protoIP:
		if g.target.NetmaskUnknown || g.target.Netmask == 0xffffffff {
			g.fail(`"ip broadcast" needs the netmask of the network, which is not known`)
		}
		hosts := ^g.target.Netmask
		ip := g.linkProtocol(etherIP)
		zeros := g.equalMasked(fromNetwork, 16, sizeW, 0, hosts)
		return and(ip, or(zeros, g.equalMasked(fromNetwork, 16, sizeW, hosts, hosts)))
	}
	g.fail("%q has no broadcast; ether and ip have", p)
	return nil
}

// multicast tests for frames or packets to a group.
func (g *generator) multicast(p protocol) *condition {
	switch p {
	case protoDefault, protoLink:
		if g.isWLAN() {
			return g.wlanMulticast()
		}
		if g.linkType != EN10MB {
			g.fail("there is no link-layer multicast on link type %s", g.linkType)
		}
		return g.withLinkLayer(func() *condition { return g.groupBit(0) })
	case protoIP:
		ip := g.linkProtocol(etherIP)
		return and(ip, g.atLeast(fromNetwork, 16, sizeB, 224))
	case protoIPv6:
		ip6 := g.linkProtocol(etherIPv6)
		return and(ip6, g.equal(fromNetwork, 24, sizeB, 255))
	}
	g.fail("%q has no multicast; ether, ip and ip6 have", p)
	return nil
}

// groupBit tests the group bit of the MAC address at an offset.
func (g *generator) groupBit(at uint32) *condition { return g.anyBit(fromLink, at, sizeB, 1) }

// gateway tests for packets that go through a host but are not for or from it: its Ethernet address
// and none of its IPv4 addresses.
func (g *generator) gateway(name string, q qualifiers) *condition {
	switch q.proto {
	case protoDefault, protoIP, protoARP, protoRARP:
	default:
		g.fail("%q cannot qualify gateway; ip, arp and rarp can", q.proto)
	}
	if !g.hasAddresses() {
		g.fail("gateway needs Ethernet addresses, which link type %s does not have", g.linkType)
	}
	ether, ok := g.resolver().Ether(name)
	if !ok {
		g.fail("no Ethernet address is known for %q", name)
	}
	var c *condition
	through := g.etherHost(ether, dirSrcOrDst)
	for _, a := range g.addresses(name) {
		if !a.Is4() {
			continue
		}
		v4 := a.As4()
		host := g.host(binary.BigEndian.Uint32(v4[:]), 0xffffffff,
			qualifiers{proto: q.proto, dir: dirSrcOrDst, typ: typeHost})
		if c == nil {
			c = host
		} else {
			c = or(c, host)
		}
	}
	if c == nil {
		g.fail("no IPv4 address is known for %q", name)
	}
	return and(through, not(c))
}
