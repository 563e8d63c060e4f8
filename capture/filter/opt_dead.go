package filter

// dropDeadStores removes statements whose result nothing reads.  It does so even for loads from the
// packet, which reject a packet that is too short for them: so does libpcap, and the programs are to
// accept the same packets.
func (o *optimiser) dropDeadStores(b *block) {
	var last [atoms]*statement // the last write of an atom that nothing has read yet
	use := func(s statement) {
		for a, used := 0, s.uses(); used != 0; a, used = a+1, used>>1 {
			if used&1 != 0 {
				last[a] = nil
			}
		}
	}
	for i := range b.stmts {
		s := &b.stmts[i]
		if s.code == codeNone {
			continue
		}
		use(*s)
		if a := s.sets(); a != atomNone {
			if last[a] != nil {
				last[a].code = codeNone
				o.changed()
			}
			last[a] = s
		}
	}
	use(b.jump())
	for a, s := range last {
		if s != nil && b.live&setOf(atom(a)) == 0 {
			s.code = codeNone
			b.values[a] = 0
			o.changed()
		}
	}
}
