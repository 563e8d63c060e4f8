package filter

// Precedence of the arithmetic operators, lowest first. "&" and "|" bind tighter than comparisons,
// which makes `tcp[13] & 2 != 0` mean what it looks like.
const (
	precedenceLowest = iota
	precedenceBar
	precedenceAmp
	precedenceShift
	precedenceSum
	precedenceProduct
	precedenceUnary
)

// precedence of a binary operator. "%" and "^" have none in the reference grammar, and what it does
// with them instead (see operators) has to be kept.
func precedence(k tokenKind) (level int, shifting, ok bool) {
	switch k {
	case tokenBar:
		return precedenceBar, false, true
	case tokenAmp:
		return precedenceAmp, false, true
	case tokenLsh, tokenRsh:
		return precedenceShift, false, true
	case tokenPlus, tokenMinus:
		return precedenceSum, false, true
	case tokenStar, tokenSlash:
		return precedenceProduct, false, true
	case tokenPercent, tokenCaret:
		return precedenceLowest, true, true
	}
	return 0, false, false
}

// arithmetic parses a whole arithmetic expression.
func (p *parser) arithmetic() number {
	return p.operators(p.operand(), precedenceLowest)
}

// operators continues left with all operators that bind tighter than the given level. "%" and "^"
// always bind to the operand directly before them and take everything to their right.
func (p *parser) operators(left number, above int) number {
	p.enter()
	defer p.leave()
	for {
		op := p.peek().kind
		level, shifting, ok := precedence(op)
		if !ok || !shifting && level <= above {
			return left
		}
		p.take()
		left = &operation{pos: left.at(), op: op, left: left, right: p.operators(p.operand(), level)}
	}
}

// operand parses a number, len, packet data, a negated operand or parentheses.
func (p *parser) operand() number {
	p.enter()
	defer p.leave()
	t := p.peek()
	switch t.kind {
	case tokenNumber:
		p.take()
		return &constant{pos: t.pos, value: t.value}
	case tokenLength:
		p.take()
		return &packetLength{pos: t.pos}
	case tokenMinus:
		p.take()
		return &negative{pos: t.pos, operand: p.operators(p.operand(), precedenceUnary)}
	case tokenOpen:
		p.take()
		n := p.arithmetic()
		p.expect(tokenClose, `")"`)
		return n
	case tokenProtocol:
		p.take()
		p.expect(tokenOpenIndex, `"[" and an offset`)
		d := &packetData{pos: t.pos, proto: protocol(t.value), offset: p.arithmetic(), size: 1}
		if p.accept(tokenColon) {
			size := p.expect(tokenNumber, "a size of 1, 2 or 4 bytes")
			d.size = size.value
		}
		p.expect(tokenCloseIndex, `":" and a size, or "]"`)
		return d
	}
	p.unexpected("a number, len, or packet data such as ip[0]")
	panic("unreachable")
}
