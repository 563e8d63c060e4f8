package filter

import "slices"

// primitive parses a primitive that stands for itself.
func (p *parser) primitive(pos int, proto protocol) node {
	t := p.take()
	if t.kind == tokenByte {
		index := p.expect(tokenNumber, "the offset of a byte").value
		op := p.peek()
		if !slices.Contains([]tokenKind{tokenAmp, tokenBar, tokenLT, tokenGT, tokenEQ}, op.kind) {
			p.unexpected("one of & | < > =")
		}
		p.take()
		return &byteTest{pos: pos, index: index, op: op.kind, value: p.expect(tokenNumber, "a number").value}
	}
	n := &primitive{pos: pos, kind: primitiveKind(t.value), proto: proto}
	switch n.kind {
	case primLess, primGreater:
		n.number, n.hasNumber = p.expect(tokenNumber, "a length in bytes").value, true
	case primIfindex:
		n.number, n.hasNumber = p.expect(tokenNumber, "the number of an interface").value, true
	case primVLAN, primMPLS, primPPPoES, primGeneve, primVXLAN:
		n.number, n.hasNumber = p.optionalNumber()
	case primWLANType:
		n.names = append(n.names, p.numberOrName("an 802.11 type: mgt, ctl or data"))
		if next := p.peek(); next.kind == tokenPrimitive && primitiveKind(next.value) == primWLANSubtype {
			p.take()
			n.names = append(n.names, p.numberOrName("an 802.11 subtype such as beacon"))
		}
	case primWLANSubtype:
		n.names = append(n.names, p.expect(tokenName, "an 802.11 subtype such as beacon"))
	case primWLANDir:
		n.names = append(n.names, p.numberOrName("an 802.11 direction: nods, tods, fromds or dstods"))
	case primLLC:
		if k := p.peek().kind; k == tokenName || k == tokenRNR {
			n.names = append(n.names, p.take())
		}
	}
	return n
}

func (p *parser) numberOrName(wanted string) token {
	if k := p.peek().kind; k != tokenNumber && k != tokenName {
		p.unexpected(wanted)
	}
	return p.take()
}

// optionalNumber parses a number in any number of parentheses, if there is one.
func (p *parser) optionalNumber() (uint32, bool) {
	open := 0
	for p.peek().kind == tokenOpen {
		p.take()
		open++
	}
	if open == 0 && p.peek().kind != tokenNumber {
		return 0, false
	}
	v := p.expect(tokenNumber, "a number").value
	for ; open > 0; open-- {
		p.expect(tokenClose, `")"`)
	}
	return v, true
}
