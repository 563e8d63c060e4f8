package filter

import (
	"iter"
	"math/bits"
)

// atom is something that holds a value between blocks: a scratch word, A or X.
type atom int

const (
	atomA    atom = memoryWords
	atomX    atom = memoryWords + 1
	atoms         = memoryWords + 2
	atomNone atom = -1
)

// atomSet is a set of atoms, bit by bit.
type atomSet uint32

func setOf(a atom) atomSet { return 1 << a }

// all returns the atoms of a set.
func (s atomSet) all() iter.Seq[atom] {
	return func(yield func(atom) bool) {
		for ; s != 0; s &= s - 1 {
			if !yield(atom(bits.TrailingZeros32(uint32(s)))) {
				return
			}
		}
	}
}

// flow is what the optimiser knows about a block.
type flow struct {
	level     int    // longest distance from a return
	sameLevel *block // next block of that level
	sameHash  *block // next block in the table of share
	visited   bool
	in        []edge // edges that lead here
	entries   int    // how many they are

	reads   atomSet         // used by the block before it sets them
	defines atomSet         // set by the block
	needs   atomSet         // used by the block or after it before they are set
	live    atomSet         // used after the block
	values  [atoms]number32 // at the end of the block
	operand number32        // what the jump compares A with

	loads []extent // by statement, what it needs of the packet; kept for exact programs only
	reach []extent // what the packet is known to have
}

// number32 names a value: equal numbers are equal values.  0 is unknown and equals nothing.
type number32 = uint32

// edge is one way out of a block.
type edge struct {
	from *block
	yes  bool
}

func (e edge) target() *block {
	if e.yes {
		return e.from.yes
	}
	return e.from.no
}

func (e edge) redirect(to *block) {
	if e.yes {
		e.from.yes = to
	} else {
		e.from.no = to
	}
}

// visit is a block on the way of a depth-first search, and how many of its sides have been entered.
type visit struct {
	b    *block
	step int
}

// findLevels sorts the blocks that can be reached by their longest distance from a return, so that
// a block has a higher level than all its successors.
func (o *optimiser) findLevels() {
	for _, b := range o.blocks {
		b.visited = false
	}
	clear(o.levels)
	o.levels = o.levels[:0]
	stack := append(o.stack[:0], visit{b: o.root})
	o.root.visited = true
	for len(stack) > 0 {
		top := &stack[len(stack)-1]
		b := top.b
		top.step++
		next := b.yes
		if top.step == 2 {
			next = b.no
		}
		if top.step <= 2 {
			if next != nil && !next.visited {
				next.visited = true
				stack = append(stack, visit{b: next})
			}
			continue
		}
		stack = stack[:len(stack)-1]
		b.level = 0
		if b.yes != nil {
			b.level = b.yes.level + 1
		}
		if b.no != nil {
			b.level = max(b.level, b.no.level+1)
		}
		for len(o.levels) <= b.level {
			o.levels = append(o.levels, nil)
		}
		b.sameLevel = o.levels[b.level]
		o.levels[b.level] = b
	}
	o.stack = stack
}

// down calls f for every block, each before its successors.
func (o *optimiser) down(f func(*block)) {
	for level := len(o.levels) - 1; level >= 0; level-- {
		for b := o.levels[level]; b != nil; b = b.sameLevel {
			f(b)
		}
	}
}

// up calls f for every block that jumps, each after its successors.
func (o *optimiser) up(f func(*block)) {
	for level := 1; level < len(o.levels); level++ {
		for b := o.levels[level]; b != nil; b = b.sameLevel {
			f(b)
		}
	}
}

// findInEdges lists for every block the edges that lead to it.
func (o *optimiser) findInEdges() {
	o.down(func(b *block) { b.entries = 0 })
	o.down(func(b *block) {
		if b.yes != nil {
			b.yes.entries++
		}
		if b.no != nil {
			b.no.entries++
		}
	})
	if n := 2 * len(o.blocks); cap(o.inEdges) < n {
		o.inEdges = make([]edge, n)
	}
	free := o.inEdges
	o.down(func(b *block) {
		b.in, free = free[:0:b.entries], free[b.entries:]
	})
	o.down(func(b *block) {
		if b.yes != nil {
			b.yes.in = append(b.yes.in, edge{b, true})
		}
		if b.no != nil {
			b.no.in = append(b.no.in, edge{b, false})
		}
	})
}

// uses returns the atoms that an instruction reads.
func (s statement) uses() atomSet {
	switch s.code & classMask {
	case classLD:
		switch s.code & modeMask {
		case modeIND:
			return setOf(atomX)
		case modeMEM:
			return setOf(atom(s.k))
		}
	case classLDX:
		if s.code&modeMask == modeMEM {
			return setOf(atom(s.k))
		}
	case classST:
		return setOf(atomA)
	case classSTX:
		return setOf(atomX)
	case classALU, classJMP:
		if s.code == codeJump {
			return 0
		}
		if s.code&srcMask == srcX {
			return setOf(atomA) | setOf(atomX)
		}
		return setOf(atomA)
	case classMISC:
		if s.code == codeTXA {
			return setOf(atomX)
		}
		return setOf(atomA)
	}
	return 0
}

// sets returns the atom that an instruction writes, or atomNone.
func (s statement) sets() atom {
	switch s.code & classMask {
	case classLD, classALU:
		return atomA
	case classLDX:
		return atomX
	case classST, classSTX:
		return atom(s.k)
	case classMISC:
		if s.code == codeTXA {
			return atomA
		}
		return atomX
	}
	return atomNone
}

// jump returns the jump at the end of a block as a statement.
func (b *block) jump() statement { return statement{b.code, b.k} }

// findUses computes which atoms are read in and after every block.
func (o *optimiser) findUses() {
	for level := range o.levels {
		for b := o.levels[level]; b != nil; b = b.sameLevel {
			o.usesOf(b)
		}
	}
}

func (o *optimiser) usesOf(b *block) {
	var defined, used, killed atomSet
	for _, s := range b.stmts {
		if s.code == codeNone {
			continue
		}
		used |= s.uses() &^ defined
		if a := s.sets(); a != atomNone {
			killed |= setOf(a) &^ used
			defined |= setOf(a)
		}
	}
	used |= b.jump().uses() &^ defined
	b.live = 0
	if b.yes != nil {
		b.live |= b.yes.needs
	}
	if b.no != nil {
		b.live |= b.no.needs
	}
	b.reads, b.defines = used, defined
	b.needs = used | b.live&^killed
}
