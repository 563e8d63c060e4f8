package filter

// pullUp moves tests in chains of or'ed or and'ed tests: a test of a value that an earlier test of
// the chain has looked at goes up after that one, so that the value need not be loaded again.
func (o *optimiser) pullUp() {
	if o.turned || o.redirected {
		o.findLevels()
		o.findInEdges()
	}
	o.up(func(b *block) {
		o.pullUpTo(b, true)
		o.pullUpTo(b, false)
	})
}

// pullUpTo looks for tests that can go up to b, where A holds a value that b does not test, or is
// the last in a row to test. The chain is of blocks that share their way for yes (either, an "or")
// or for no, and that can be reached through the chain alone.
func (o *optimiser) pullUpTo(b *block, either bool) {
	value := b.valueBefore()
	if !b.conditional() || value == 0 {
		return
	}
	exit := edge{b, either}.target()
	along := func(c *block) edge { return edge{c, !either} }
	inChain := func(c *block) bool {
		return c.conditional() && edge{c, either}.target() == exit && len(c.in) == 1
	}

	// Tests go up to the edge at, before the block different.
	last := b.in[len(b.in)-1]
	at, different := edge{last.from, last.from.yes == b}, b
	if b.values[atomA] == value {
		at = along(b)
		if different = at.target(); !inChain(different) || different.values[atomA] == value {
			return
		}
	}
	before, passed := at.from, different.defines
	if o.exact && !different.sureAfter(different.loads, before) {
		return
	}
	for same := along(different); ; {
		c := same.target()
		if !inChain(c) || o.exact && !c.sureAfter(c.loads, before) {
			return
		}
		if c.values[atomA] != value {
			passed |= c.defines
			same = along(c)
			continue
		}
		rest := along(c).target()
		if !movable(c, passed, different, rest, exit) {
			return
		}
		same.redirect(rest)
		replaceEdge(rest.in, along(c), same)
		along(c).redirect(different)
		if different == b && at.from == before {
			for i, e := range b.in {
				b.in[i] = edge{e.from, e.from.yes == b}
				b.in[i].redirect(c)
			}
			c.in, b.in = b.in, c.in
		} else {
			at.redirect(c)
			c.in[0] = at
		}
		at = along(c)
		different.in = append(different.in[:0], at)
		o.done = false
	}
}

// valueBefore returns the value that A holds on all edges to the block, or 0 if they differ.
func (b *block) valueBefore() (value number32) {
	for i, e := range b.in {
		v := e.from.values[atomA]
		if i > 0 && v != value {
			return 0
		}
		value = v
	}
	return value
}

// movable reports whether a test can go up past blocks that set some atoms: what any of them reads,
// and what is read after them, must not be set sooner or later than it was.
func movable(test *block, passed atomSet, first, rest, exit *block) bool {
	return test.reads&(passed|setOf(atomA)|setOf(atomX)) == 0 &&
		test.defines&(first.needs|rest.needs) == 0 &&
		(test.defines|passed)&exit.needs == 0
}

// replaceEdge puts one edge in the place of another.
func replaceEdge(edges []edge, old, replacement edge) {
	for i, e := range edges {
		if e == old {
			edges[i] = replacement
		}
	}
}
