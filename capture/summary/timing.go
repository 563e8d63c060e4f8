package summary

import (
	"time"

	"diagsh/capture/headers"
)

// handshake is how a connection began.
type handshake struct {
	seen      bool  // a SYN
	asked     int64 // the first SYN
	repeated  int64 // how often it was repeated
	synACK    int64 // if answered
	done      bool
	doneAt    int64 // the opener's first packet after the SYN-ACK
	latestSYN int64 // for roundTrip; 0: none
	// from the latest SYN to the first packet with an ACK and without a SYN, as tshark measures it;
	// 0: not known
	roundTrip int64
	refused   bool // the answer to the SYN was a reset
}

// turns are questions and answers: the opener's data, and the next data sent to it.
type turns struct {
	some    bool
	last    int8 // the side that sent data last
	lastAt  int64
	first   bool // the server has sent data
	firstAt int64
	waits   int64
	waited  time.Duration
	longest time.Duration
}

// open follows how a connection is opened and closed.
func (c *Counter) open(f *connection, h *headers.Headers, to int, at int64) {
	s, t := &f.handshake, &c.tcp
	switch h.Flags & (headers.SYN | headers.ACK) {
	case headers.SYN:
		switch {
		case f.client < 0:
			f.client, s.seen, s.asked = int8(to), true, at
			t.Opened++
		case int(f.client) == to:
			s.repeated++
		}
		s.latestSYN = at
	case headers.SYN | headers.ACK:
		switch {
		case f.client < 0:
			f.client = int8(1 - to)
		case s.seen && !f.answered && int(f.client) != to:
			f.answered, s.synACK = true, at
			t.Answered++
		}
	case headers.ACK:
		if s.latestSYN != 0 && s.roundTrip == 0 {
			s.roundTrip = at - s.latestSYN
		}
		if f.answered && !s.done && int(f.client) == to && h.Flags&headers.RST == 0 {
			s.done, s.doneAt = true, at
		}
	}
	if h.Flags&headers.FIN != 0 {
		f.fin[to] = true
	}
	if h.Flags&headers.RST != 0 {
		f.reset[to] = true
		if s.seen && !f.answered && int(f.client) != to {
			s.refused = true
		}
	}
}

// opener returns the way of the opener. If that was not seen, it is the one of the end with the
// higher port.
func (f *connection) opener() int {
	switch {
	case f.client >= 0:
		return int(f.client)
	case f.key.aPort >= f.key.bPort:
		return 0
	}
	return 1
}

// data follows whose turn it is. It ignores retransmitted data.
func (t *turns) data(f *connection, to int, at int64) {
	client := f.opener()
	if to != client {
		if !t.first {
			t.first, t.firstAt = true, at
		}
		switch s := &f.handshake; {
		case t.some && int(t.last) == client:
			t.wait(t.lastAt, at)
		case !t.some && s.done: // the server speaks first, as in SMTP
			t.wait(s.doneAt, at)
		}
	}
	t.some, t.last, t.lastAt = true, int8(to), at
}

func (t *turns) wait(from, to int64) {
	d := max(time.Duration(to-from), 0)
	t.waits++
	t.waited += d
	t.longest = max(t.longest, d)
}
