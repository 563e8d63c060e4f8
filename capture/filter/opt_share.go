package filter

import "slices"

// share makes one of blocks that do the same and lead to the same blocks, from the returns up.
func (o *optimiser) share() {
	o.compact()
	o.findLevels()
	size := 16
	for size < len(o.blocks) {
		size *= 2
	}
	table := make([]*block, size) // by fingerprint, linked by sameHash
	instead := make([]*block, len(o.blocks))
	stands := func(b *block) *block {
		if b != nil && instead[b.id] != nil {
			return instead[b.id]
		}
		return b
	}
	for level := range o.levels {
		for b := o.levels[level]; b != nil; b = b.sameLevel {
			b.yes, b.no = stands(b.yes), stands(b.no)
			slot := &table[b.fingerprint()&uint64(size-1)]
			for c := *slot; c != nil; c = c.sameHash {
				if b.sameAs(c) {
					instead[b.id] = c
					break
				}
			}
			if instead[b.id] == nil {
				b.sameHash, *slot = *slot, b
			}
		}
	}
	o.root = stands(o.root)
}

// fingerprint is equal for blocks that are the same.
func (b *block) fingerprint() uint64 {
	h := uint64(b.code)<<32 ^ uint64(b.k)
	mix := func(v uint64) { h = (h ^ v) * 0x9e3779b97f4a7c15; h ^= h >> 29 }
	for _, s := range b.stmts {
		mix(uint64(s.code)<<32 | uint64(s.k))
	}
	if b.yes != nil {
		mix(uint64(b.yes.id))
	}
	if b.no != nil {
		mix(uint64(b.no.id) << 20)
	}
	return h ^ h>>32
}

func (b *block) sameAs(c *block) bool {
	return b.code == c.code && b.k == c.k && b.yes == c.yes && b.no == c.no && slices.Equal(b.stmts, c.stmts)
}
