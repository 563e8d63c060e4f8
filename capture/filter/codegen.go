package filter

import (
	"context"
	"fmt"
)

// maxBlocks bounds the size of a graph, and with it the memory and time that an expression costs.
const maxBlocks = 12000

// generator walks the tree from left to right and builds the graph. The order matters: "vlan",
// "mpls", "pppoes", "geneve" and "vxlan" move the offsets for everything to their right, whatever
// the tree says, and the leftmost error is the one to report.
type generator struct {
	ctx        context.Context
	expression string
	pos        int // of the primitive being compiled, for errors
	target     Target
	names      Names

	linkType LinkType // of the innermost header so far

	link     *offset // start of the link-layer header
	typeAt   *offset // type field of the link-layer header
	payload  *offset // what follows the link-layer header
	network  uint32  // from payload to the network-layer header
	noSNAP   uint32  // the same where there is an 802.2 header without SNAP
	typeless bool    // the link type has no type field

	outerLink, outerPayload *offset // as at the beginning of the packet

	tunnelled  bool // behind "geneve" or "vxlan": there may be no Ethernet header
	labels     int  // MPLS labels passed
	vlans      int  // VLAN tags passed
	vlanInMeta bool // the first tag may be metadata, so offsets are computed at run time

	registers [memoryWords]bool // scratch words in use
	written   [memoryWords]bool // scratch words that have been in use
	register  int               // where to look for a free one

	// plain is false once the program contains what libpcap's optimiser does not touch.
	plain bool
	loops bool

	blocks     int // how many there are
	blockSlab  []block
	conditions []condition
	arena      []statement
}

// slabAfter returns how many blocks or conditions to allocate at once after n of them: few for a
// short expression, and not too many for any.
func slabAfter(n int) int { return min(max(2*n, 8), 256) }

// offset is a place in the packet: a constant plus, for headers of variable length, a scratch word.
type offset struct {
	constant uint32
	variable bool
	register int // -1 until one is needed
}

// generate builds the graph for a tree.
func generate(ctx context.Context, expression string, tree node, t Target) (gr *graph, err *Error) {
	defer caught(&err)
	g := &generator{ctx: ctx, expression: expression, target: t, names: t.Names, plain: true}
	g.begin()
	if t.SnapLength == 0 {
		t.SnapLength = DefaultSnapLength
	}
	gr = &graph{
		accept: &block{code: codeReturn, k: t.SnapLength},
		reject: &block{code: codeReturn},
	}
	if tree == nil {
		gr.root = gr.accept
		return gr, nil
	}
	c := g.node(tree)
	gr.root = g.prologue(c.head)
	c.yes.patch(gr.accept)
	c.no.patch(gr.reject)
	gr.refusing = g.plain
	gr.loops = g.loops
	return gr, nil
}

// prologue puts before a program what computes the variable offsets it uses, and returns the new
// first block.
func (g *generator) prologue(first *block) *block {
	switch g.target.LinkType {
	case IEEE80211, IEEE80211Radio:
		return g.wlanPrologue(first)
	}
	if g.vlanInMeta {
		zeroed := g.list(statement{codeLoadImm, 0}, statement{codeStore, uint32(g.outerPayload.register)})
		first.stmts = append(zeroed, first.stmts...)
	}
	return first
}

// fail ends the compilation; generate recovers the error.
func (g *generator) fail(format string, args ...any) {
	g.failHint("", format, args...)
}

func (g *generator) failHint(hint, format string, args ...any) {
	panic(&Error{Expression: g.expression, Position: g.pos, Message: fmt.Sprintf(format, args...), Hint: hint})
}

// node compiles a part of the tree.
func (g *generator) node(n node) *condition {
	switch n := n.(type) {
	case *chain:
		c := g.node(n.first)
		for _, l := range n.rest {
			if l.or {
				c = or(c, g.node(l.term))
			} else {
				c = and(c, g.node(l.term))
			}
		}
		return c
	case *group:
		return g.node(n.node)
	case *negation:
		return not(g.node(n.term))
	}
	g.pos = n.position()
	switch n := n.(type) {
	case *identifier:
		return g.identifier(n)
	case *bareProtocol:
		return g.bareProtocol(n.proto)
	case *relation:
		return g.relation(n)
	case *byteTest:
		return g.byteTest(n)
	}
	return g.primitive(n.(*primitive))
}

func (g *generator) primitive(n *primitive) *condition {
	switch n.kind {
	case primBroadcast:
		return g.broadcast(n.proto)
	case primMulticast:
		return g.multicast(n.proto)
	case primLess:
		return not(g.lengthTest(opJGT, n.number))
	case primGreater:
		return g.lengthTest(opJGE, n.number)
	case primInbound:
		return not(g.outbound(n.kind))
	case primOutbound:
		return g.outbound(n.kind)
	case primIfindex:
		return g.ifindex(n.number)
	case primVLAN:
		return g.vlan(n)
	case primMPLS:
		return g.mpls(n)
	case primPPPoED:
		return g.linkProtocol(etherPPPoED)
	case primPPPoES:
		return g.pppoes(n)
	case primGeneve:
		return g.geneve(n)
	case primVXLAN:
		return g.vxlan(n)
	case primWLANType:
		return g.wlanType(n)
	case primWLANSubtype:
		return g.wlanSubtype(n)
	case primWLANDir:
		return g.wlanDirection(n)
	}
	return g.llc(n)
}

// block makes a block; all blocks of a program come from here.
func (g *generator) block(stmts []statement, code uint16, k uint32) *block {
	if g.blocks++; g.blocks > maxBlocks {
		panic(&Error{Expression: g.expression, Position: g.pos, TooLarge: true,
			Message: fmt.Sprintf("the expression is too large: it needs more than %d tests", maxBlocks)})
	}
	if len(g.blockSlab) == cap(g.blockSlab) {
		g.blockSlab = make([]block, 0, slabAfter(cap(g.blockSlab)))
	}
	g.blockSlab = append(g.blockSlab, block{stmts: stmts, code: code, k: k, id: -1})
	return &g.blockSlab[len(g.blockSlab)-1]
}

// condition keeps a condition.
func (g *generator) condition(c condition) *condition {
	if len(g.conditions) == cap(g.conditions) {
		g.conditions = make([]condition, 0, slabAfter(cap(g.conditions)))
	}
	g.conditions = append(g.conditions, c)
	return &g.conditions[len(g.conditions)-1]
}

// test returns a condition of one block: statements, then a comparison of A with k.
func (g *generator) test(stmts []statement, op uint16, k uint32) *condition {
	b := g.block(stmts, classJMP|op, k)
	return g.condition(condition{head: b, yes: exitsOf(b, true), no: exitsOf(b, false)})
}

// constantly returns a condition that is always true or always false.
func (g *generator) constantly(truth bool) *condition {
	k := uint32(1)
	if truth {
		k = 0
	}
	return g.test(g.list(statement{codeLoadImm, k}), opJEQ, 0)
}

// list makes a list of statements.
func (g *generator) list(stmts ...statement) []statement {
	if len(g.arena)+len(stmts) > cap(g.arena) {
		g.arena = make([]statement, 0, max(min(2*cap(g.arena), 1024), 64, len(stmts)))
	}
	start := len(g.arena)
	g.arena = append(g.arena, stmts...)
	return g.arena[start:len(g.arena):len(g.arena)]
}

// allocate reserves a scratch word.
func (g *generator) allocate() int {
	for range memoryWords {
		if r := g.register; !g.registers[r] {
			g.registers[r], g.written[r] = true, true
			return r
		}
		g.register = (g.register + 1) % memoryWords
	}
	g.fail("the expression needs more than the %d scratch words that a filter has; use less deeply nested arithmetic",
		memoryWords)
	return 0
}

// reserve is allocate for a word that is set at the very beginning of the program: it must not be
// one that arithmetic further left has used.
func (g *generator) reserve() int {
	for r := memoryWords - 1; r >= 0; r-- {
		if !g.written[r] {
			g.registers[r], g.written[r] = true, true
			return r
		}
	}
	return g.allocate()
}

// free gives a scratch word back.
func (g *generator) free(r int) { g.registers[r] = false }
