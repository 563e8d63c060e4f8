package filter

import "slices"

// Threading of jumps. A way through the graph that reaches a test after an equal test knows its
// outcome, and can go straight on to what comes after it. What is known on an edge are the outcomes
// on the edges that dominate it: those that every way to it takes.

// edgeIndex is the tree of edge dominators. Edges are numbered: the edge for yes of the block with
// number n is n, the one for no is n plus the number of blocks.
type edgeIndex struct {
	nodes   []edgeNode
	order   []int32 // edges, each after those that dominate it
	byPre   []int32 // edges by their pre
	buckets []int32 // by hash of the test of an edge, where its entries begin
	last    []int32 // by hash, a cursor while the entries are made
	entries []int32 // edges by hash, then by pre
}

type edgeNode struct {
	parent    int32 // nearest dominating edge, -1 for none
	depth     int32
	trueEqual int32 // nearest edge from here up that says "A equals a constant", -1 for none
	around    int32 // nearest dominating edge with the same hash of its test, -1 for none
	child     int32 // for the numbering of the tree
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
	// Peephole may have turned tests round.  libpcap uses what it knows about the edges from before
	// that, and so miscompiles "(ip6 src net 2001:db8::/125 and dst port 2) or (ip6 src net
	// 2001:db8::/125 and src port 2)".
	if o.turned {
		o.findInEdges()
	}
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
	if to.straight() && o.canSkip(e.from, o.enterOver(e), to.yes) {
		// The test does not matter, and neither does what is computed for it.
		o.changed()
		o.redirected = true
		e.redirect(to.yes)
	}
	for !e.target().returns() {
		next := o.outcome(e)
		if next == nil {
			return
		}
		o.done, o.redirected = false, true
		e.redirect(next)
	}
}

// passage is a block as it is on one of the edges to it, where more may be known than on all of
// them.
type passage struct {
	*block
	values  *[atoms]number32 // at the end of the block
	operand number32
	loads   []extent
}

// enterOver returns the block that an edge leads to, with the values that it computes when entered
// so.
func (o *optimiser) enterOver(e edge) passage {
	b := e.target()
	p := passage{b, &b.values, b.operand, b.loads}
	same := true
	for a := range b.reads.all() {
		if b.defines&setOf(a) != 0 || b.values[a] != e.from.values[a] {
			same = false
		}
	}
	if same {
		return p
	}
	o.edgeValues = e.from.values
	o.edgeLoads = o.edgeLoads[:0]
	for i := range b.stmts {
		x := o.edgeValues[atomX]
		o.numberStatement(&b.stmts[i], &o.edgeValues, false)
		if o.exact {
			o.edgeLoads = append(o.edgeLoads, b.stmts[i].extentOf(x))
		}
	}
	p.values, p.loads = &o.edgeValues, o.edgeLoads
	if b.code&srcMask == srcX {
		p.operand = p.values[atomX]
	}
	return p
}

// canSkip reports whether a way from one block can go straight on to a successor of the next: no
// atom that is read there may have been set by the next block to something else than it is without
// it, and no packet may pass that the next block would have rejected.
func (o *optimiser) canSkip(from *block, skipped passage, to *block) bool {
	for a := range (to.needs & skipped.defines).all() {
		if from.values[a] != skipped.values[a] || from.values[a] == 0 {
			return false
		}
	}
	return !o.exact || skipped.sureAfter(skipped.loads, from)
}

// outcome returns where the test leads that an edge goes to, or nil if that is not known or the
// block does something that is needed.
func (o *optimiser) outcome(e edge) *block {
	if !e.target().conditional() {
		return nil
	}
	test := o.enterOver(e)
	a := test.values[atomA]
	if a == 0 {
		return nil
	}
	x := &o.edges
	n := o.edgeNumber(e)
	at := x.nodes[n].pre
	for i := x.nearest(x.hash(test.code, a, test.operand), at); i >= 0; i = x.nodes[i].around {
		from := o.edgeOf(i)
		if from.from.code != test.code || from.from.values[atomA] != a || from.from.operand != test.operand {
			continue
		}
		next := test.no
		if from.yes {
			next = test.yes
		}
		if o.canSkip(e.from, test, next) {
			return next
		}
		break
	}
	if test.code != classJMP|opJEQ {
		return nil
	}
	for i := x.nodes[n].trueEqual; i >= 0; {
		from := o.blocks[i]
		if from.values[atomA] == a && from.operand != test.operand && o.canSkip(e.from, test, test.no) {
			return test.no // A equals another constant
		}
		if i = x.nodes[i].parent; i >= 0 {
			i = x.nodes[i].trueEqual
		}
	}
	return nil
}

func (x *edgeIndex) hash(code uint16, a, operand number32) int {
	h := uint32(code)*0x9e3779b1 ^ a*0x85ebca6b ^ operand*0xc2b2ae35
	return int((h ^ h>>15) & uint32(len(x.last)-1))
}

// nearest returns the edge with this hash that dominates the edge with this pre and is nearest to
// it, or -1 if there is none.
func (x *edgeIndex) nearest(hash int, pre int32) int32 {
	entries := x.entries[x.buckets[hash]:x.buckets[hash+1]]
	n, _ := slices.BinarySearchFunc(entries, pre+1, func(e, want int32) int { return int(x.nodes[e].pre - want) })
	if n == 0 {
		return -1
	}
	i := entries[n-1]
	for i >= 0 && x.nodes[i].post < pre {
		i = x.nodes[i].around
	}
	return i
}

// indexEdges builds the tree and the table of tests.
func (o *optimiser) indexEdges() {
	x := &o.edges
	if n := 2 * len(o.blocks); cap(x.nodes) < n {
		size := 32
		for size < n {
			size *= 2
		}
		x.nodes = make([]edgeNode, n)
		x.order = make([]int32, 0, n)
		x.byPre = make([]int32, n)
		x.entries = make([]int32, n)
		x.last = make([]int32, size)
		x.buckets = make([]int32, size+1)
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
	o.indexTests()
}

// indexTests sorts the edges by the hash of their test and then by pre.
func (o *optimiser) indexTests() {
	x := &o.edges
	clear(x.buckets)
	hash := func(n int32) int {
		b := o.edgeOf(n).from
		return x.hash(b.code, b.values[atomA], b.operand)
	}
	for _, n := range x.order {
		x.byPre[x.nodes[n].pre] = n
		x.buckets[hash(n)+1]++
	}
	for h := range x.last {
		x.buckets[h+1] += x.buckets[h]
		x.last[h] = x.buckets[h]
	}
	for _, n := range x.byPre[:len(x.order)] {
		h := hash(n)
		around := int32(-1)
		if x.last[h] > x.buckets[h] {
			around = x.entries[x.last[h]-1]
		}
		for around >= 0 && x.nodes[around].post < x.nodes[n].pre {
			around = x.nodes[around].around
		}
		x.nodes[n].around = around
		x.entries[x.last[h]] = n
		x.last[h]++
	}
}

func (o *optimiser) addEdge(e edge, parent int32) {
	x := &o.edges
	n := o.edgeNumber(e)
	node := edgeNode{parent: parent, trueEqual: -1, around: -1}
	if parent >= 0 {
		node.depth = x.nodes[parent].depth + 1
		node.trueEqual = x.nodes[parent].trueEqual
	}
	if e.from.values[atomA] != 0 {
		if e.yes && e.from.code == classJMP|opJEQ {
			node.trueEqual = n
		}
	}
	x.nodes[n] = node
	x.order = append(x.order, n)
}

// common returns the nearest edge that dominates both, -1 for none.
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
