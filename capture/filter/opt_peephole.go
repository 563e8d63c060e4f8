package filter

// following returns the index of the first statement from i on that has not been removed, or -1.
func following(stmts []statement, i int) int {
	for ; i < len(stmts); i++ {
		if stmts[i].code != codeNone {
			return i
		}
	}
	return -1
}

// peephole replaces short sequences of statements by shorter ones, and settles the jump of a block
// where its outcome is known.
func (o *optimiser) peephole(b *block) {
	last := o.peepholeStatements(b)
	if last == nil {
		return
	}
	if b.code == classJMP|opJEQ && b.live&setOf(atomA) == 0 {
		o.mergeIntoTest(b, last)
	}
	o.settle(b)
}

// peepholeStatements looks at neighbouring statements, and returns the last one.
func (o *optimiser) peepholeStatements(b *block) *statement {
	st := b.stmts
	i := following(st, 0)
	if len(st) == 0 {
		return nil
	}
	last := &st[0]
	for i >= 0 {
		n := following(st, i+1)
		if n < 0 {
			break
		}
		last = &st[n]
		s, next := &st[i], &st[n]
		if s.code == codeStore && next.code == codeLoadXMem && s.k == next.k {
			next.code = codeTAX
			o.changed()
		}
		if s.code == codeLoadImm && next.code == codeTAX {
			s.code, next.code = codeLoadXImm, codeTXA
			o.changed()
		}
		if s.code == codeLoadImm && b.live&setOf(atomX) == 0 {
			o.mergeIndex(st, i, n)
		}
		i = n
	}
	return last
}

// maxMergedIndex bounds the constants that mergeIndex moves in exact programs, so that no sum wraps
// around which did not before.
const maxMergedIndex = 0xffff

// mergeIndex turns "A = constant; X = header length; A += X; X = A; load [X + k]", which is what
// tcp[constant] becomes, into "X = header length; load [X + k + constant]".
func (o *optimiser) mergeIndex(st []statement, i, n int) {
	add := n
	if st[n].code == codeLoadXMSH {
		add = following(st, n+1)
	}
	if add < 0 || st[add].code != classALU|opADD|srcX {
		return
	}
	tax := following(st, add+1)
	if tax < 0 || st[tax].code != codeTAX {
		return
	}
	load := following(st, tax+1)
	if load < 0 || st[load].code&classMask != classLD || st[load].code&modeMask != modeIND {
		return
	}
	if o.exact && st[i].k > maxMergedIndex {
		return
	}
	st[load].k += st[i].k
	st[i].code, st[add].code, st[tax].code = codeNone, codeNone, codeNone
	o.changed()
}

// mergeIntoTest moves a subtraction or a mask before a test for equality into the test. A must not
// be used later.
func (o *optimiser) mergeIntoTest(b *block, last *statement) {
	switch {
	case last.code == classALU|opSUB|srcX:
		if k, ok := o.values.constant(b.values[atomX]); ok {
			b.k += k
		} else if b.k == 0 {
			b.code = classJMP | opJEQ | srcX
		} else {
			return
		}
	case last.code == classALU|opSUB:
		b.k += last.k
	case last.code == classALU|opAND && b.k == 0:
		b.code, b.k = classJMP|opJSET, last.k
		b.yes, b.no = b.no, b.yes
		o.turned = true
	default:
		return
	}
	last.code = codeNone
	o.changed()
}

// settle replaces what a jump compares with by a constant if it is one, and makes both ways the
// same if the outcome is known.
func (o *optimiser) settle(b *block) {
	if b.code == classJMP|opJSET && b.k == 0 {
		b.yes, o.turned = b.no, true
	}
	if b.code&srcMask == srcX && b.code&classMask == classJMP {
		if k, ok := o.values.constant(b.values[atomX]); ok {
			b.code &^= srcX
			b.k = k
		}
	}
	if b.code&srcMask != srcK || !b.conditional() {
		return
	}
	a, ok := o.values.constant(b.values[atomA])
	if !ok {
		return
	}
	truth := false
	switch b.code & opMask {
	case opJEQ:
		truth = a == b.k
	case opJGT:
		truth = a > b.k
	case opJGE:
		truth = a >= b.k
	case opJSET:
		truth = a&b.k != 0
	}
	if b.yes != b.no {
		o.changed()
		o.turned = true
	}
	if truth {
		b.no = b.yes
	} else {
		b.yes = b.no
	}
}
