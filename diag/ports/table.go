package ports

import (
	"net/netip"
	"time"

	"diagsh/diag/ports/recent"
	"diagsh/internal/bpf"
)

const (
	mostSockets = 1 << 17
	mostPeers   = 64 // of a UDP socket, whose flows are told one by one; the others are of the flow to any
)

// A span is a flow that goes on.
type span struct {
	local, remote netip.AddrPort // when it began: connect(2) gives a socket of UDP another local address
	from          time.Time
	who           *actor
	unused        time.Time // see Flow.Unused
	first         uint32    // see Flow.First
}

// A socket is one that is known of.
type socket struct {
	socketKey
	serial   uint64
	inode    uint64
	came     uint64 // when it was connected, if it is incoming, in CLOCK_MONOTONIC
	acted    uint64 // when its process last did something that is an event, in CLOCK_MONOTONIC
	seen     uint64 // when it was found by iterating, in CLOCK_MONOTONIC: what happened before is in it
	since    time.Time
	known    uint64    // since when the table has it, in CLOCK_MONOTONIC: the time of the day is stepped
	waits    time.Time // when an incoming connection began whose other end is not known yet; else zero
	protocol Protocol
	state    byte
	before   bool // it was there before the engine
	incoming bool // somebody connected to it: it is to be accepted
	told     bool // the log has it
	loose    bool // the table is full: its end would not be known
	doubted  bool // it waits so long for accept(2) that it may have ended amid lost events
	local    netip.AddrPort
	remote   netip.AddrPort
	opened   *actor
	accepted *actor
	last     *actor
	holders  []*actor
	tied     bool // of UDP: it is connected
	talked   bool // with more than one remote end, of UDP: then it has none
	spans    []span
	owned    uint64     // when iterating that found its process to have it open began, in CLOCK_MONOTONIC
	left     processKey // who had it at its own end, though it is open; zero: nobody did
}

// A table is the sockets that are known, and turns events into records and flows.
type table struct {
	clock   bpf.Clock
	people  *people
	sockets map[socketKey]*socket
	cookies map[uint64]*socket
	inodes  map[uint64]*socket
	gone    map[socketKey]bool // of those that a resynchronisation found to have ended
	ended   *recent.Connections[ended]
	having  map[processKey]map[*socket]int // how many spans of a process sockets have
	leaving []leaving                      // in the order of their times
	left    map[processKey]int             // of how many sockets it is socket.left

	// uncounted says that the kernel does not tell who sends and receives, and how much.
	uncounted bool

	serial  uint64
	records []Record
	flows   []Flow

	following bool   // flows are told
	doubted   int    // sockets
	untold    uint64 // what happened to sockets that the table has no room for
	lately    int    // how many records were told last: about as many come next
}

func newTable(p *people) *table {
	t := &table{people: p, ended: recent.New[ended](), sockets: map[socketKey]*socket{}, cookies: map[uint64]*socket{}, inodes: map[uint64]*socket{},
		gone: map[socketKey]bool{}, having: map[processKey]map[*socket]int{}, left: map[processKey]int{}}
	t.clock.Set()
	return t
}

// take returns what the events made since the last call.
func (t *table) take() ([]Record, []Flow) {
	records, flows := t.records, t.flows
	t.records, t.flows = nil, nil
	if len(records) > 0 {
		t.lately = min(len(records), portion)
	}
	return records, flows
}

// add enters a socket.
func (t *table) add(e *event) *socket {
	if old := t.sockets[e.socketKey]; old != nil {
		t.remove(old, t.clock.Time(e.time))
	}
	t.serial++
	s := &socket{socketKey: e.socketKey, serial: t.serial, since: t.clock.Time(e.time), known: e.time, protocol: e.transport(),
		opened: nobody, accepted: nobody, last: nobody}
	if s.loose = t.full(); !s.loose {
		t.sockets[s.socketKey] = s
		if t.cookies[s.cookie] == nil && s.cookie != 0 {
			t.cookies[s.cookie] = s
		}
	}
	t.learn(s, e)
	return s
}

// learn keeps what an event says of a socket beside what happened.
func (t *table) learn(s *socket, e *event) {
	s.state = e.state
	if e.inode != 0 && s.inode != e.inode && t.sockets[s.socketKey] == s {
		t.inodes[e.inode] = s
		s.inode = e.inode
	}
	if e.local.Port() != 0 {
		if s.local.Port() != e.local.Port() { // it was disconnected, which took the port from it
			t.end(s, t.clock.Time(e.began))
		}
		s.local = e.local
	}
	if e.remote.Port() != 0 {
		if s.protocol != TCP && s.remote.Port() != 0 && s.remote != e.remote {
			s.talked = true
		}
		s.remote = e.remote
	}
	if s.talked {
		s.remote = netip.AddrPort{}
	}
	if e.kindOfSock == typeRaw { // its port is its protocol
		s.local, s.remote = netip.AddrPortFrom(e.local.Addr(), 0), netip.AddrPort{}
	}
}

func (t *table) remove(s *socket, at time.Time) {
	t.end(s, at)
	t.trust(s)
	t.keep(s)
	delete(t.sockets, s.socketKey)
	if t.cookies[s.cookie] == s {
		delete(t.cookies, s.cookie)
	}
	if t.inodes[s.inode] == s {
		delete(t.inodes, s.inode)
	}
}

// trust ends the doubt that a socket exists.
func (t *table) trust(s *socket) {
	if s.doubted {
		s.doubted = false
		t.doubted--
	}
}

// full reports whether there is no room for another socket.
func (t *table) full() bool { return len(t.sockets) >= mostSockets }

// record tells that something happened to a socket.
func (t *table) record(s *socket, what Event, at time.Time, who *actor) *Record {
	r := Record{Time: at, Event: what, Protocol: s.protocol, Process: who.Process, Cookie: s.cookie, Socket: s.serial,
		NetNS: uint64(s.netns), Cgroup: who.cgroup, LocalAddress: s.local.Addr(), LocalPort: s.local.Port()}
	if s.remote.Port() != 0 {
		r.RemoteAddress, r.RemotePort = s.remote.Addr(), s.remote.Port()
	}
	s.told = true
	if t.records == nil {
		t.records = make([]Record, 0, t.lately+t.lately/4+1)
	}
	t.records = append(t.records, r)
	return &t.records[len(t.records)-1]
}

// begin begins a flow of a socket.
func (t *table) begin(s *socket, remote netip.AddrPort, from time.Time, who *actor) {
	if s.local.Port() == 0 || who.PID == 0 || s.loose {
		return
	}
	t.enter(s, span{local: s.local, remote: remote, from: from, who: who})
}

// enter tells a flow that begins.
func (t *table) enter(s *socket, p span) {
	s.spans = append(s.spans, p)
	t.gain(s, p.who)
	t.flow(s, p, time.Time{})
}

// end ends all flows of a socket.
func (t *table) end(s *socket, at time.Time) {
	for _, p := range s.spans {
		t.flow(s, p, at)
		t.lose(s, p.who)
	}
	s.spans = nil
	t.returned(s)
}

// passes makes another process the one that packets belong to.
func (t *table) passes(s *socket, e *event, who *actor) {
	at := t.clock.Time(e.time)
	if !s.waits.IsZero() && s.remote.Port() != 0 {
		t.begin(s, s.remote, s.waits, s.last)
		s.waits = time.Time{}
	}
	s.last = who
	remote := s.remote
	if len(s.spans) > 0 {
		if s.spans[0].who.key == who.key {
			return
		}
		remote = s.spans[0].remote
	}
	unused := t.unused(s, e)
	t.end(s, at)
	s.acted = e.time
	if s.local.Port() == 0 || who.PID == 0 || s.loose || s.protocol == TCP && s.state == stateClose {
		return
	}
	p := span{local: s.local, remote: remote, from: at, who: who, unused: unused}
	if !unused.IsZero() {
		p.first = e.first
	}
	t.enter(s, p)
}

// unused returns when the process that had a socket before who an event is of was seen to use it for the
// last time; zero if that is not known.
func (t *table) unused(s *socket, e *event) time.Time {
	last := max(e.unused, s.acted, s.came)
	if e.kind != kindUse || t.uncounted || last == 0 {
		return time.Time{}
	}
	return t.clock.Time(last)
}

func (t *table) flow(s *socket, p span, until time.Time) {
	if !t.following {
		return
	}
	t.flows = append(t.flows, Flow{NetNS: uint64(s.netns), Protocol: s.protocol, Local: p.local, Remote: p.remote,
		From: p.from, Until: until, Unused: p.unused, First: p.first, Socket: s.serial, Process: p.who.Process})
}

// owner returns what is known of a socket. The inode is the better name: cookies are shared.
func (t *table) owner(cookie, inode uint64) (Owner, bool) {
	s := t.inodes[inode]
	if s == nil {
		s = t.cookies[cookie]
	}
	if s == nil || inode != 0 && s.inode != 0 && s.inode != inode {
		return Owner{}, false
	}
	o := Owner{Since: s.since, Before: s.before, Opened: s.opened.Process, Accepted: s.accepted.Process, Last: s.last.Process}
	for _, h := range s.holders {
		o.Holders = append(o.Holders, h.Process)
	}
	return o, true
}

// held returns a record for each holder of each socket that is open, and all flows that go on.
func (t *table) held() ([]Record, []Flow) {
	keptRecords, keptFlows := t.take()
	now := time.Now()
	for _, s := range t.sockets {
		t.hold(s, now)
		for _, p := range s.spans {
			t.flow(s, p, time.Time{})
		}
	}
	records, flows := t.take()
	t.records, t.flows = keptRecords, keptFlows
	return records, flows
}

// hold tells of a socket that is open. Who holds it now is not known of one that began later: then
// it is who used it last.
func (t *table) hold(s *socket, at time.Time) {
	holders := s.holders
	if len(holders) == 0 {
		if !s.told {
			return
		}
		holders = []*actor{s.last}
	}
	for _, who := range holders {
		r := t.record(s, Held, at, who)
		r.State = stateOf(s)
	}
}

// States of TCP, as include/net/tcp_states.h numbers them.
const (
	stateEstablished = 1
	stateSynSent     = 2
	stateClose       = 7
	stateListen      = 10
)

// states are the states of TCP as netstat names them (include/net/tcp_states.h).
var states = []string{1: "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE",
	"CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING", "SYN_RECV"}

func stateOf(s *socket) string {
	if s.protocol != TCP || int(s.state) >= len(states) {
		return ""
	}
	return states[s.state]
}
