package streams

import (
	"slices"

	"diagsh/capture/headers"
	"diagsh/capture/index"
)

// after compares sequence numbers, which wrap around (RFC 9293, section 3.4).
func after(a, b uint32) bool { return int32(a-b) > 0 }

// tcp takes a segment. The rules are those of tshark's follow: what came first counts, and what
// the receiver acknowledged although it is not there is a gap.
func (f *follower) tcp(h *headers.Headers, from int, p *index.Packet) {
	again := p.Position <= f.before
	switch {
	case p.Position == f.before:
		f.broken = &told{1 - from, h.Flags&headers.ACK != 0, h.Acknowledged, f.last}
	case !again && h.Flags&headers.ACK != 0:
		f.acknowledged(1-from, h.Acknowledged, p)
	}
	number := h.Sequence
	if h.Flags&headers.SYN != 0 {
		number++
	}
	if !f.cursor.known[from] {
		f.cursor.known[from], f.cursor.next[from] = true, number
	}
	if !h.Measured || h.Length == 0 {
		return
	}
	s := segment{number: number, data: h.Data[:min(len(h.Data), h.Length)], length: uint32(h.Length), position: p.Position, time: p.Time}
	if !after(s.number+s.length, f.cursor.next[from]) {
		return // all of it has come before
	}
	s.data = slices.Clone(s.data)
	f.wait(from, s)
	if !again {
		f.flow(from, p)
	}
}

// flow adds what need not wait any more.
func (f *follower) flow(from int, p *index.Packet) {
	f.drain(from)
	for f.held[from] > maxHeld && f.bytes < f.most {
		f.skip(from, TooLarge, p.Position, p.Time)
		f.drain(from)
	}
}

// settle goes on where the page before has ended: what waited then waits again.
func (f *follower) settle() {
	if f.settled {
		return
	}
	f.settled = true
	if b := f.broken; b != nil {
		f.drain(b.from)
		if b.acknowledged {
			f.acknowledged(b.from, b.number, &b.packet)
		}
	}
	for from := range f.pending {
		f.flow(from, &f.last)
	}
}

// wait puts a segment among those that wait, after those with the same number.
func (f *follower) wait(from int, s segment) {
	list := f.pending[from]
	at := len(list)
	for at > 0 && after(list[at-1].number, s.number) {
		at--
	}
	f.pending[from] = slices.Insert(list, at, s)
	f.held[from] += len(s.data)
}

// acknowledged takes what one end says about the bytes of the other, from: those that wait follow
// after a gap if it has got more than is there.
func (f *follower) acknowledged(from int, number uint32, p *index.Packet) {
	for len(f.pending[from]) > 0 && after(number, f.pending[from][0].number) && f.bytes < f.most {
		f.skip(from, NotSeen, p.Position, p.Time)
		f.drain(from)
	}
}

// skip makes a gap of what is missing before the first segment that waits.
func (f *follower) skip(from int, reason Reason, position, time int64) {
	number := f.pending[from][0].number
	if missing := number - f.cursor.next[from]; after(number, f.cursor.next[from]) {
		f.gap(from, int64(missing), reason, position, time)
		f.cursor.next[from] = number
	}
}

// drain adds the segments that wait for nothing any more, until the page is full.
func (f *follower) drain(from int) {
	for len(f.pending[from]) > 0 && f.bytes < f.most {
		s := &f.pending[from][0]
		next := f.cursor.next[from]
		if after(s.number, next) {
			return
		}
		known := min(next-s.number, s.length) // came before
		data := s.data[min(int(known), len(s.data)):]
		room := min(len(data), f.most-f.bytes)
		f.cursor.next[from] += uint32(room)
		f.add(from, data[:room], s.position, s.time)
		if room < len(data) {
			return // the rest is of the next page
		}
		if cut := s.length - max(uint32(len(s.data)), known); cut > 0 && s.length > known {
			f.gap(from, int64(cut), CutOff, s.position, s.time)
			f.cursor.next[from] += cut
		}
		f.held[from] -= len(s.data)
		f.pending[from] = slices.Delete(f.pending[from], 0, 1)
	}
}
