package filter

// pullUp moves tests in chains of or'ed or and'ed tests: a test of a value that an earlier test of
// the chain has looked at goes up behind that one, so that the value need not be loaded again.
func (o *optimiser) pullUp() {
	if o.turned || o.redirected {
		o.findLevels()
		o.findInEdges()
	}
	o.up(func(b *block) {
		o.pullUpIn(b, true)
		o.pullUpIn(b, false)
	})
}

// pullUpIn does so in one chain: of blocks that share their way for yes (an "or"), or for no.
func (o *optimiser) pullUpIn(b *block, either bool) {
	if len(b.in) == 0 || b.code == codeJump {
		return
	}
	value := b.in[0].from.values[atomA]
	if value == 0 {
		return
	}
	for _, e := range b.in[1:] {
		if e.from.values[atomA] != value {
			return
		}
	}
	exit := edge{b, either}.target()
	// along is the edge to the next block of a chain, which goes on as long as its blocks share the
	// way out and can be reached through the chain alone.
	along := func(c *block) edge { return edge{c, !either} }
	inChain := func(c *block) bool {
		return c.conditional() && edge{c, either}.target() == exit && (c == b || len(c.in) == 1)
	}
	last := b.in[len(b.in)-1]
	at := edge{last.from, last.from.yes == b}
	for {
		c := at.target()
		if !inChain(c) {
			return
		}
		if c.values[atomA] != value {
			break
		}
		at = along(c)
	}
	different := at.target()
	same := along(different)
	for {
		c := same.target()
		if !inChain(c) {
			return
		}
		if c.values[atomA] == value {
			break
		}
		same = along(c)
	}
	pull := same.target()
	if !o.movable(pull, at, different, either) {
		return
	}
	rest := along(pull).target()
	same.redirect(rest)
	replaceEdge(rest.in, along(pull), same)
	along(pull).redirect(different)
	if different == b {
		for i, e := range b.in {
			b.in[i] = edge{e.from, e.from.yes == b}
			b.in[i].redirect(pull)
		}
		pull.in, b.in = b.in, pull.in
	} else {
		at.redirect(pull)
		pull.in[0] = at
	}
	different.in = append(different.in[:0], along(pull))
	o.done = false
}

// movable tells whether a test can go up to an edge, before the blocks of a chain from first on.  What
// any of them reads, and what the ways out and the rest of the chain read, must not be set by one that
// comes sooner or later than it did.  Where rejections are to be kept, all of them must be sure not to
// reject the packet.
func (o *optimiser) movable(pull *block, at edge, first *block, either bool) bool {
	along := func(c *block) *block { return edge{c, !either}.target() }
	exit, rest := edge{pull, either}.target(), along(pull)
	var passed atomSet
	for c := first; c != pull; c = along(c) {
		passed |= c.defines
		if o.exact && !c.sureAfter(c.loads, at.from) {
			return false
		}
	}
	switch {
	case pull.reads&(passed|setOf(atomA)|setOf(atomX)) != 0,
		pull.defines&(first.needs|rest.needs) != 0,
		(pull.defines|passed)&exit.needs != 0:
		return false
	}
	return !o.exact || pull.sureAfter(pull.loads, at.from)
}

// replaceEdge puts one edge in the place of another.
func replaceEdge(edges []edge, old, replacement edge) {
	for i, e := range edges {
		if e == old {
			edges[i] = replacement
		}
	}
}
