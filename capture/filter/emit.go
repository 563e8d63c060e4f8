package filter

// maxJump is the longest conditional jump: its distance is one byte.
const maxJump = 255

// placed is a block with its place in the program.
type placed struct {
	*block
	start int
	// farYes and farNo tell that the way is longer than a conditional jump reaches, so that it goes
	// through an unconditional jump behind the block.
	farYes, farNo bool
}

// emit lays the blocks out and turns them into instructions.
//
// The order is depth first, the true side directly behind its block and the false side behind that,
// so that all jumps go forward except those of a loop.
func (g *graph) emit() []Instruction {
	g.number()
	layout := g.layout()
	at := make([]int, len(g.blocks)) // block number -> index in layout
	for i := range layout {
		at[layout[i].id] = i
	}
	size := place(layout)
	for widen(layout, at) {
		size = place(layout)
	}
	out := make([]Instruction, 0, size)
	for i := range layout {
		p := &layout[i]
		for _, s := range p.stmts {
			out = append(out, Instruction{Code: s.code, K: s.k})
		}
		switch {
		case p.returns():
			out = append(out, Instruction{Code: p.code, K: p.k})
		case p.straight():
			if target := layout[at[p.yes.id]].start; target != len(out) {
				out = append(out, Instruction{Code: codeJump, K: uint32(target - len(out) - 1)})
			}
		default:
			out = emitJump(out, p, layout[at[p.yes.id]].start, layout[at[p.no.id]].start)
		}
	}
	return out
}

func emitJump(out []Instruction, p *placed, yes, no int) []Instruction {
	jump := len(out)
	out = append(out, Instruction{Code: p.code, K: p.k})
	far := func(target int) uint8 {
		out = append(out, Instruction{Code: codeJump, K: uint32(target - len(out) - 1)})
		return uint8(len(out) - 1 - jump - 1)
	}
	if p.farYes {
		out[jump].Jt = far(yes)
	} else {
		out[jump].Jt = uint8(yes - jump - 1)
	}
	if p.farNo {
		out[jump].Jf = far(no)
	} else {
		out[jump].Jf = uint8(no - jump - 1)
	}
	return out
}

// straight tells whether the block has one way on.
func (b *block) straight() bool { return !b.returns() && (b.code == codeJump || b.yes == b.no) }

// layout orders the blocks: every block before its successors, except for jumps back in a loop.
func (g *graph) layout() []placed {
	layout := make([]placed, len(g.blocks))
	end := len(layout)
	type visit struct {
		b    *block
		step int
	}
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
			layout[end] = placed{block: top.b}
			stack = stack[:len(stack)-1]
		}
	}
	return layout
}

// place computes where every block starts and returns the length of the program.
func place(layout []placed) int {
	at := 0
	for i := range layout {
		p := &layout[i]
		p.start = at
		at += len(p.stmts)
		switch {
		case p.straight():
			if i+1 == len(layout) || layout[i+1].block != p.yes {
				at++
			}
		default:
			at++
		}
		if p.farYes {
			at++
		}
		if p.farNo {
			at++
		}
	}
	return at
}

// widen marks conditional jumps that do not reach, and tells whether there were any.
func widen(layout []placed, at []int) bool {
	found := false
	for i := range layout {
		p := &layout[i]
		if p.returns() || p.straight() {
			continue
		}
		jump := p.start + len(p.stmts)
		if !p.farYes && layout[at[p.yes.id]].start-jump-1 > maxJump {
			p.farYes, found = true, true
		}
		if !p.farNo && layout[at[p.no.id]].start-jump-1 > maxJump {
			p.farNo, found = true, true
		}
	}
	return found
}
