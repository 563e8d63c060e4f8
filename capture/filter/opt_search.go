package filter

import (
	"cmp"
	"slices"
)

// minSearch is the length from which on a list of alternatives is searched by halves. Below, the
// additional tests cost more than they save.
const minSearch = 16

// maxLeaf is how many alternatives are tried one by one at the end of a search.
const maxLeaf = 5

// alternative says where to go for the values of A from low to high.
type alternative struct {
	low, high uint32
	to        *block
}

// searchLists replaces long lists of tests for equality of one value, as "host A or B or C ..."
// gives them, by a search by halves. Neighbouring values with the same outcome become one range.
func (o *optimiser) searchLists() {
	o.findLevels()
	o.findInEdges()
	// From here on visited marks the blocks that are the middle of a list.
	o.down(func(b *block) { b.visited = false })
	o.down(func(b *block) {
		if b.code != classJMP|opJEQ || b.visited {
			return
		}
		length, last := 1, b
		for next := b.no; next.code == classJMP|opJEQ && len(next.stmts) == 0 && len(next.in) == 1; next = next.no {
			next.visited = true
			length, last = length+1, next
		}
		if length < minSearch {
			return
		}
		list := make([]alternative, 0, length)
		for c := b; c != last.no; c = c.no {
			list = append(list, alternative{c.k, c.k, c.yes})
		}
		search(b, ranges(list), last.no)
	})
}

// ranges sorts alternatives and joins neighbours.
func ranges(list []alternative) []alternative {
	// Of two for the same value the first counts, so it must stay the first.
	slices.SortStableFunc(list, func(a, b alternative) int { return cmp.Compare(a.low, b.low) })
	joined := list[:1]
	for _, a := range list[1:] {
		before := &joined[len(joined)-1]
		switch {
		case a.low == before.high:
		case a.low == before.high+1 && a.to == before.to:
			before.high = a.low
		default:
			joined = append(joined, a)
		}
	}
	return joined
}

// search makes b, whose statements load A, the first block of a search.
func search(b *block, list []alternative, otherwise *block) {
	fill := func(list []alternative) *block {
		if len(list) == 0 {
			return otherwise
		}
		next := &block{id: -1}
		search(next, list, otherwise)
		return next
	}
	if half := len(list) / 2; len(list) > maxLeaf {
		b.code, b.k = classJMP|opJGT, list[half-1].high
		b.yes, b.no = fill(list[half:]), fill(list[:half])
		return
	}
	first := list[0]
	if first.low == first.high {
		b.code, b.k = classJMP|opJEQ, first.low
		b.yes, b.no = first.to, fill(list[1:])
		return
	}
	b.code, b.k = classJMP|opJGT, first.high
	b.yes = fill(list[1:])
	b.no = &block{id: -1, code: classJMP | opJGE, k: first.low, yes: first.to, no: otherwise}
}
