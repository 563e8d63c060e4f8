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

// linkProtocols maps the protocols above the link to Ethernet types or service access points.
var linkProtocols = map[protocol]uint32{
	protoIP:      etherIP,
	protoIPv6:    etherIPv6,
	protoARP:     etherARP,
	protoRARP:    etherRARP,
	protoATalk:   etherATalk,
	protoAARP:    etherAARP,
	protoDECnet:  etherDECnet,
	protoLAT:     etherLAT,
	protoSCA:     etherSCA,
	protoMOPRC:   etherMOPRC,
	protoMOPDL:   etherMOPDL,
	protoISO:     sapISO,
	protoSTP:     sapSTP,
	protoIPX:     sapIPX,
	protoNetBEUI: sapNetBEUI,
}

// ipProtocols maps the protocols above IP to their numbers, and to the version of IP that has them.
var ipProtocols = map[protocol]struct {
	number uint32
	over   protocol
}{
	protoTCP:    {ipTCP, protoDefault},
	protoUDP:    {ipUDP, protoDefault},
	protoSCTP:   {ipSCTP, protoDefault},
	protoPIM:    {ipPIM, protoDefault},
	protoAH:     {ipAH, protoDefault},
	protoESP:    {ipESP, protoDefault},
	protoICMP:   {ipICMP, protoIP},
	protoIGMP:   {ipIGMP, protoIP},
	protoIGRP:   {ipIGRP, protoIP},
	protoVRRP:   {ipVRRP, protoIP},
	protoCARP:   {ipVRRP, protoIP},
	protoICMPv6: {ipICMPv6, protoIPv6},
}

// osiProtocols maps the protocols of the OSI stack to their network-layer identifiers.
var osiProtocols = map[protocol]uint32{
	protoCLNP: osiCLNP,
	protoESIS: osiESIS,
	protoISIS: osiISIS,
}

// isisProtocols maps the names for parts of IS-IS to their PDU types.
var isisProtocols = map[protocol][]uint32{
	protoISISL1:   {isisL1PSNP, isisL1CSNP, isisL1LSP, isisL1Hello, isisPtP},
	protoISISL2:   {isisL2PSNP, isisL2CSNP, isisL2LSP, isisL2Hello, isisPtP},
	protoISISIIH:  {isisPtP, isisL1Hello, isisL2Hello},
	protoISISLSP:  {isisL1LSP, isisL2LSP},
	protoISISSNP:  {isisL2PSNP, isisL1PSNP, isisL1CSNP, isisL2CSNP},
	protoISISCSNP: {isisL1CSNP, isisL2CSNP},
	protoISISPSNP: {isisL1PSNP, isisL2PSNP},
}

// bareProtocol tests for a protocol that stands alone.
func (g *generator) bareProtocol(p protocol) *condition {
	if number, ok := linkProtocols[p]; ok {
		return g.linkProtocol(number)
	}
	if ip, ok := ipProtocols[p]; ok {
		return g.ipProtocol(ip.number, ip.over)
	}
	if number, ok := osiProtocols[p]; ok {
		return g.osiProtocol(number)
	}
	if types, ok := isisProtocols[p]; ok {
		return g.isisTypes(types...)
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
		g.fail("protochain is not possible after a header of variable length, as on 802.11 or after geneve or vxlan")
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
		skip := g.skipExtension(at, word)
		skip.yes = again
		before := none
		for _, extension := range []uint32{0, ipDestOpts, ipRouting, ipFragment} {
			b := is(nil, extension)
			before.no, b.yes = b, skip
			before = b
		}
		before.no = authentication
	}
	authentication.yes = g.skipAuthentication(at, word)
	authentication.yes.yes = again

	g.free(int(word))
	return and(link, g.condition(condition{head: begin, yes: exitsOf(end, true), no: exitsOf(end, false)}))
}

// skipExtension moves X to the header after an extension header of IPv6, and loads its protocol
// into A. An extension header begins with the next protocol, followed by the length in units of 8
// bytes less one.
func (g *generator) skipExtension(at, word uint32) *block {
	return g.block(g.list(
		statement{classLD | modeIND | sizeB, at},
		statement{codeStore, word},
		statement{classLD | modeIND | sizeB, at + 1},
		statement{classALU | opADD, 1},
		statement{classALU | opMUL, 8},
		statement{classALU | opADD | srcX, 0},
		statement{codeTAX, 0},
		statement{codeLoadMem, word}), codeJump, 0)
}

// skipAuthentication is skipExtension for the authentication header, whose length is in words of 4
// bytes less two.
func (g *generator) skipAuthentication(at, word uint32) *block {
	return g.block(g.list(
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
}
