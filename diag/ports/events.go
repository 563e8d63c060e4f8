package ports

import (
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// event turns what happened to a socket into records and flows.
func (t *table) event(e *event) {
	if e.kind == kindRejected {
		t.rejected(e)
		return
	}
	s := t.sockets[e.socketKey]
	if s != nil && e.time <= s.seen && e.kind != kindClosed {
		return // it was found by iterating, which was later
	}
	if s != nil && e.kind != kindClosed {
		t.learn(s, e)
	}
	switch e.kind {
	case kindOpen:
		t.opened(e)
	case kindBind:
		s = t.known(s, e)
		s.opened, s.last = t.orElse(s.opened, e), t.people.actor(&e.who)
		t.record(s, Bound, t.clock.Time(e.time), s.last)
	case kindListen:
		t.listens(s, e)
	case kindConnected:
		t.connected(s, e)
	case kindPassive:
		t.comes(e)
	case kindAccept, kindPeername:
		switch {
		case s != nil:
			t.accepts(s, e)
		case t.full():
			t.untold++
		}
	case kindUse:
		t.uses(s, e)
	case kindFlow:
		t.talks(s, e)
	case kindFailed:
		t.failed(s, e)
	case kindShut:
		if s != nil {
			t.end(s, t.clock.Time(e.time)) // who has it open has no packets of it any more
		}
	case kindClosed:
		t.closed(s, e)
	}
}

// known returns the socket, which is entered if it was not known.
func (t *table) known(s *socket, e *event) *socket {
	if s == nil {
		s = t.add(e)
	}
	return s
}

// orElse returns who it is known to be, or who did what the event tells.
func (t *table) orElse(a *actor, e *event) *actor {
	if a != nobody {
		return a
	}
	return t.people.actor(&e.who)
}

func (t *table) opened(e *event) {
	s, at := t.add(e), t.clock.Time(e.time)
	s.opened = t.people.actor(&e.who)
	s.last = s.opened
	t.record(s, Opened, at, s.opened)
	if s.tied = s.protocol == UDP && s.remote.Port() != 0; !s.tied {
		t.begin(s, netip.AddrPort{}, at, s.opened)
	}
}

func (t *table) listens(s *socket, e *event) {
	s = t.known(s, e)
	at, who := t.clock.Time(e.time), t.people.actor(&e.who)
	s.opened, s.last = t.orElse(s.opened, e), who
	s.remote = netip.AddrPort{}
	t.record(s, Listening, at, who)
	t.end(s, at)
	t.begin(s, netip.AddrPort{}, at, who)
}

func (t *table) connected(s *socket, e *event) {
	s = t.known(s, e)
	s.last = t.people.actor(&e.who)
	s.opened = t.orElse(s.opened, e)
	t.record(s, Connected, t.clock.Time(e.time), s.last)
	t.end(s, t.clock.Time(e.began))
	t.begin(s, s.remote, t.clock.Time(e.began), s.last)
	s.acted = e.time
}

// comes enters a connection from outside. It is its listener's until it is accepted.
func (t *table) comes(e *event) {
	s := t.add(e)
	s.incoming, s.came = true, e.time
	s.last = t.people.actor(&e.who)
	if t.left[s.last.key.process()] > 0 {
		s.last = nobody // who has the listener now is not known
	}
	if s.remote.Port() == 0 { // of MPTCP: a flow without it would be one of a listener
		s.waits = t.clock.Time(e.began)
		return
	}
	t.begin(s, s.remote, t.clock.Time(e.began), s.last)
}

// stranger is who accepted a connection, when that is not known and will not be.
var stranger = &actor{}

// accepts tells who accepted a socket, once. accept(2) says it. Where that is not seen, who uses the
// connection first may have got it from who accepted it: a child, or who was passed it. So only that
// process is believed which had the listener, and of those who asked for the peer's name, as accept(2)
// does, those that were there before the connection.
func (t *table) accepts(s *socket, e *event) {
	if !s.incoming || s.accepted != nobody {
		return
	}
	t.trust(s)
	at, who := t.clock.Time(e.time), t.people.actor(&e.who)
	switch {
	case e.kind == kindAccept || who.key == s.last.key || e.kind == kindPeername && who.key.start <= t.clock.SinceBoot(s.came):
		s.accepted = who
		t.record(s, Accepted, at, who)
	case e.kind == kindPeername:
		return
	default:
		s.accepted = stranger
		t.record(s, Accepted, at, nobody)
		t.record(s, Used, at, who)
	}
	t.passes(s, e, who)
}

func (t *table) uses(s *socket, e *event) {
	at := t.clock.Time(e.time)
	switch {
	case s == nil && t.full():
		t.untold++
	case s == nil:
		// It is older than the programs, and was not found by iterating.
		s = t.add(e)
		s.before = true
		who := t.people.actor(&e.who)
		s.last = who
		t.record(s, Held, at, who).State = stateOf(s)
		t.begin(s, s.remote, at, who)
	case s.incoming && s.accepted == nobody:
		t.accepts(s, e)
	default:
		who := t.people.actor(&e.who)
		known := s.last.key == who.key || s.last == nobody && len(s.holders) == 1 && s.holders[0].key == who.key
		if !known {
			t.record(s, Used, at, who)
		}
		t.passes(s, e, who)
	}
}

// talks tells of a remote end of a socket of UDP. The flow began before its datagrams: with connect(2),
// or when the first of them was handed to the kernel.
func (t *table) talks(s *socket, e *event) {
	at, who := t.clock.Time(e.time), t.people.actor(&e.who)
	if s == nil {
		s = t.add(e)
		s.before, s.last = true, who
	}
	r := t.record(s, Flowed, at, who)
	r.RemoteAddress, r.RemotePort = e.remote.Addr(), e.remote.Port()
	from := t.clock.Time(e.began)
	t.ties(s, e.flags&flagTied != 0, from, who)
	if len(s.spans) < mostPeers {
		t.begin(s, e.remote, from, who)
	}
}

// ties notes whether a socket of UDP is connected: it takes datagrams from one end then, else from any.
func (t *table) ties(s *socket, tied bool, from time.Time, who *actor) {
	if tied == s.tied {
		return
	}
	s.tied = tied
	if !tied {
		t.begin(s, netip.AddrPort{}, from, who)
		return
	}
	s.spans = slices.DeleteFunc(s.spans, func(p span) bool {
		if p.remote.Port() != 0 {
			return false
		}
		t.flow(s, p, from)
		t.lose(s, p.who)
		return true
	})
}

func (t *table) failed(s *socket, e *event) {
	s = t.known(s, e)
	s.remote = e.remote
	s.last = t.people.actor(&e.who)
	at := t.clock.Time(e.time)
	what, reason := Failed, ""
	switch unix.Errno(e.errno) {
	case unix.ECONNREFUSED:
		what, reason = Refused, "the other end answered by a reset"
	case unix.ETIMEDOUT:
		what = TimedOut
	case 0:
		if e.flags&flagReleased != 0 {
			what = Aborted
		}
	default:
		reason = unix.Errno(e.errno).Error()
	}
	r := t.record(s, what, at, s.last)
	r.Reason = reason
	if what == Refused {
		r.State = states[stateSynSent]
	}
	t.begin(s, s.remote, t.clock.Time(e.began), s.last)
	t.end(s, at)
	s.remote = netip.AddrPort{}
	if e.flags&flagAnnounced == 0 || s.protocol == TCP && e.flags&flagBound == 0 {
		t.remove(s, at)
	}
}

// rejected tells that somebody connected to a port where nobody listens.
func (t *table) rejected(e *event) {
	t.records = append(t.records, Record{Time: t.clock.Time(e.time), Event: Rejected, Protocol: TCP,
		LocalAddress: e.local.Addr(), LocalPort: e.local.Port(), RemoteAddress: e.remote.Addr(), RemotePort: e.remote.Port(),
		NetNS: uint64(e.netns), Reason: "nobody listens"})
}

func (t *table) closed(s *socket, e *event) {
	if s == nil {
		if t.gone[e.socketKey] {
			delete(t.gone, e.socketKey)
			return
		}
		s = t.add(e)
		s.told = true
	}
	t.learn(s, e)
	at := t.clock.Time(e.time)
	closer := t.people.actor(&e.who)
	if closer == nobody && !s.told {
		t.remove(s, at) // nobody accepted it
		return
	}
	opener, user := t.people.actor(&e.opener), t.people.actor(&e.user)
	if s.opened == nobody {
		s.opened = opener
	}
	if t.uncounted && s.protocol == UDP && len(s.spans) == 0 && e.began != 0 {
		t.begin(s, s.remote, t.clock.Time(e.began), user)
	}
	r := t.record(s, Closed, at, closer)
	r.OpenedBy, r.AcceptedBy = other(s.opened, closer), other(s.accepted, closer)
	if e.flags&flagOld == 0 {
		seconds := time.Duration(e.time - e.born).Seconds()
		sums := &struct { // one allocation for all
			sent, received uint64
			seconds        float64
		}{e.sent, e.received, seconds}
		r.Seconds = &sums.seconds
		if !t.uncounted {
			r.BytesSent, r.BytesReceived = &sums.sent, &sums.received
		}
	}
	if !t.uncounted {
		r.LastUsedBy = other(user, closer)
	}
	t.remove(s, at)
}

// other is the number of a process if it is another one.
func other(a, than *actor) int {
	if a.PID == than.PID {
		return 0
	}
	return a.PID
}

// lacks reports whether events that were lost made of a socket that is known what it is now: it
// listens, is connected, or was accepted.
func lacks(s *socket, e *event) bool {
	return s.protocol == TCP && (s.incoming && s.accepted == nobody ||
		s.state != e.state && (e.state == stateListen || e.state == stateEstablished))
}

// found enters what iterating found that began at a time.
func (t *table) found(e *event, began uint64) {
	s := t.sockets[e.socketKey]
	at := t.clock.Time(e.time)
	if s == nil {
		s = t.add(e)
		s.seen, s.before = e.time, e.flags&flagOld != 0
		s.last, s.opened, s.accepted = t.people.actor(&e.user), t.people.actor(&e.opener), t.people.actor(&e.accepter)
		if e.born != 0 {
			s.since = t.clock.Time(e.born)
		}
	} else if s.seen < began {
		if !lacks(s, e) {
			t.keeps(s, e, began) // what it is now was told
			return
		}
		t.trust(s)
		t.end(s, at)
		t.learn(s, e)
		s.seen, s.last, s.holders = e.time, t.people.actor(&e.user), nil
		if s.incoming && s.accepted == nobody {
			s.accepted = stranger
		}
	}
	who := t.people.actor(&e.who)
	s.holders = append(s.holders, who)
	t.record(s, Held, at, who).State = stateOf(s)
	switch owner := s.last; {
	case owner == nobody && len(s.holders) == 1:
		t.begin(s, s.remote, at, who)
	case owner == nobody:
		t.end(s, at) // several hold it: whose packets they are is known by the next use
	default:
		t.owns(s, e, began)
	}
}

// keeps enters what iterating found of a socket of which it is known what it is: another may use it now.
func (t *table) keeps(s *socket, e *event, began uint64) {
	if e.flags&flagUsed != 0 && e.user.id != 0 && e.user.processKey != s.last.key {
		t.end(s, t.clock.Time(e.time))
		s.last, s.acted = t.people.actor(&e.user), e.time
	}
	t.owns(s, e, began)
}

// owns notes that who used a socket last has it open, as iterating found.
func (t *table) owns(s *socket, e *event, began uint64) {
	if e.who.process() != s.last.key.process() {
		return
	}
	s.owned = began
	if len(s.spans) == 0 && (s.protocol != TCP || e.state != stateClose) {
		t.begin(s, s.remote, t.clock.Time(e.time), s.last)
	}
}

const (
	// mostUnaccepted is how long a connection waits for accept(2) until it is doubted, after events
	// were lost, that it still does: iterating does not find what no process has open. Its packets
	// are nobody's then, until it is accepted after all.
	mostUnaccepted = time.Minute

	// mostDoubted is how many connections in doubt are kept.
	mostDoubted = 8192
)

// doubt notes that a socket may have ended.
func (t *table) doubt(s *socket, at time.Time) {
	if s.doubted {
		return
	}
	if t.doubted == mostDoubted {
		t.untold++
		t.remove(s, at)
		return
	}
	t.end(s, at)
	s.doubted = true
	t.doubted++
}

// missed tells that sockets ended which iterating since a time did not find any more, and why so late.
func (t *table) missed(found map[socketKey]bool, since uint64, why string) {
	began := t.clock.Time(since)
	clear(t.gone)
	for key, s := range t.sockets {
		if s.known >= since {
			continue
		}
		if found[key] {
			t.abandoned(s, since)
			continue
		}
		if s.incoming && s.accepted == nobody { // nobody has it open yet
			if since-s.known > uint64(mostUnaccepted) {
				t.doubt(s, began)
			}
			continue
		}
		at := time.Now()
		t.record(s, Closed, at, nobody).Reason = why
		t.remove(s, at)
		t.gone[key] = true
	}
}
