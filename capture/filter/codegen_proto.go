package filter

// Network-layer protocol identifiers of OSI, and PDU types of IS-IS.
const (
	osiCLNP = 0x81
	osiESIS = 0x82
	osiISIS = 0x83

	isisL1Hello = 15
	isisL2Hello = 16
	isisPtP     = 17
	isisL1LSP   = 18
	isisL2LSP   = 20
	isisL1CSNP  = 24
	isisL2CSNP  = 25
	isisL1PSNP  = 26
	isisL2PSNP  = 27
)

// bareProtocol tests for a protocol that stands alone.
func (g *generator) bareProtocol(p protocol) *condition {
	switch p {
	case protoIP:
		return g.linkProtocol(etherIP)
	case protoIPv6:
		return g.linkProtocol(etherIPv6)
	case protoARP:
		return g.linkProtocol(etherARP)
	case protoRARP:
		return g.linkProtocol(etherRARP)
	case protoATalk:
		return g.linkProtocol(etherATalk)
	case protoAARP:
		return g.linkProtocol(etherAARP)
	case protoDECnet:
		return g.linkProtocol(etherDECnet)
	case protoLAT:
		return g.linkProtocol(etherLAT)
	case protoSCA:
		return g.linkProtocol(etherSCA)
	case protoMOPRC:
		return g.linkProtocol(etherMOPRC)
	case protoMOPDL:
		return g.linkProtocol(etherMOPDL)
	case protoISO:
		return g.linkProtocol(sapISO)
	case protoSTP:
		return g.linkProtocol(sapSTP)
	case protoIPX:
		return g.linkProtocol(sapIPX)
	case protoNetBEUI:
		return g.linkProtocol(sapNetBEUI)
	case protoTCP:
		return g.ipProtocol(ipTCP, protoDefault)
	case protoUDP:
		return g.ipProtocol(ipUDP, protoDefault)
	case protoSCTP:
		return g.ipProtocol(ipSCTP, protoDefault)
	case protoPIM:
		return g.ipProtocol(ipPIM, protoDefault)
	case protoAH:
		return g.ipProtocol(ipAH, protoDefault)
	case protoESP:
		return g.ipProtocol(ipESP, protoDefault)
	case protoICMP:
		return g.ipProtocol(ipICMP, protoIP)
	case protoIGMP:
		return g.ipProtocol(ipIGMP, protoIP)
	case protoIGRP:
		return g.ipProtocol(ipIGRP, protoIP)
	case protoVRRP, protoCARP:
		return g.ipProtocol(ipVRRP, protoIP)
	case protoICMPv6:
		return g.ipProtocol(ipICMPv6, protoIPv6)
	case protoCLNP:
		return g.osiProtocol(osiCLNP)
	case protoESIS:
		return g.osiProtocol(osiESIS)
	case protoISIS:
		return g.osiProtocol(osiISIS)
	case protoISISL1:
		return g.isisTypes(isisL1PSNP, isisL1CSNP, isisL1LSP, isisL1Hello, isisPtP)
	case protoISISL2:
		return g.isisTypes(isisL2PSNP, isisL2CSNP, isisL2LSP, isisL2Hello, isisPtP)
	case protoISISIIH:
		return g.isisTypes(isisPtP, isisL1Hello, isisL2Hello)
	case protoISISLSP:
		return g.isisTypes(isisL1LSP, isisL2LSP)
	case protoISISSNP:
		return g.isisTypes(isisL2PSNP, isisL1PSNP, isisL1CSNP, isisL2CSNP)
	case protoISISCSNP:
		return g.isisTypes(isisL1CSNP, isisL2CSNP)
	case protoISISPSNP:
		return g.isisTypes(isisL1PSNP, isisL2PSNP)
	}
	g.fail("%q cannot stand alone; it qualifies an address or is indexed, as in %s[0]", p, p)
	return nil
}

// protocolNumber tests for "proto N", as qualified.
func (g *generator) protocolNumber(n uint32, q qualifiers) *condition {
	switch q.proto {
	case protoDefault, protoIP, protoIPv6:
		return g.ipProtocol(n, q.proto)
	case protoLink:
		return g.linkProtocol(n)
	case protoISO:
		return g.osiProtocol(n)
	case protoISIS:
		return g.isisTypes(n)
	}
	g.fail("%q is not known to carry other protocols; use proto after ip, ip6, ether, iso or isis", q.proto)
	return nil
}

// ipProtocol tests for a protocol above IPv4, IPv6 or either. In IPv6 a fragment header before it
// is looked behind, and no other extension header.
func (g *generator) ipProtocol(n uint32, over protocol) *condition {
	switch over {
	case protoIP:
		ip := g.linkProtocol(etherIP)
		return and(ip, g.equal(fromNetwork, 9, sizeB, n))
	case protoIPv6:
		ip6 := g.linkProtocol(etherIPv6)
		direct := g.equal(fromNetwork, 6, sizeB, n)
		fragment := g.equal(fromNetwork, 6, sizeB, ipFragment)
		return and(ip6, or(direct, and(fragment, g.equal(fromNetwork, ipv6HeaderLength, sizeB, n))))
	}
	v4 := g.ipProtocol(n, protoIP)
	return or(v4, g.ipProtocol(n, protoIPv6))
}

// osiProtocol tests for a protocol of the OSI stack.
func (g *generator) osiProtocol(n uint32) *condition {
	iso := g.linkProtocol(sapISO)
	return and(iso, g.equal(fromNetworkNoSNAP, 0, sizeB, n))
}

// isisTypes tests for IS-IS with one of some PDU types.
func (g *generator) isisTypes(types ...uint32) *condition {
	var c *condition
	for _, t := range types {
		isis := g.osiProtocol(osiISIS)
		one := and(isis, g.equal(fromNetworkNoSNAP, 4, sizeB, t))
		if c == nil {
			c = one
		} else {
			c = or(c, one)
		}
	}
	return c
}

// protocolChain follows the headers of a packet until it finds a protocol. This is a loop, so the
// kernel does not take such programs.
func (g *generator) protocolChain(n uint32, over protocol) *condition {
	switch over {
	case protoIP, protoIPv6:
	case protoDefault:
		v4 := g.protocolChain(n, protoIP)
		return or(v4, g.protocolChain(n, protoIPv6))
	default:
		g.fail("%q has no chain of headers; use protochain alone or after ip or ip6", over)
	}
	if g.payload.variable {
		g.fail("protochain is not possible behind a header of variable length, as on 802.11 or after geneve or vxlan")
	}
	g.plain, g.loops = false, true
	at := g.payload.constant + g.network
	word := uint32(g.allocate())

	link := g.linkProtocol(etherIP)
	start := g.list(
		statement{classLD | modeABS | sizeB, at + 9},
		statement{codeLoadXMSH, at})
	if over == protoIPv6 {
		link = g.linkProtocol(etherIPv6)
		start = g.list(
			statement{classLD | modeABS | sizeB, at + 6},
			statement{codeLoadXImm, ipv6HeaderLength})
	}
	// A holds the protocol of the header at X.
	is := func(stmts []statement, value uint32) *block {
		return g.block(stmts, classJMP|opJEQ, value)
	}
	begin := g.block(start, codeJump, 0)
	again := is(nil, n)
	begin.yes = again
	end := is(nil, n) // every way out of the loop
	again.yes = end
	none := is(nil, ipNoNext)
	again.no, none.yes = none, end

	authentication := is(nil, ipAH)
	authentication.no = end
	none.no = authentication
	if over == protoIPv6 {
		// Extension headers: the next protocol, then the length in units of 8 bytes less one.
		skip := g.block(g.list(
			statement{classLD | modeIND | sizeB, at},
			statement{codeStore, word},
			statement{classLD | modeIND | sizeB, at + 1},
			statement{classALU | opADD, 1},
			statement{classALU | opMUL, 8},
			statement{classALU | opADD | srcX, 0},
			statement{codeTAX, 0},
			statement{codeLoadMem, word}), codeJump, 0)
		skip.yes = again
		before := none
		for _, extension := range []uint32{0, ipDestOpts, ipRouting, ipFragment} {
			b := is(nil, extension)
			before.no, b.yes = b, skip
			before = b
		}
		before.no = authentication
	}
	// The authentication header: the next protocol, then the length in words of 4 bytes less two.
	authentication.yes = g.block(g.list(
		statement{codeTXA, 0},
		statement{classLD | modeIND | sizeB, at},
		statement{codeStore, word},
		statement{codeTXA, 0},
		statement{classALU | opADD, 1},
		statement{codeTAX, 0},
		statement{classLD | modeIND | sizeB, at},
		statement{classALU | opADD, 2},
		statement{classALU | opMUL, 4},
		statement{codeTAX, 0},
		statement{codeLoadMem, word}), codeJump, 0)
	authentication.yes.yes = again

	g.free(int(word))
	return and(link, g.condition(condition{head: begin, yes: exitsOf(end, true), no: exitsOf(end, false)}))
}
