package filter

import "slices"

// maxJump is the longest conditional jump: its distance is one byte.
const maxJump = 255

// emitter lays blocks out and turns them into instructions. It works from the end of the program to
// its beginning, so that wherever a jump forward leads is there already.
type emitter struct {
	reversed []Instruction // the program so far, last instruction first
	start    []int         // by block, how many instructions there are from its first to the end
	relays   map[*block]int
	back     []int // jumps to blocks that are not there yet: indices into reversed
	backTo   []*block
}

// emit returns the program.
//
// The order is depth first, the true side directly after its block and the false side after that,
// so that all jumps go forward except those of a loop.
func (g *graph) emit() []Instruction {
	g.number()
	layout := g.layout()
	size := len(layout)
	for _, b := range layout {
		size += len(b.stmts)
	}
	e := &emitter{reversed: make([]Instruction, 0, size), start: make([]int, len(layout))}
	for i := len(layout) - 1; i >= 0; i-- {
		b := layout[i]
		switch {
		case b.returns():
			e.put(Instruction{Code: b.code, K: b.k})
		case b.straight():
			if i+1 == len(layout) || layout[i+1] != b.yes {
				e.jump(b.yes)
			}
		default:
			e.branch(b)
		}
		for _, s := range slices.Backward(b.stmts) {
			e.put(Instruction{Code: s.code, K: s.k})
		}
		e.start[b.id] = len(e.reversed)
	}
	for i, from := range e.back {
		e.reversed[from].K = uint32(from - e.start[e.backTo[i].id])
	}
	slices.Reverse(e.reversed)
	return e.reversed
}

func (e *emitter) put(in Instruction) { e.reversed = append(e.reversed, in) }

// jump puts an unconditional jump, or a copy of the return that it would lead to.
func (e *emitter) jump(to *block) {
	switch {
	case to.returns() && len(to.stmts) == 0:
		e.put(Instruction{Code: to.code, K: to.k})
	case e.start[to.id] == 0:
		e.back, e.backTo = append(e.back, len(e.reversed)), append(e.backTo, to)
		e.put(Instruction{Code: codeJump})
	default:
		e.put(Instruction{Code: codeJump, K: uint32(len(e.reversed) - e.start[to.id])})
	}
}

// branch puts the conditional jump of a block. A way that is too long goes through a relay, an
// unconditional jump that later blocks have needed too or that is put after the block.
func (e *emitter) branch(b *block) {
	for {
		yes, yesOK := e.distance(b.yes)
		no, noOK := e.distance(b.no)
		if yesOK && noOK {
			e.put(Instruction{Code: b.code, Jt: yes, Jf: no, K: b.k})
			return
		}
		to := b.no
		if noOK {
			to = b.yes
		}
		e.jump(to)
		if e.relays == nil {
			e.relays = make(map[*block]int)
		}
		e.relays[to] = len(e.reversed)
	}
}

// distance returns how far the next instruction to be put has to jump to a block or to the nearest
// relay to it, and whether it can.
func (e *emitter) distance(to *block) (uint8, bool) {
	if d := len(e.reversed) - e.start[to.id]; d <= maxJump {
		return uint8(d), true
	}
	if at, ok := e.relays[to]; ok && len(e.reversed)-at <= maxJump {
		return uint8(len(e.reversed) - at), true
	}
	return 0, false
}

// straight reports whether the block has one way on.
func (b *block) straight() bool { return !b.returns() && (b.code == codeJump || b.yes == b.no) }

// layout orders the blocks: every block before its successors, except for jumps back in a loop.
func (g *graph) layout() []*block {
	layout := make([]*block, len(g.blocks))
	end := len(layout)
	seen := make([]bool, len(g.blocks))
	stack := make([]visit, 0, 32)
	enter := func(b *block) {
		if b != nil && !seen[b.id] {
			seen[b.id] = true
			stack = append(stack, visit{b: b})
		}
	}
	enter(g.root)
	for len(stack) > 0 {
		top := &stack[len(stack)-1]
		top.step++
		switch top.step {
		case 1:
			enter(top.b.no)
		case 2:
			enter(top.b.yes)
		default:
			end--
			layout[end] = top.b
			stack = stack[:len(stack)-1]
		}
	}
	return layout
}
