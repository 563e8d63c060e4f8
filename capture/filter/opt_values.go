package filter

// Value numbering: every value that a program computes gets a number, and two computations that
// give the same value get the same. On the way down the graph, a block starts with the numbers on
// which all its predecessors agree.

// valueTable numbers computations.
type valueTable struct {
	nodes   []valueNode // nodes[0] is unused
	buckets []int32
}

type valueNode struct {
	code     uint16
	constant bool
	v0, v1   uint32 // numbers of the operands, or a literal
	next     int32
}

// reset forgets everything.  n is how many values are to be expected.
func (t *valueTable) reset(n int) {
	size := 64
	for size < n {
		size *= 2
	}
	if len(t.buckets) < size {
		t.buckets = make([]int32, size)
	} else {
		clear(t.buckets)
	}
	t.nodes = append(t.nodes[:0], valueNode{})
}

// of returns the number of the value that an instruction computes from v0 and v1.
func (t *valueTable) of(code uint16, v0, v1 uint32) number32 {
	bucket := t.bucket(code, v0, v1)
	for i := *bucket; i != 0; i = t.nodes[i].next {
		if n := &t.nodes[i]; n.code == code && n.v0 == v0 && n.v1 == v1 {
			return uint32(i)
		}
	}
	if len(t.nodes) > 2*len(t.buckets) {
		t.grow()
		bucket = t.bucket(code, v0, v1)
	}
	i := int32(len(t.nodes))
	t.nodes = append(t.nodes, valueNode{code: code, v0: v0, v1: v1, next: *bucket, constant: code == codeLoadImm})
	*bucket = i
	return uint32(i)
}

func (t *valueTable) bucket(code uint16, v0, v1 uint32) *int32 {
	h := uint32(code)*0xc2b2ae35 ^ v0*0x9e3779b1 ^ v1*0x85ebca6b
	return &t.buckets[(h^h>>15)&uint32(len(t.buckets)-1)]
}

// grow makes room for more values.
func (t *valueTable) grow() {
	t.buckets = make([]int32, 4*len(t.buckets))
	for i := 1; i < len(t.nodes); i++ {
		n := &t.nodes[i]
		if n.code == codeNone {
			continue
		}
		bucket := t.bucket(n.code, n.v0, n.v1)
		n.next, *bucket = *bucket, int32(i)
	}
}

// literal returns the number of a constant.
func (t *valueTable) literal(k uint32) number32 { return t.of(codeLoadImm, k, 0) }

// fresh returns a number that no other value has.
func (t *valueTable) fresh() number32 {
	t.nodes = append(t.nodes, valueNode{code: codeNone})
	return uint32(len(t.nodes) - 1)
}

// constant reports whether a number is that of a constant, and which.
func (t *valueTable) constant(n number32) (uint32, bool) {
	return t.nodes[n].v0, t.nodes[n].constant
}

// numberValues numbers the values of all blocks. With rewrite, statements are simplified by what is
// known about their operands, and left out where they change nothing.
func (o *optimiser) numberValues(rewrite bool) {
	o.values.reset(2 * len(o.blocks))
	o.down(func(b *block) { o.numberBlock(b, rewrite) })
}

func (o *optimiser) numberBlock(b *block, rewrite bool) {
	v := &b.values
	if len(b.in) == 0 {
		*v = [atoms]number32{}
	} else {
		*v = b.in[0].from.values
		var unequal atomSet
		for _, e := range b.in[1:] {
			if *v == e.from.values {
				continue
			}
			for a := range v {
				if v[a] != e.from.values[a] {
					unequal |= setOf(atom(a))
				}
			}
		}
		for a := range unequal.all() {
			v[a] = 0
			if b.needs&setOf(a) != 0 {
				// Whatever it is, from here on it is one value.
				v[a] = o.values.fresh()
			}
		}
	}
	if o.exact {
		o.enterReach(b)
	}
	a, x := v[atomA], v[atomX]
	if o.exact {
		b.loads = b.loads[:0]
	}
	for i := range b.stmts {
		x := v[atomX]
		o.numberStatement(&b.stmts[i], v, rewrite)
		if o.exact {
			b.loads = append(b.loads, b.stmts[i].extentOf(x))
		}
	}
	sameX := x != 0 && v[atomX] == x || b.code&srcMask != srcX
	if rewrite && b.live == 0 && a != 0 && v[atomA] == a && sameX && (!o.exact || b.sureAfter(b.loads, b)) {
		// What the block tests is there already, and nothing else of it is used later.
		if len(b.stmts) > 0 {
			b.stmts = nil
			o.changed()
		}
	} else {
		o.peephole(b)
		o.dropDeadStores(b)
	}
	if o.exact {
		b.leaveReach()
	}
	if b.code&srcMask == srcX {
		b.operand = v[atomX]
	} else {
		b.operand = o.values.literal(b.k)
	}
}

// known makes sure that an atom has a number.
func (o *optimiser) known(n *number32) number32 {
	if *n == 0 {
		*n = o.values.fresh()
	}
	return *n
}

// numberStatement numbers what a statement computes.
func (o *optimiser) numberStatement(s *statement, v *[atoms]number32, rewrite bool) {
	t := &o.values
	// assign notes a new value, and drops the statement if the atom has it already.
	assign := func(a atom, n number32) {
		if rewrite && v[a] == n {
			s.code = codeNone
		} else {
			v[a] = n
		}
	}
	switch s.code & classMask {
	case classLD:
		switch s.code & modeMask {
		case modeIMM:
			assign(atomA, t.literal(s.k))
		case modeABS:
			assign(atomA, t.of(s.code, s.k, 0))
		case modeLEN:
			assign(atomA, t.of(s.code, 0, 0))
		case modeIND:
			x := o.known(&v[atomX])
			if k, ok := t.constant(x); ok && rewrite && o.foldable(s.k, k) {
				s.code = classLD | modeABS | s.code&sizeMask
				s.k += k
				o.changed()
				assign(atomA, t.of(s.code, s.k, 0))
				return
			}
			assign(atomA, t.of(s.code, s.k, x))
		case modeMEM:
			o.numberLoadMemory(s, v, atomA, rewrite)
		}
	case classLDX:
		switch s.code & modeMask {
		case modeIMM:
			assign(atomX, t.literal(s.k))
		case modeLEN:
			assign(atomX, t.of(codeLoadLen, 0, 0))
		case modeMSH:
			assign(atomX, t.of(s.code, s.k, 0))
		case modeMEM:
			o.numberLoadMemory(s, v, atomX, rewrite)
		}
	case classST:
		assign(atom(s.k), o.known(&v[atomA]))
	case classSTX:
		assign(atom(s.k), o.known(&v[atomX]))
	case classALU:
		o.numberArithmetic(s, v, rewrite)
	case classMISC:
		if s.code == codeTAX {
			assign(atomX, o.known(&v[atomA]))
		} else if s.code == codeTXA {
			assign(atomA, o.known(&v[atomX]))
		}
	}
}

func (o *optimiser) numberLoadMemory(s *statement, v *[atoms]number32, to atom, rewrite bool) {
	n := o.known(&v[s.k])
	if k, ok := o.values.constant(n); ok && rewrite {
		s.code, s.k = codeLoadImm, k
		if to == atomX {
			s.code = codeLoadXImm
		}
		o.changed()
	}
	if rewrite && v[to] == n {
		s.code = codeNone
	} else {
		v[to] = n
	}
}

// numberArithmetic numbers and simplifies an operation on A.
func (o *optimiser) numberArithmetic(s *statement, v *[atoms]number32, rewrite bool) {
	t := &o.values
	a := o.known(&v[atomA])
	left, leftKnown := t.constant(a)
	op := s.code & opMask
	if op == opNEG {
		o.numberNegation(s, v, rewrite)
		return
	}
	if s.code&srcMask == srcX {
		x := o.known(&v[atomX])
		right, rightKnown := t.constant(x)
		switch {
		case !rewrite:
		case rightKnown && o.mustStay(op, right):
		case rightKnown && !leftKnown:
			*s = statement{classALU | op, right}
			if (op == opLSH || op == opRSH) && right > 31 {
				o.err = "a shift by more than 31 bits"
			}
			v[atomA] = t.of(s.code, a, t.literal(right))
			o.changed()
			return
		case rightKnown:
			o.fold(s, v, left, right)
			return
		case leftKnown && left == 0:
			switch op {
			case opADD, opOR, opXOR:
				*s = statement{codeTXA, 0}
				v[atomA] = x
				o.changed()
				return
			case opMUL, opAND, opLSH, opRSH, opDIV, opMOD:
				if o.exact && (op == opDIV || op == opMOD) {
					break
				}
				*s = statement{codeLoadImm, 0}
				o.changed()
				return
			}
		}
		v[atomA] = t.of(s.code, a, x)
		return
	}
	if rewrite {
		if s.k == 0 && o.withZero(s, v, op) {
			return
		}
		if leftKnown && !o.mustStay(op, s.k) {
			o.fold(s, v, left, s.k)
			return
		}
	}
	v[atomA] = t.of(s.code, a, t.literal(s.k))
}

// numberNegation numbers and simplifies the negation of A.
func (o *optimiser) numberNegation(s *statement, v *[atoms]number32, rewrite bool) {
	a := o.known(&v[atomA])
	if value, known := o.values.constant(a); known && rewrite {
		*s = statement{codeLoadImm, -value}
		v[atomA] = o.values.literal(s.k)
		o.changed()
		return
	}
	v[atomA] = o.values.of(s.code, a, 0)
}

// mustStay reports whether an operation is to be left as it is because what it does depends on its
// being done at run time, and libpcap would not have refused it.
func (o *optimiser) mustStay(op uint16, right uint32) bool {
	if !o.exact {
		return false
	}
	return (op == opDIV || op == opMOD) && right == 0 || (op == opLSH || op == opRSH) && right > 31
}

// withZero simplifies an operation with the constant 0, and reports whether it did.
func (o *optimiser) withZero(s *statement, v *[atoms]number32, op uint16) bool {
	switch op {
	case opADD, opLSH, opRSH, opOR, opXOR:
		s.code = codeNone
	case opMUL, opAND:
		*s = statement{codeLoadImm, 0}
		v[atomA] = o.values.literal(0)
		o.changed()
	case opDIV:
		o.err = "division by zero"
	case opMOD:
		o.err = "modulus by zero"
	default:
		return false
	}
	return true
}

// foldable reports whether an indexed load with a constant index may become an absolute one. The
// sum of both wraps around in libpcap's optimiser: ip[-1] is the byte before the header. Where that
// is off, the load goes beyond the end of the packet.
func (o *optimiser) foldable(offset, index uint32) bool {
	return !o.exact || uint64(offset)+uint64(index) < ancillaryBase
}

// fold computes an operation on constants.
func (o *optimiser) fold(s *statement, v *[atoms]number32, left, right uint32) {
	var r uint32
	switch s.code & opMask {
	case opADD:
		r = left + right
	case opSUB:
		r = left - right
	case opMUL:
		r = left * right
	case opDIV:
		if right == 0 {
			o.err = "division by zero"
			return
		}
		r = left / right
	case opMOD:
		if right == 0 {
			o.err = "modulus by zero"
			return
		}
		r = left % right
	case opOR:
		r = left | right
	case opAND:
		r = left & right
	case opXOR:
		r = left ^ right
	case opLSH:
		r = left << right // 0 from 32 on, as the evaluators of BPF have it
	case opRSH:
		r = left >> right
	}
	*s = statement{codeLoadImm, r}
	v[atomA] = o.values.literal(r)
	o.changed()
}
