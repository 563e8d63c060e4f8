package filter

import "slices"

// optimiser holds the graph and what the passes compute about it.
//
// The passes are those that the BPF papers describe (McCanne and Jacobson 1993; Begel, McCanne and
// Graham, "BPF+", 1999): value numbering, removal of dead stores, threading of jumps whose outcome
// is known, pulling equal tests together, sharing of equal blocks. Their strength up to and
// including sharing is deliberately that of libpcap, no more: whether an expression "rejects all
// packets" is decided by what is left of it then, and is to be decided as libpcap decides it.
type optimiser struct {
	*graph
	levels     []*block // blocks by longest distance from a return, linked by sameLevel
	values     valueTable
	exact      bool // keep what a division by zero or an overlong shift does at run time
	done       bool // nothing changed in this round
	moved      bool // the change was no mere rearrangement of branches
	turned     bool // in this round, tests were turned round or settled
	redirected bool // in this round, jumps were threaded
	edges      edgeIndex
	inEdges    []edge // of all blocks
	err        string

	stack      []visit         // of findLevels
	edgeValues [atoms]number32 // of the passage looked at last
	edgeLoads  []extent
}

// maxQuiet bounds the rounds that only rearrange branches: rearrangements can go round in circles.
const maxQuiet = 100

// optimise makes the program shorter.
func (g *graph) optimise(expression string) *Error {
	if g.loops || g.root.returns() {
		return nil
	}
	g.number()
	o := &optimiser{graph: g, exact: !g.refusing}
	o.threading()
	o.rewriting()
	if o.err != "" {
		return &Error{Expression: expression, Message: o.err}
	}
	o.share()
	o.trimRoot()
	if g.refusing && g.root.returns() && g.root.k == 0 {
		return &Error{Expression: expression, RejectsAll: true,
			Message: "the expression rejects all packets: its parts contradict each other or cannot occur on this link type"}
	}
	o.searchLists()
	return nil
}

// threading moves jumps until nothing changes.
func (o *optimiser) threading() {
	for quiet := 0; quiet < maxQuiet; quiet++ {
		o.analyse()
		o.numberValues(false)
		o.threadJumps()
		o.pullUp()
		if o.done {
			return
		}
		if o.moved {
			quiet = -1
			o.moved = false
		}
	}
}

// rewriting simplifies statements until nothing changes.
func (o *optimiser) rewriting() {
	for quiet := 0; quiet < maxQuiet && o.err == ""; quiet++ {
		if !o.done { // else nothing has changed since the last round of threading
			o.analyse()
		}
		o.numberValues(true)
		if o.done {
			return
		}
		if o.moved {
			quiet = -1
			o.moved = false
		}
	}
}

// analyse computes what the passes of one round need.
func (o *optimiser) analyse() {
	o.done, o.turned, o.redirected = true, false, false
	o.findLevels()
	o.findInEdges()
	o.findUses()
}

// changed notes that a round did something.
func (o *optimiser) changed() {
	o.done = false
	o.moved = true
}

// trimRoot drops leading blocks whose outcome does not matter. The statements of the first stay, as
// they do in libpcap, and of the others those that set up something.
func (o *optimiser) trimRoot() {
	if o.exact || o.root.returns() || !o.root.straight() {
		return
	}
	o.findLevels()
	o.findUses()
	stmts := slices.Clone(o.root.stmts)
	for o.root = o.root.yes; !o.root.returns() && o.root.straight(); o.root = o.root.yes {
		if o.root.defines&o.root.yes.needs != 0 {
			stmts = append(stmts, o.root.stmts...)
		}
	}
	if !o.root.returns() {
		o.root.stmts = append(stmts, o.root.stmts...)
	}
}

// initialise clears the scratch words that a program may read without having written them. That
// happens where a tunnel has not been found and what stands after it is tested for all the same, as
// in "geneve or ip". The kernel refuses programs that do so.
func (g *graph) initialise() {
	if g.refusing || g.loops || g.root.returns() {
		return
	}
	g.number()
	o := &optimiser{graph: g}
	o.findLevels()
	o.findUses()
	unset := g.root.needs &^ (setOf(atomA) | setOf(atomX))
	if unset == 0 {
		return
	}
	zeroed := []statement{{codeLoadImm, 0}}
	for a := range unset.all() {
		zeroed = append(zeroed, statement{codeStore, uint32(a)})
	}
	g.root.stmts = append(zeroed, g.root.stmts...)
}
