package afpacket

import (
	"diagsh/capture"
)

// A place is what the source knows of one position of its packets: the interface, and what
// that and its rings have counted.
type place struct {
	tap    capture.Tap
	before uint64 // the interface counted, until the tap was opened
	known  bool   // before is
	seen   uint64 // it counted since
	now    bool   // seen is of this moment, or of the last one that the place had an interface
	gone   bool   // the interface was removed, and the kernel is yet to say what it had counted
	over   bool   // seen does not change any more

	past capture.Counters // of rings whose packets have another position now
}

// look takes a look at the counters of all interfaces.
func (p *place) look(all map[int]device) {
	if p.over || p.gone {
		return
	}
	now, ok := all[p.tap.Interface.Index]
	if p.now = ok; ok {
		p.count(now)
	}
}

// leave notes that the place gets no more packets. What the interface has counted is what
// it has now, or, if it is not there any more, what the kernel says of it as its last.
func (p *place) leave(all map[int]device) {
	p.look(all)
	p.over, p.gone = p.over || p.now, !p.over && !p.now
}

// end takes what the kernel said of the interface when it went.
func (p *place) end(last device) {
	if !p.over {
		p.now, p.over = true, true
		p.count(last)
	}
}

func (p *place) count(now device) {
	seen := now.seenBy(p.tap)
	if seen < p.before+p.seen {
		p.known = false // a counter that goes back is another interface's, or was set back
		return
	}
	p.seen = seen - p.before
}

// awaits tells whether the kernel is yet to say what a removed interface had counted.
func (p *place) awaits() bool { return p.known && !p.now && !p.over }

// counters are those of the interface, and of rings that are not with the place any more.
func (p *place) counters() capture.Counters {
	c := p.past
	if p.known && p.now {
		c.Seen, c.SeenKnown = p.seen, true
	}
	return c
}
