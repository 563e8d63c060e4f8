package filter

// computed is an arithmetic expression: statements that leave its value in a scratch word, and the
// tests that must hold before they make sense (the packet has the header that is looked into).
type computed struct {
	stmts    []statement
	register int
	requires *condition // may be nil
}

// relation compares two numbers. What they look into is tested before the comparison, so that "not
// tcp[13] = 2" is also true for a packet that is not TCP.
func (g *generator) relation(n *relation) *condition {
	left := g.number(n.left)
	right := g.number(n.right)
	g.pos = n.position()
	stmts := append(left.stmts, right.stmts...)
	stmts = append(stmts, statement{codeLoadXMem, uint32(right.register)},
		statement{codeLoadMem, uint32(left.register)})
	op := uint16(opJEQ)
	switch n.op {
	case tokenGT, tokenLE:
		op = opJGT
	case tokenGE, tokenLT:
		op = opJGE
	}
	var c *condition
	if op == opJEQ {
		c = g.test(append(stmts, statement{classALU | opSUB | srcX, 0}), op, 0)
	} else {
		c = g.test(stmts, op|srcX, 0)
	}
	if n.op == tokenLE || n.op == tokenLT || n.op == tokenNE {
		c = not(c)
	}
	g.free(left.register)
	g.free(right.register)
	if r := bothRequired(left.requires, right.requires); r != nil {
		c = and(r, c)
	}
	return c
}

func bothRequired(a, b *condition) *condition {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return and(a, b)
}

// number compiles an arithmetic expression.
func (g *generator) number(n number) computed {
	switch n := n.(type) {
	case *constant:
		r := g.allocate()
		return computed{stmts: []statement{{codeLoadImm, n.value}, {codeStore, uint32(r)}}, register: r}
	case *packetLength:
		r := g.allocate()
		return computed{stmts: []statement{{codeLoadLen, 0}, {codeStore, uint32(r)}}, register: r}
	case *negative:
		c := g.number(n.operand)
		r := uint32(c.register)
		c.stmts = append(c.stmts, statement{codeLoadMem, r}, statement{classALU | opNEG, 0}, statement{codeStore, r})
		return c
	case *packetData:
		return g.data(n)
	}
	return g.operation(n.(*operation))
}

// operation compiles an operator.
func (g *generator) operation(n *operation) computed {
	left := g.number(n.left)
	right := g.number(n.right)
	g.pos = n.at()
	op := uint16(0)
	switch n.op {
	case tokenPlus:
		op = opADD
	case tokenMinus:
		op = opSUB
	case tokenStar:
		op = opMUL
	case tokenSlash:
		op = opDIV
	case tokenPercent:
		op = opMOD
	case tokenAmp:
		op = opAND
	case tokenBar:
		op = opOR
	case tokenCaret:
		op = opXOR
	case tokenLsh:
		op = opLSH
	case tokenRsh:
		op = opRSH
	}
	// libpcap looks at the first instruction of the right side here, whatever follows it, and so
	// refuses "len / (0 + 5)" and "len / ip[0]" too.
	if first := right.stmts[0]; first.code == codeLoadImm {
		switch {
		case op == opDIV && first.k == 0:
			g.fail("division by zero")
		case op == opMOD && first.k == 0:
			g.fail("modulus by zero")
		case (op == opLSH || op == opRSH) && first.k > 31:
			g.fail("a shift by %d bits: at most 31 are possible", first.k)
		}
	}
	stmts := append(left.stmts, right.stmts...)
	stmts = append(stmts,
		statement{codeLoadXMem, uint32(right.register)},
		statement{codeLoadMem, uint32(left.register)},
		statement{classALU | srcX | op, 0})
	g.free(left.register)
	g.free(right.register)
	r := g.allocate()
	// Only the left side's tests are kept: that is how libpcap works, and "7 + ip[8] < 100" is true
	// for what is not IP.
	return computed{
		stmts:    append(stmts, statement{codeStore, uint32(r)}),
		register: r,
		requires: left.requires,
	}
}

// data compiles an access to the packet: proto[offset:size].
func (g *generator) data(n *packetData) computed {
	c := g.number(n.offset)
	g.pos = n.pos
	r := g.allocate()
	g.free(c.register)
	var size uint16
	switch n.size {
	case 1:
		size = sizeB
	case 2:
		size = sizeH
	case 4:
		size = sizeW
	default:
		g.fail("%d bytes cannot be read at once; 1, 2 and 4 can", n.size)
	}
	index := uint32(c.register)
	// indexed reads at the index plus an offset.
	indexed := func(variable []statement, constant uint32) {
		if variable == nil {
			c.stmts = append(c.stmts, statement{codeLoadXMem, index})
		} else {
			c.stmts = append(c.stmts, variable...)
			c.stmts = append(c.stmts,
				statement{codeLoadMem, index},
				statement{classALU | opADD | srcX, 0},
				statement{codeTAX, 0})
		}
		c.stmts = append(c.stmts, statement{classLD | modeIND | size, constant})
	}
	switch n.proto {
	case protoRadio:
		if g.linkType != IEEE80211Radio {
			g.fail("there is no radio header on link type %s", g.linkType)
		}
		indexed(nil, 0)
	case protoLink:
		indexed(g.loadXVariable(g.link), g.link.constant)
	case protoIP, protoIPv6, protoARP, protoRARP, protoATalk, protoDECnet, protoLAT, protoSCA, protoMOPRC, protoMOPDL:
		indexed(g.loadXVariable(g.payload), g.payload.constant+g.network)
		c.requires = bothRequired(c.requires, g.bareProtocol(n.proto))
	case protoSCTP, protoTCP, protoUDP, protoICMP, protoIGMP, protoIGRP, protoPIM, protoVRRP, protoCARP:
		indexed(g.loadXIPv4End(), g.payload.constant+g.network)
		transport := and(g.bareProtocol(n.proto), g.firstFragment())
		inner := bothRequired(c.requires, transport)
		c.requires = and(g.linkProtocol(etherIP), inner)
	case protoICMPv6:
		c.requires = bothRequired(c.requires, g.linkProtocol(etherIPv6))
		c.requires = and(c.requires, g.equal(fromNetwork, 6, sizeB, ipICMPv6))
		indexed(g.loadXVariable(g.payload), g.payload.constant+g.network+ipv6HeaderLength)
	default:
		g.fail("%q cannot be indexed; ether, ip, ip6, arp, rarp, tcp, udp, icmp, icmp6 and others can", n.proto)
	}
	c.stmts = append(c.stmts, statement{codeStore, uint32(r)})
	c.register = r
	return c
}
