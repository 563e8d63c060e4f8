package filter

// Numbers of protocols above IP.
const (
	ipICMP     = 1
	ipIGMP     = 2
	ipTCP      = 6
	ipIGRP     = 9
	ipUDP      = 17
	ipRouting  = 43
	ipFragment = 44
	ipESP      = 50
	ipAH       = 51
	ipICMPv6   = 58
	ipNoNext   = 59
	ipDestOpts = 60
	ipPIM      = 103
	ipVRRP     = 112 // and CARP
	ipSCTP     = 132

	ipAny = 0xffffffff // all transports that have ports

	ipv6HeaderLength = 40
	fragmentOffset   = 0x1fff // in the field at byte 6 of the IPv4 header
)

// ports is a range of ports of a transport, ipAny for TCP, UDP and SCTP.
type ports struct {
	low, high uint32
	ranged    bool // compare as a range even if it is one port
	transport uint32
}

// port tests for ports, over IPv6 and over IPv4.
func (g *generator) port(p ports, d direction) *condition {
	if d >= dirAddr1 {
		g.fail("%q applies only to 802.11 MAC addresses", d)
	}
	v6 := g.portOver(etherIPv6, p, d)
	return or(v6, g.portOver(etherIP, p, d))
}

// portOver tests for ports over one version of IP.
func (g *generator) portOver(ip uint32, p ports, d direction) *condition {
	link := g.linkProtocol(ip)
	if p.transport != ipAny {
		return and(link, g.portOf(ip, p.transport, p, d))
	}
	c := g.portOf(ip, ipSCTP, p, d)
	c = or(c, g.portOf(ip, ipTCP, p, d))
	c = or(c, g.portOf(ip, ipUDP, p, d))
	return and(link, c)
}

// portOf tests for ports of one transport. A later fragment has no ports. Extension headers of IPv6
// are not skipped.
func (g *generator) portOf(ip, transport uint32, p ports, d direction) *condition {
	var c *condition
	from := fromIPv6Transport
	if ip == etherIP {
		from = fromIPv4Transport
		c = and(g.equal(fromNetwork, 9, sizeB, transport), g.firstFragment())
	} else {
		c = g.equal(fromNetwork, 6, sizeB, transport)
	}
	at := func(offset uint32) func() *condition {
		return func() *condition { return g.portAt(from, offset, p) }
	}
	return and(c, g.eachEnd(d, at(0), at(2)))
}

func (g *generator) portAt(from base, at uint32, p ports) *condition {
	if !p.ranged {
		return g.equal(from, at, sizeH, p.low)
	}
	low := g.atLeast(from, at, sizeH, p.low)
	return and(low, not(g.greater(from, at, sizeH, p.high)))
}

// firstFragment is true if the IPv4 packet is no later fragment.
func (g *generator) firstFragment() *condition {
	return not(g.anyBit(fromNetwork, 6, sizeH, fragmentOffset))
}
