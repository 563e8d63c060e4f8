package filter

// A load beyond the end of the packet makes the program reject it, whatever the rest of the program
// says. So a load may only be left out where another one is sure to reject the same packets. This
// matters where libpcap does not optimise (see graph.refusing); where it does, it leaves such loads
// out, and so do we, in order to accept the same packets.

// extent says that the packet has at least end bytes after a base.
type extent struct {
	base number32 // value of X, or 0 for the start of the packet
	end  uint64
}

// maxExtents bounds how many bases are remembered for a block.
const maxExtents = 16

// enterReach starts a block with what all its predecessors have made sure of.
func (o *optimiser) enterReach(b *block) {
	b.reach = b.reach[:0]
	if len(b.in) == 0 {
		return
	}
	for _, x := range b.in[0].from.reach {
		for _, e := range b.in[1:] {
			x.end = min(x.end, e.from.reached(x.base))
		}
		if x.end > 0 {
			b.reach = append(b.reach, x)
		}
	}
}

// reached returns how far the packet is known to go after a base.
func (b *block) reached(base number32) uint64 {
	for _, x := range b.reach {
		if x.base == base {
			return x.end
		}
	}
	return 0
}

// extend notes that a load has succeeded.
func (b *block) extend(n extent) {
	for i := range b.reach {
		if b.reach[i].base == n.base {
			b.reach[i].end = max(b.reach[i].end, n.end)
			return
		}
	}
	if len(b.reach) < maxExtents {
		b.reach = append(b.reach, n)
	}
}

// bytes returns the width of a load.
func (s statement) bytes() uint64 {
	switch s.code & sizeMask {
	case sizeW:
		return 4
	case sizeH:
		return 2
	}
	return 1
}

// loadsPacket reports whether a statement reads bytes of the packet, or metadata that may be
// missing, and so may reject it.
func (s statement) loadsPacket() bool {
	switch s.code & classMask {
	case classLD:
		return s.code&modeMask == modeABS || s.code&modeMask == modeIND
	case classLDX:
		return s.code&modeMask == modeMSH
	}
	return false
}

// extentOf returns what the packet must have for a statement to succeed; its end is 0 for one that
// does not read the packet.
func (s statement) extentOf(x number32) extent {
	if !s.loadsPacket() {
		return extent{}
	}
	e := extent{end: uint64(s.k) + s.bytes()}
	if s.code&classMask == classLD && s.code&modeMask == modeIND {
		e.base = x
	}
	return e
}

// divides reports whether a statement rejects the packet if X is 0.
func (s statement) divides() bool {
	if s.code&classMask != classALU || s.code&srcMask != srcX {
		return false
	}
	op := s.code & opMask
	return op == opDIV || op == opMOD
}

// sureAfter reports whether all that could reject the packet in b, where the statements need the
// given extents, has been tried at the end of from.
func (b *block) sureAfter(loads []extent, from *block) bool {
	for i, s := range b.stmts {
		if s.code == codeNone {
			continue
		}
		if s.divides() || loads[i].end > from.reached(loads[i].base) {
			return false
		}
	}
	return true
}

// sureWithout reports whether the statement with index i can be left out: what it reads has been
// read before, or is read in the block anyway.
func (b *block) sureWithout(i int) bool {
	if b.stmts[i].divides() {
		return false
	}
	need := b.loads[i]
	if need.end == 0 || b.reached(need.base) >= need.end {
		return true
	}
	for j, s := range b.stmts {
		if j != i && s.code != codeNone && b.loads[j].base == need.base && b.loads[j].end >= need.end {
			return true
		}
	}
	return false
}

// leaveReach ends a block: all that it reads is there.
func (b *block) leaveReach() {
	for _, l := range b.loads {
		if l.end > 0 {
			b.extend(l)
		}
	}
}
