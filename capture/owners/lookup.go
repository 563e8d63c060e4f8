package owners

import (
	"net/netip"
	"sort"
	"time"
)

const (
	// lingers is how long TCP has packets of a connection whose socket is closed: FIN, TIME_WAIT
	// (TCP_TIMEWAIT_LEN). queues is how long a datagram may wait in a queue for its interface.
	lingers = 60 * time.Second
	queues  = time.Second

	// late is how long after a packet the event may come that tells whose it is: a packet is on its
	// way before the call that sent it returns, and the stamps are of two clocks.
	late = 20 * time.Millisecond

	// handover is how long after data was sent the event may come that another process has the socket,
	// where it is not known when the process before used it last: who sends may have to wait for the
	// processor before the call that sends returns.
	handover = time.Second
)

// A query asks for the process at the local end of a packet.
type query struct {
	netns         uint64
	protocol      uint8
	local, remote netip.AddrPort
	time          int64 // nanoseconds since 1970
	sends         bool  // the local end sent the packet

	// Of TCP: the packet begins a connection, answers such a packet, or refuses it.
	begins, answers, refuses bool

	payload  bool   // the packet has data, or is a datagram: a process sent it, not the kernel
	sequence uint32 // of TCP
}

// find returns who had the local end. It is nil if that is not known for sure. Called with the lock
// held.
func (t *Table) find(q query) *Process {
	if !t.known(q.time) || q.refuses && q.sends { // no socket sends such a reset
		return nil
	}
	exact := t.ends(q, q.remote)
	if p, found := t.active(exact, q); found {
		return p
	}
	tcp := q.protocol == numbers[TCP]
	if p, found := lingering(exact, q); found && tcp {
		if next := coming(exact, [3][]span{}, q); next != nil && p != next {
			return nil // the same ends were used again at once: which connection it is of is not known
		}
		return p
	}
	any := t.ends(q, netip.AddrPort{})
	if t.listens(q) {
		// A socket of IPv6 may take IPv4 or not (IPV6_V6ONLY), and its flow does not say.
		of := any
		if q.local.Addr().Is4() {
			of[2] = nil
		}
		if p, found := t.active(of, q); found && p != nil {
			return p
		}
	}
	if p, found := lingering(exact, q); found {
		return p
	}
	return coming(exact, any, q)
}

// ends returns the flows between the local end and a remote one, which is zero for any. First those
// of the very address, then those of sockets that are bound to none, of IPv4 and of IPv6.
func (t *Table) ends(q query, remote netip.AddrPort) (found [3][]span) {
	k := key{netns: t.namespaces[q.netns], protocol: q.protocol, localPort: q.local.Port(), remotePort: remote.Port()}
	k.remote = bytes16(remote.Addr())
	k.local = q.local.Addr().As16()
	found[0] = t.flows[k]
	if !t.local(q.local.Addr(), q.time) {
		return found
	}
	if q.local.Addr().Is4() {
		k.local = netip.IPv4Unspecified().As16()
		found[1] = t.flows[k]
	}
	k.local = [16]byte{}
	found[2] = t.flows[k]
	return found
}

// listens reports whether a packet may belong to a socket that takes packets from any end: a
// datagram that comes in, or the first packets of a connection. A datagram that a socket sent has a
// flow of its own.
func (t *Table) listens(q query) bool {
	if q.protocol == numbers[TCP] {
		return q.begins && !q.sends || q.answers && q.sends
	}
	return !q.sends
}

// active returns who had the first of the flows at the time. found is false if there was none. The
// process is nil if several had them.
func (t *Table) active(flows [3][]span, q query) (p *Process, found bool) {
	for _, spans := range flows {
		one, many := spanAt(spans, q.time)
		switch {
		case many:
			return nil, true
		case one != nil:
			return ownerOf(spans, one, q), true
		}
	}
	return nil, false
}

// spanAt returns the span of a time. Of one socket it is the last that began. many reports that
// different processes had different sockets.
func spanAt(spans []span, time int64) (one *span, many bool) {
	for i := last(spans, time); i >= 0; i-- {
		s := &spans[i]
		switch {
		case s.most < time:
			return one, false
		case last(spans, time)-i > mostLooks:
			return nil, true
		case s.until < time:
		case one == nil:
			one = s
		case one.socket != s.socket && *one.process != *s.process:
			return nil, true
		}
	}
	return one, false
}

// mostLooks is how many spans of the same ends are looked at for one packet.
const mostLooks = 256

// last returns the index of the last span that began by a time, or -1.
func last(spans []span, time int64) int {
	return sort.Search(len(spans), func(i int) bool { return spans[i].from > time }) - 1
}

// ownerOf returns who had the packet of a span. Of data it is who gave it to the kernel: the process
// before may have done so, and another one, or another program in the same process, may have had the
// socket already, since it is told of when its first call returns. Where the numbers of TCP do not say
// which of the two it was, that is not known.
func ownerOf(spans []span, now *span, q query) *Process {
	if !q.sends || !q.payload {
		return known(now.process)
	}
	next, former := successor(spans, now, q.time), predecessor(spans, now)
	switch {
	case next != nil && mixed(now, next) && !before(q.sequence, next.first),
		former != nil && mixed(former, now) && q.sequence-now.first < mostBuffered:
		return nil
	case takenOver(next, q) && next.first == 0:
		return nil
	case takenOver(next, q) && !before(q.sequence, next.first):
		return known(next.process)
	}
	for now != nil && now.first != 0 && before(q.sequence, now.first) {
		now = predecessor(spans, now)
	}
	if now == nil {
		return nil
	}
	return known(now.process)
}

// mixed reports whether two processes sent at the same time, of which one was told after the other.
func mixed(earlier, later *span) bool {
	return earlier.first != 0 && later.first != 0 && before(later.first, earlier.first)
}

// mostBuffered is more than the kernel buffers of one connection. Numbers that are further apart say
// nothing: they begin again after 4 GiB.
const mostBuffered = 64 << 20

// before reports whether one number of TCP is right before another.
func before(sequence, than uint32) bool { return than-sequence-1 < mostBuffered }

// takenOver reports whether a packet with data was sent since the process before was last seen to use the
// socket, which the one of a span had next.
func takenOver(next *span, q query) bool {
	switch {
	case !q.sends, !q.payload, next == nil:
		return false
	case next.idle == 0:
		return next.from-q.time <= int64(handover)
	}
	return q.time >= next.idle.since(next.from)
}

// predecessor returns the span of the process that had the socket before, nil if it is not known.
func predecessor(spans []span, now *span) *span {
	newest := last(spans, now.from-1)
	for i := newest; i >= 0 && newest-i < mostLooks; i-- {
		if s := &spans[i]; s.socket == now.socket && *s.process != *now.process && s.process.PID != 0 {
			return s
		}
	}
	return nil
}

// successor returns the span of the process that had the socket next, nil if there is none.
func successor(spans []span, now *span, time int64) *span {
	first := last(spans, time) + 1
	for i := first; i < len(spans) && i-first < mostLooks; i++ {
		if s := &spans[i]; s.socket == now.socket && *s.process != *now.process && s.process.PID != 0 {
			return s
		}
	}
	return nil
}

// lingering returns who had the flow that ended last, if packets of it may still be under way.
func lingering(flows [3][]span, q query) (p *Process, found bool) {
	limit := lingers
	if q.protocol != numbers[TCP] {
		limit = queues
	}
	if q.begins || q.answers && q.sends || q.refuses || limit == queues && !q.sends {
		return nil, false // it found no socket
	}
	var end *span
	for _, spans := range flows {
		newest := last(spans, q.time)
		for i := newest; i >= 0 && newest-i < mostLooks && q.time-spans[i].most <= int64(limit); i-- {
			s := &spans[i]
			if s.until < q.time && q.time-s.until <= int64(limit) && (end == nil || s.until > end.until) {
				end = s
			}
		}
	}
	if end == nil {
		return nil, false
	}
	return known(end.process), true
}

// coming returns who has the flow that begins right after the packet, or nil. A datagram that comes
// in was taken only if the socket was there, which its flow with any end says.
func coming(flows, any [3][]span, q query) *Process {
	var first *span
	var of []span
	for _, spans := range flows {
		i := last(spans, q.time) + 1
		if i < len(spans) && spans[i].from-q.time <= int64(late) && (first == nil || spans[i].from < first.from) {
			first, of = &spans[i], spans
		}
	}
	switch {
	case first == nil, takenOver(successor(of, first, q.time), q):
		return nil
	case q.protocol == numbers[TCP] || q.sends || held(any, first.socket, q.time):
		return known(first.process)
	}
	return nil
}

// held reports whether a socket took packets from any end at a time.
func held(any [3][]span, socket uint64, time int64) bool {
	for _, spans := range any {
		newest := last(spans, time)
		for i := newest; i >= 0 && newest-i < mostLooks; i-- {
			if spans[i].socket == socket && spans[i].until >= time {
				return true
			}
		}
	}
	return false
}

// known returns nil for a process that nobody knows.
func known(p *Process) *Process {
	if p.PID == 0 {
		return nil
	}
	return p
}
