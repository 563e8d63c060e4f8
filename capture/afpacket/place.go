package afpacket

import (
	"diagsh/capture"
)

// A place is what the source knows about one position of its packets: the interface, and the
// counters of the interface and of its rings.
type place struct {
	tap    capture.Tap
	before uint64 // counted by the interface until the tap was opened
	known  bool   // before is known
	seen   uint64 // counted by the interface since
	now    bool   // seen is current, or final if the place has no interface any more
	gone   bool   // the interface was removed, and its last counters have not come yet
	over   bool   // seen does not change any more

	past capture.Counters // of rings whose packets have another position now
}

// look updates the place from the counters of all interfaces.
func (p *place) look(all map[int]device) {
	if p.over || p.gone {
		return
	}
	now, ok := all[p.tap.Interface.Index]
	if p.now = ok; ok {
		p.count(now)
	}
}

// leave notes that the place gets no more packets. The interface's counters are its current ones,
// or the last that the kernel reports if it is gone.
func (p *place) leave(all map[int]device) {
	p.look(all)
	p.over, p.gone = p.over || p.now, !p.over && !p.now
}

// end takes the kernel's last counters of a removed interface.
func (p *place) end(last device) {
	if !p.over {
		p.now, p.over = true, true
		p.count(last)
	}
}

func (p *place) count(now device) {
	seen := now.seenBy(p.tap)
	if seen < p.before+p.seen {
		p.known = false // a smaller counter is another interface's, or was reset
		return
	}
	p.seen = seen - p.before
}

// awaits reports whether the last counters of a removed interface are still to come.
func (p *place) awaits() bool { return p.known && !p.now && !p.over }

// counters returns those of the interface, and of rings that have left the place.
func (p *place) counters() capture.Counters {
	c := p.past
	if p.known && p.now {
		c.Seen, c.SeenKnown = p.seen, true
	}
	return c
}
