package filter

// Threading of jumps.  A way through the graph that reaches a test after an equal test knows its
// outcome, and can go straight on to what comes behind it.  What is known on an edge are the
// outcomes on the edges that dominate it: those that every way to it takes.

// edgeIndex is the tree of edge dominators.  Edges are numbered: the edge for yes of the block with
// number n is n, the one for no is n plus the number of blocks.
type edgeIndex struct {
	nodes   []edgeNode
	buckets []int32
	order   []int32
}

type edgeNode struct {
	parent    int32 // nearest dominating edge, -1 for none
	depth     int32
	trueEqual int32 // nearest edge from here up that says "A equals a constant", -1 for none
	bucket    int32 // next edge with the same hash of its test
	child     int32 // for the numbering of the tree
	sibling   int32
	pre, post int32 // dominated edges have their pre between these
}

func (o *optimiser) edgeNumber(e edge) int32 {
	if e.yes {
		return int32(e.from.id)
	}
	return int32(e.from.id + len(o.blocks))
}

func (o *optimiser) edgeOf(n int32) edge {
	if int(n) < len(o.blocks) {
		return edge{o.blocks[n], true}
	}
	return edge{o.blocks[int(n)-len(o.blocks)], false}
}

// threadJumps moves edges past tests whose outcome is known on them.
func (o *optimiser) threadJumps() {
	o.indexEdges()
	o.up(func(b *block) {
		o.threadEdge(edge{b, true})
		if b.code != codeJump {
			o.threadEdge(edge{b, false})
		}
	})
}

// threadEdge moves one edge as far as it goes.
func (o *optimiser) threadEdge(e edge) {
	to := e.target()
	if to.returns() {
		return
	}
	if to.straight() && e.from.skippable(to, to.yes) {
		// The test does not matter, and neither does what is computed for it.
		o.changed()
		e.redirect(to.yes)
	}
	for !e.target().returns() {
		next := o.outcome(e, e.target())
		if next == nil {
			return
		}
		o.done = false
		e.redirect(next)
	}
}

// outcome is where a test leads that is reached over an edge, or nil if that is not known or the
// block does something that is needed.
func (o *optimiser) outcome(e edge, test *block) *block {
	a := test.values[atomA]
	if a == 0 || !test.conditional() {
		return nil
	}
	x := &o.edges
	n := o.edgeNumber(e)
	at := x.nodes[n].pre
	const none = int32(1) << 30
	yes, no := none, none // lowest edge that tells the outcome
	for i := x.buckets[x.hash(test.code, a, test.operand)]; i >= 0; i = x.nodes[i].bucket {
		if d := &x.nodes[i]; at < d.pre || at > d.post {
			continue
		}
		from := o.edgeOf(i)
		if from.from.code != test.code || from.from.values[atomA] != a || from.from.operand != test.operand || test.operand == 0 {
			continue
		}
		if from.yes {
			yes = min(yes, i)
		} else {
			no = min(no, i)
		}
	}
	if test.code == classJMP|opJEQ {
		// A is known to equal another constant.
		for i := x.nodes[n].trueEqual; i >= 0; {
			from := o.blocks[i]
			if from.values[atomA] == a && from.operand != test.operand {
				no = min(no, i)
			}
			if i = x.nodes[i].parent; i >= 0 {
				i = x.nodes[i].trueEqual
			}
		}
	}
	first, second := test.yes, test.no
	if no < yes {
		first, second = second, first
	}
	if min(yes, no) != none && e.from.skippable(test, first) {
		return first
	}
	if max(yes, no) != none && e.from.skippable(test, second) {
		return second
	}
	return nil
}

func (x *edgeIndex) hash(code uint16, a, operand number32) int {
	h := uint32(code)*0x9e3779b1 ^ a*0x85ebca6b ^ operand*0xc2b2ae35
	return int((h ^ h>>15) & uint32(len(x.buckets)-1))
}

// indexEdges builds the tree and the table of tests.
func (o *optimiser) indexEdges() {
	x := &o.edges
	n := 2 * len(o.blocks)
	size := 32
	for size < n {
		size *= 2
	}
	if cap(x.nodes) < n {
		x.nodes = make([]edgeNode, n)
		x.buckets = make([]int32, size)
		x.order = make([]int32, 0, n)
	}
	x.nodes = x.nodes[:n]
	for i := range x.buckets {
		x.buckets[i] = -1
	}
	x.order = x.order[:0]
	o.down(func(b *block) {
		if b.returns() {
			return
		}
		common := int32(-1)
		for i, e := range b.in {
			if i == 0 {
				common = o.edgeNumber(e)
			} else {
				common = x.common(common, o.edgeNumber(e))
			}
			if common < 0 {
				break
			}
		}
		o.addEdge(edge{b, true}, common)
		if b.code != codeJump {
			o.addEdge(edge{b, false}, common)
		}
	})
	x.number()
}

func (o *optimiser) addEdge(e edge, parent int32) {
	x := &o.edges
	n := o.edgeNumber(e)
	node := edgeNode{parent: parent, trueEqual: -1, bucket: -1, child: -1, sibling: -1}
	if parent >= 0 {
		node.depth = x.nodes[parent].depth + 1
		node.trueEqual = x.nodes[parent].trueEqual
	}
	if e.from.values[atomA] != 0 {
		if e.yes && e.from.code == classJMP|opJEQ {
			node.trueEqual = n
		}
		h := x.hash(e.from.code, e.from.values[atomA], e.from.operand)
		node.bucket = x.buckets[h]
		x.buckets[h] = n
	}
	x.nodes[n] = node
	x.order = append(x.order, n)
}

// common is the nearest edge that dominates both, -1 for none.
func (x *edgeIndex) common(a, b int32) int32 {
	for a != b {
		if a < 0 || b < 0 {
			return -1
		}
		if x.nodes[a].depth < x.nodes[b].depth {
			a, b = b, a
		}
		a = x.nodes[a].parent
	}
	return a
}

// number numbers the tree so that an edge dominates those between its pre and post.
func (x *edgeIndex) number() {
	// Edges come in order after their parents, so sizes add up from the back.
	for i := len(x.order) - 1; i >= 0; i-- {
		n := x.order[i]
		x.nodes[n].post++ // itself
		if p := x.nodes[n].parent; p >= 0 {
			x.nodes[p].post += x.nodes[n].post
		}
	}
	next := int32(0) // first number that is free at the top
	for _, n := range x.order {
		node := &x.nodes[n]
		size := node.post
		if node.parent < 0 {
			node.pre = next
			next += size
		} else {
			p := &x.nodes[node.parent]
			node.pre = p.child
			p.child += size
		}
		node.child = node.pre + 1 // where its own children go
		node.post = node.pre + size - 1
	}
}
