package filter

// dropDeadStores removes statements whose result nothing reads. It does so even for loads from the
// packet, which reject a packet that is too short for them: so does libpcap, and the programs are
// to accept the same packets. Only where libpcap does not optimise do these loads stay.
func (o *optimiser) dropDeadStores(b *block) {
	// last holds, plus 1, the index of the last write of an atom that nothing has read yet.
	var last [atoms]int
	use := func(s statement) {
		for a := range s.uses().all() {
			last[a] = 0
		}
	}
	drop := func(i int) bool {
		if o.exact && !b.sureWithout(i) {
			return false
		}
		b.stmts[i].code = codeNone
		o.changed()
		return true
	}
	for i := range b.stmts {
		s := &b.stmts[i]
		if s.code == codeNone {
			continue
		}
		use(*s)
		if a := s.sets(); a != atomNone {
			if last[a] != 0 {
				drop(last[a] - 1)
			}
			last[a] = i + 1
		}
	}
	use(b.jump())
	for a, n := range last {
		if n != 0 && b.live&setOf(atom(a)) == 0 && drop(n-1) {
			b.values[a] = 0
		}
	}
}
