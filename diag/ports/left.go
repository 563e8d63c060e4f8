package ports

import "time"

// A process that ends closes its sockets right after. Those that are still open then are held by
// another, a child or who was passed them, and who that is shows when they are used next. Until then
// their packets are nobody's.

// leaving is a process that ended, with sockets that were not closed yet.
type leaving struct {
	process processKey
	at      uint64 // in CLOCK_MONOTONIC
}

// closing is how long a process that ended may take to close its sockets.
const closing = uint64(250 * time.Millisecond)

// process is the key of a process whatever it executes.
func (k processKey) process() processKey { return processKey{start: k.start, id: k.id} }

// change keeps what happened to a process.
func (t *table) change(c *change) {
	t.people.change(c)
	if process := c.who.process(); c.kind == kindExit && len(t.having[process]) > 0 {
		t.leaving = append(t.leaving, leaving{process, c.time})
	}
}

// settle leaves the sockets that processes had which ended, and did not close.
func (t *table) settle(now uint64) {
	for len(t.leaving) > 0 && now > t.leaving[0].at+closing {
		l := t.leaving[0]
		t.leaving = t.leaving[1:]
		for s := range t.having[l.process] {
			t.leave(s, l.process, t.clock.Time(l.at))
		}
	}
}

// leave makes the packets of a socket nobody's.
func (t *table) leave(s *socket, process processKey, at time.Time) {
	spans := s.spans
	t.end(s, at)
	for _, p := range spans {
		t.enter(s, span{local: p.local, remote: p.remote, from: at, who: nobody})
	}
	s.left = process
	t.left[process]++
}

// abandoned leaves a socket that others have open, and not its process, as iterating since a time found:
// that this one closed it, or ended, was lost.
func (t *table) abandoned(s *socket, since uint64) {
	if len(s.spans) > 0 && s.spans[0].who != nobody && s.owned != since {
		t.leave(s, s.spans[0].who.key.process(), t.clock.Time(since))
	}
}

// returned notes that the packets of a socket are not nobody's any more.
func (t *table) returned(s *socket) {
	if s.left == (processKey{}) {
		return
	}
	if t.left[s.left]--; t.left[s.left] == 0 {
		delete(t.left, s.left)
	}
	s.left = processKey{}
}

// gain notes that a socket has a span of a process more, and lose that it has one less.
func (t *table) gain(s *socket, who *actor) {
	if who == nobody {
		return
	}
	process := who.key.process()
	if t.having[process] == nil {
		t.having[process] = map[*socket]int{}
	}
	t.having[process][s]++
}

func (t *table) lose(s *socket, who *actor) {
	process := who.key.process()
	sockets := t.having[process]
	if sockets[s] > 1 {
		sockets[s]--
		return
	}
	delete(sockets, s)
	if len(sockets) == 0 {
		delete(t.having, process)
	}
}
