package ports

import (
	"errors"
	"maps"
	"os"
	"slices"
	"strconv"
	"time"

	"diagsh/diag/sockets"
)

// A polled is a socket in the table.
type polled struct {
	pollRow
	serial  uint64
	since   time.Time // when it was first read
	before  bool      // by the first reading
	holders []Process // when it was last read
	missed  int       // readings in a row that did not have it
	flow    Flow      // of who holds it alone; zero: nobody does
	sure    time.Time // until when that is known
}

// goneAfter is how many readings in a row must miss a socket before it is believed to be gone. The
// kernel may skip one when others end while it writes its table.
const goneAfter = 2

// keepGone is how long the kernel may take to tell the end of a socket that nobody has any more: it
// may have to send what waits.
const keepGone = 10 * time.Minute

// A pollMerger brings one reading into the table.
type pollMerger struct {
	*poller
	now       time.Time
	owners    *sockets.Owners
	people    map[int]Process // that hold sockets
	listening map[uint16][]pollRow
}

// identify reads the processes that hold the sockets, without the lock.
func (m *pollMerger) identify(rows []pollRow) {
	for i := range rows {
		m.owners.Of(rows[i].inode, func(holder *sockets.Process) {
			if _, ok := m.people[holder.PID]; ok {
				return
			}
			exe, err := os.Readlink("/proc/" + strconv.Itoa(holder.PID) + "/exe")
			if errors.Is(err, os.ErrNotExist) {
				return // it has ended, and holds nothing
			}
			m.people[holder.PID] = Process{PID: holder.PID, Name: holder.Name, Exe: exe, UID: holder.UID,
				User: m.names.Name(holder.UID)}
		})
	}
}

func (m *pollMerger) merge(rows []pollRow) {
	m.halves = map[pollEnds]bool{}
	for i := range rows {
		if rows[i].multipath {
			m.halves[rows[i].pollEnds] = true
		}
		if rows[i].state == sockets.Listen {
			m.listening[rows[i].local.Port()] = append(m.listening[rows[i].local.Port()], rows[i])
		}
	}
	first := m.serial == 0
	seen := map[uint32]bool{}
	for i := range rows {
		r := &rows[i]
		switch s := m.known[r.inode]; {
		case r.protocol == TCP && !r.multipath && m.halves[r.pollEnds]:
			// The kernel's own half of an MPTCP connection, which no process holds.
		case r.inode == 0:
			// Nobody has it any more, or not yet.
			if s := m.cookies[r.cookie]; s != nil && s.pollEnds == r.pollEnds {
				m.miss(s)
			}
		case s == nil:
			seen[r.inode] = true
			m.begin(r, first)
		default:
			seen[r.inode] = true
			m.change(s, r)
		}
	}
	for inode, s := range m.known {
		if seen[inode] {
			continue
		}
		if s.missed++; s.missed >= goneAfter {
			m.miss(s)
		}
	}
	maps.DeleteFunc(m.gone, func(_ uint64, at time.Time) bool { return m.now.Sub(at) > keepGone })
}

// miss tells that a socket is not in the table any more. The kernel will tell it too.
func (m *pollMerger) miss(s *polled) {
	if !s.multipath {
		m.gone[s.cookie] = m.now
	}
	m.end(s, m.now)
}

// begin enters a new socket.
func (m *pollMerger) begin(r *pollRow, first bool) {
	m.serial++
	m.events++
	s := &polled{pollRow: *r, serial: m.serial, since: m.now, before: first}
	m.known[r.inode] = s
	if !r.multipath {
		m.cookies[r.cookie] = s
	}
	if !first {
		m.happened(s, 0)
	}
	m.hold(s)
}

// change brings a socket up to date.
func (m *pollMerger) change(s *polled, r *pollRow) {
	s.missed = 0
	was := s.pollRow
	s.pollRow = *r
	if was.state != r.state || was.remote != r.remote {
		m.events++
		m.happened(s, was.state)
	}
	m.hold(s)
}

// happened tells what is seen of a socket now, which was in another state before.
func (m *pollMerger) happened(s *polled, was sockets.State) {
	event := Event("")
	switch {
	case s.protocol == UDP && s.remote.Port() != 0:
		if was == 0 {
			m.record(s, Opened)
		}
		event = Flowed
	case s.protocol != TCP:
		if was == 0 {
			event = Opened
		}
	case s.state == sockets.Listen:
		event = Listening
	case s.state == sockets.SynSent || was != 0 && was != sockets.SynSent:
	case m.passive(s):
		event = Accepted
	default:
		event = Connected
	}
	if event != "" {
		m.record(s, event)
	}
}

// passive reports whether a connection came to a listener: a connecting socket does not get its port.
func (m *pollMerger) passive(s *polled) bool {
	return slices.ContainsFunc(m.listening[s.local.Port()], func(l pollRow) bool {
		return l.local.Addr().IsUnspecified() || l.local.Addr() == s.local.Addr()
	})
}

// hold tells who holds a socket and did not before.
func (m *pollMerger) hold(s *polled) {
	was := s.holders
	s.holders = nil
	var fresh []Process
	m.owners.Of(s.inode, func(holder *sockets.Process) {
		p, ok := m.people[holder.PID]
		if !ok {
			return
		}
		s.holders = append(s.holders, p)
		if !slices.ContainsFunc(was, func(o Process) bool { return o.PID == p.PID && o.Exe == p.Exe }) {
			fresh = append(fresh, p)
		}
	})
	if len(fresh) > 0 {
		m.out.records = m.appendHeld(m.out.records, s, m.now, fresh)
	}
	m.follow(s)
}

// follow keeps the flow of who holds a socket alone. It is known from the reading on that finds this,
// until the last one that does.
func (m *pollMerger) follow(s *polled) {
	who := Process{}
	if len(s.holders) == 1 && s.state != sockets.Listen && s.protocol != ICMP && s.protocol != Raw {
		who = s.holders[0]
	}
	if s.flow.Socket != 0 && (who.PID != s.flow.PID || who.Exe != s.flow.Exe || s.flow.Local != s.local || s.flow.Remote != s.remote) {
		m.unfollow(s)
	}
	if who.PID == 0 {
		return
	}
	if s.flow.Socket == 0 {
		s.flow = Flow{NetNS: m.netns, Protocol: s.protocol, Local: s.local, Remote: s.remote, From: m.now, Socket: s.serial, Process: who}
		m.out.flows = append(m.out.flows, s.flow)
	}
	s.sure = m.now
}

func (p *poller) unfollow(s *polled) {
	if s.flow.Socket != 0 {
		s.flow.Until = s.sure
		p.out.flows = append(p.out.flows, s.flow)
		s.flow = Flow{}
	}
}

// end takes a socket out of the table and tells that it ended.
func (p *poller) end(s *polled, at time.Time) {
	p.unfollow(s)
	r := p.fill(s, at, Closed)
	if !s.before {
		seconds := at.Sub(s.since).Seconds()
		r.Seconds = &seconds
	}
	p.out.records = append(p.out.records, r)
	delete(p.known, s.inode)
	if p.cookies[s.cookie] == s {
		delete(p.cookies, s.cookie)
	}
}

func (m *pollMerger) record(s *polled, event Event) {
	m.out.records = append(m.out.records, m.fill(s, m.now, event))
}

func (p *poller) fill(s *polled, at time.Time, event Event) Record {
	r := Record{Time: at, Event: event, Protocol: s.protocol, LocalAddress: s.local.Addr(), LocalPort: s.local.Port(),
		Cookie: s.cookie, Socket: s.serial, NetNS: p.netns}
	if s.remote.Port() != 0 {
		r.RemoteAddress, r.RemotePort = s.remote.Addr(), s.remote.Port()
	}
	return r
}

// appendHeld appends a record for each process, or one without.
func (p *poller) appendHeld(all []Record, s *polled, at time.Time, by []Process) []Record {
	r := p.fill(s, at, Held)
	if s.protocol == TCP {
		r.State = s.state.String()
	}
	if len(by) == 0 {
		return append(all, r)
	}
	for _, r.Process = range by {
		all = append(all, r)
	}
	return all
}

// ended takes the kernel's word that a TCP or UDP socket ended.
func (p *poller) ended(r *pollRow) {
	p.events++
	now := time.Now()
	switch s := p.cookies[r.cookie]; {
	case s != nil && s.protocol == r.protocol:
		p.end(s, now)
	case !p.gone[r.cookie].IsZero():
		delete(p.gone, r.cookie)
	case r.local.Port() == 0 || p.halves[r.pollEnds]:
		// It was not used, or a process holds the other half.
	default:
		p.serial++
		p.out.records = append(p.out.records, p.fill(&polled{pollRow: *r, serial: p.serial}, now, Closed))
	}
}
