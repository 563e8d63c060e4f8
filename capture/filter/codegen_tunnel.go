package filter

// Primitives that move the offsets for everything to their right. What moves is the generator's
// idea of the packet, so the effect follows the text: neither parentheses nor "or" end it.

// vlan tests for a VLAN tag and moves after it.
func (g *generator) vlan(n *primitive) *condition {
	if g.labels > 0 {
		g.fail("vlan cannot follow mpls")
	}
	if g.linkType != EN10MB && !g.isWLAN() {
		g.fail("there are no VLAN tags on link type %s", g.linkType)
	}
	if n.hasNumber && n.number > 0xfff {
		g.fail("VLAN %d is above 4095", n.number)
	}
	var c *condition
	if g.target.Kind == Live && g.linkType == EN10MB && g.vlans == 0 && g.link == g.outerLink {
		c = g.vlanLive(n)
	} else {
		c = g.vlanTag()
		if n.hasNumber {
			c = and(c, g.equalMasked(fromNetwork, 0, sizeH, n.number, 0xfff))
		}
		g.payload.constant += 4
		g.typeAt.constant += 4
	}
	g.vlans++
	return c
}

// vlanTag tests for one of the three types of VLAN tags.
func (g *generator) vlanTag() *condition {
	c := g.linkProtocol(etherVLAN)
	c = or(c, g.linkProtocol(etherVLANAD))
	return or(c, g.linkProtocol(etherVLANOld))
}

// vlanLive tests for the outermost tag on a Linux packet socket. The kernel takes that tag out of
// the packet and keeps it as metadata, unless the driver or the path of the packet leaves it in.
// Where the rest of the packet begins is therefore known only at run time: the offsets of type and
// payload get a variable part, the same, which the prologue sets to 0 and the test for a tag in the
// packet to 4.
func (g *generator) vlanLive(n *primitive) *condition {
	present := func() *condition { return g.equal(fromPacket, ancillaryVLANPresent, sizeB, 1) }
	tag := g.vlanTag()
	var inPacket *condition
	if n.hasNumber {
		inPacket = g.equalMasked(fromNetwork, 0, sizeH, n.number, 0xfff)
	}
	g.vlanInMeta = true
	r := g.reserve()
	for _, o := range []*offset{g.payload, g.typeAt} {
		o.variable, o.register = true, r
	}
	tag.head.stmts = append(g.list(statement{codeLoadImm, 4}, statement{codeStore, uint32(r)}), tag.head.stmts...)
	c := or(present(), tag)
	if n.hasNumber {
		inMeta := g.equalMasked(fromPacket, ancillaryVLANTag, sizeH, n.number, 0xfff)
		where := present()
		where.yes.patch(inMeta.head)
		where.no.patch(inPacket.head)
		c = and(c, g.condition(condition{head: where.head, yes: inMeta.yes.join(inPacket.yes),
			no: inMeta.no.join(inPacket.no)}))
	}
	return c
}

// mpls tests for an MPLS label and moves after it.
func (g *generator) mpls(n *primitive) *condition {
	var c *condition
	if g.labels > 0 {
		// The label before must not be the bottom of the stack.
		c = g.equalMasked(fromPreviousLabel, 2, sizeB, 0, 1)
	} else {
		switch g.linkType {
		case EN10MB, CiscoHDLC:
			c = g.linkProtocol(etherMPLS)
		case PPP:
			c = g.linkProtocol(pppMPLS)
		default:
			g.fail("there is no MPLS on link type %s", g.linkType)
		}
	}
	if n.hasNumber {
		if n.number > 0xfffff {
			g.fail("MPLS label %d is above %d", n.number, 0xfffff)
		}
		c = and(c, g.equalMasked(fromNetwork, 0, sizeW, n.number<<12, 0xfffff000))
	}
	g.network += 4
	g.noSNAP += 4
	g.labels++
	return c
}

// mplsProtocol tests for a protocol after MPLS labels: the last label must be the bottom of the
// stack, and IP tells its version itself.
func (g *generator) mplsProtocol(p uint32) *condition {
	version := uint32(0x40)
	switch p {
	case etherIP:
	case etherIPv6:
		version = 0x60
	default:
		g.fail("after mpls only ip and ip6 can be tested for")
	}
	bottom := g.equalMasked(fromNetwork, 0xfffffffe, sizeB, 1, 1)
	return and(bottom, g.equalMasked(fromNetwork, 0, sizeB, version, 0xf0))
}

// pppoes tests for a PPPoE session and moves to the PPP packet in it.
func (g *generator) pppoes(n *primitive) *condition {
	c := g.linkProtocol(etherPPPoES)
	if n.hasNumber {
		if n.number > 0xffff {
			g.fail("PPPoE session %d is above %d", n.number, 0xffff)
		}
		c = and(c, g.equalMasked(fromNetwork, 0, sizeW, n.number, 0xffff))
	}
	const header = 6
	register := -1
	if g.payload.variable {
		register = g.registerOf(g.payload)
	}
	behind := func(n uint32) *offset {
		return &offset{constant: g.payload.constant + g.network + header + n, variable: g.payload.variable,
			register: register}
	}
	g.push(PPP, behind(0), behind(0), behind(2))
	return c
}

// Ports and headers of the tunnels over UDP.
const (
	portGeneve = 6081
	portVXLAN  = 4789

	udpHeaderLength    = 8
	tunnelHeaderLength = 8 // Geneve without options, VXLAN
	etherHeaderLength  = 14
	etherTypeOffset    = 12
)

// tunnel finds the UDP payload of a tunnel over IPv4 or IPv6 and leaves the offset of the tunnel
// header in A and X.  check tests the header; its base is the transport header.
func (g *generator) tunnel(port uint32, n *primitive, name string, flags func(from base) *condition) *condition {
	if n.hasNumber && n.number > 0xffffff {
		g.fail("%s network %d is above %d", name, n.number, 0xffffff)
	}
	over := func(ip uint32, from base, end []statement) *condition {
		c := g.portOver(ip, ports{low: port, transport: ipUDP}, dirDst)
		c = and(c, flags(from))
		if n.hasNumber {
			c = and(c, g.equalMasked(from, 12, sizeW, n.number<<8, 0xffffff00))
		}
		return and(c, g.always(end))
	}
	fixed := g.payload.constant + g.network + udpHeaderLength
	end4 := append(g.loadXIPv4End(),
		statement{codeTXA, 0},
		statement{classALU | opADD, fixed})
	c := over(etherIP, fromIPv4Transport, end4)
	end6 := []statement{{codeLoadImm, ipv6HeaderLength + fixed}}
	if x := g.loadXVariable(g.payload); x != nil {
		end6 = append(x, statement{codeTXA, 0}, statement{classALU | opADD, ipv6HeaderLength + fixed})
	}
	return or(c, over(etherIPv6, fromIPv6Transport, end6))
}

// always returns a condition that only runs statements. It has no way out for "false".
func (g *generator) always(stmts []statement) *condition {
	b := g.block(stmts, codeJump, 0)
	return g.condition(condition{head: b, yes: exitsOf(b, true)})
}

// geneve tests for Geneve and moves to the packet in it, which has an Ethernet header only if the
// protocol field says so.
func (g *generator) geneve(n *primitive) *condition {
	g.plain = false
	c := g.tunnel(portGeneve, n, "Geneve", func(from base) *condition {
		return g.equalMasked(from, udpHeaderLength, sizeB, 0, 0xc0) // version 0
	})
	fresh := func() *offset { return &offset{variable: true, register: g.allocate()} }
	typeAt, link := fresh(), fresh()
	payload := fresh()
	store := func(o *offset) statement { return statement{codeStore, uint32(o.register)} }

	// The type field is that of Geneve as long as there is no Ethernet header. The options are
	// counted in words of 4 bytes.
	header := g.always(g.list(
		statement{codeTAX, 0},
		statement{classALU | opADD, 2},
		store(typeAt),
		statement{classLD | modeIND | sizeB, 0},
		statement{classALU | opAND, 0x3f},
		statement{classALU | opMUL, 4},
		statement{classALU | opADD, tunnelHeaderLength},
		statement{classALU | opADD | srcX, 0},
		store(link)))
	isEther := g.test(g.list(
		statement{classLD | modeIND | sizeH, 2},
		statement{codeLoadXMem, uint32(link.register)}), opJEQ, etherTEB)
	ether := g.always(g.list(
		statement{codeTXA, 0},
		statement{classALU | opADD, etherTypeOffset},
		store(typeAt),
		statement{classALU | opADD, etherHeaderLength - etherTypeOffset},
		statement{codeTAX, 0}))
	done := g.always(g.list(statement{codeStoreX, uint32(payload.register)}))
	header.yes.patch(isEther.head)
	isEther.yes.patch(ether.head)
	isEther.no.patch(done.head)
	ether.yes.patch(done.head)

	g.push(EN10MB, link, typeAt, payload)
	g.tunnelled = true
	return and(c, g.condition(condition{head: header.head, yes: done.yes}))
}

// tunnelHasEthernet is true if there is an Ethernet header in a tunnel: then its payload does not
// begin where it begins.
func (g *generator) tunnelHasEthernet() *condition {
	return not(g.test(g.list(
		statement{codeLoadMem, uint32(g.registerOf(g.payload))},
		statement{codeLoadXMem, uint32(g.registerOf(g.link))}), opJEQ|srcX, 0))
}

// vxlan tests for VXLAN and moves to the Ethernet frame in it.
func (g *generator) vxlan(n *primitive) *condition {
	g.plain = false
	c := g.tunnel(portVXLAN, n, "VXLAN", func(from base) *condition {
		return g.equal(from, udpHeaderLength, sizeB, 0x08) // there is a network number
	})
	link := &offset{variable: true, register: g.allocate()}
	inside := g.always(g.list(
		statement{classALU | opADD, tunnelHeaderLength},
		statement{codeStore, uint32(link.register)}))
	behind := func(n uint32) *offset { return &offset{constant: n, variable: true, register: link.register} }
	g.push(EN10MB, link, behind(etherTypeOffset), behind(etherHeaderLength))
	g.tunnelled = false
	return and(c, inside)
}
