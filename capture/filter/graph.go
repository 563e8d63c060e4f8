package filter

import "slices"

// The intermediate form is a graph of blocks. A block is a list of statements, which do not jump,
// and one jump at the end: conditional, with two successors; unconditional, with one; or a return,
// with none. Scratch words, A and X live on from block to block as they do in BPF.

// statement is an instruction that does not jump.
type statement struct {
	code uint16
	k    uint32
}

// codeNone is a statement that an optimiser pass has removed.  (No instruction has this number.)
const codeNone = 0xffff

// block ends with the jump or return that code and k say.
type block struct {
	stmts   []statement
	code    uint16
	k       uint32
	yes, no *block // yes alone for an unconditional jump

	id int // number in graph.blocks, set by number

	afterYes, afterNo exit // links of lists of exits, while the graph is built

	flow // what the optimiser knows about the block
}

func (b *block) returns() bool { return b.code == codeReturn }

// conditional reports whether the block chooses between two ways on.
func (b *block) conditional() bool {
	return b.code&classMask == classJMP && b.code != codeJump
}

// exit is a way out of a block whose destination is not known yet.
type exit struct {
	from *block
	yes  bool
}

// exits is a list of exits, linked through the blocks.
type exits struct {
	first, last exit
}

func exitsOf(b *block, yes bool) exits { return exits{exit{b, yes}, exit{b, yes}} }

// patch leads all exits to a block.
func (l exits) patch(to *block) {
	for e := l.first; e.from != nil; {
		link := e.from.nextExit(e.yes)
		next := *link
		*link = exit{}
		if e.yes {
			e.from.yes = to
		} else {
			e.from.no = to
		}
		e = next
	}
}

// join puts two lists together.
func (l exits) join(m exits) exits {
	switch {
	case l.first.from == nil:
		return m
	case m.first.from == nil:
		return l
	}
	*l.last.from.nextExit(l.last.yes) = m.first
	return exits{l.first, m.last}
}

// nextExit returns the link to the exit that follows one of the block's own in a list.
func (b *block) nextExit(yes bool) *exit {
	if yes {
		return &b.afterYes
	}
	return &b.afterNo
}

// condition is a part of the graph that decides something: it is entered at head, and left through
// one of the exits in yes or no. Combining conditions uses them up.
type condition struct {
	head    *block
	yes, no exits
}

// and is true if a and then b are. The tests of a come first.
func and(a, b *condition) *condition {
	a.yes.patch(b.head)
	b.head, b.no = a.head, a.no.join(b.no)
	return b
}

// or is true if a or else b is.
func or(a, b *condition) *condition {
	a.no.patch(b.head)
	b.head, b.yes = a.head, a.yes.join(b.yes)
	return b
}

// not returns the opposite of a.
func not(a *condition) *condition {
	a.yes, a.no = a.no, a.yes
	return a
}

// graph is a whole program.
type graph struct {
	root           *block
	accept, reject *block
	blocks         []*block // all that can be reached, numbered depth first
	// refusing is whether a program that can match nothing is an error. It is not for programs that
	// libpcap leaves unoptimised, since it does not notice there.
	refusing bool
	loops    bool // jumps backwards ("protochain"): not for the optimiser
}

// number lists the blocks that can be reached, in depth-first order with the true side first.
func (g *graph) number() {
	for _, b := range g.blocks {
		b.id = -1
	}
	g.blocks = g.blocks[:0]
	stack := []*block{g.root}
	for len(stack) > 0 {
		b := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if b.id >= 0 && b.id < len(g.blocks) && g.blocks[b.id] == b {
			continue
		}
		b.id = len(g.blocks)
		g.blocks = append(g.blocks, b)
		if b.no != nil {
			stack = append(stack, b.no)
		}
		if b.yes != nil {
			stack = append(stack, b.yes)
		}
	}
}

// compact drops removed statements.
func (g *graph) compact() {
	for _, b := range g.blocks {
		b.stmts = slices.DeleteFunc(b.stmts, func(s statement) bool { return s.code == codeNone })
	}
}
