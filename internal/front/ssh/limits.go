package ssh

import (
	"container/list"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
)

var (
	errRefusedAtDoor = errors.New("too many connections that have not logged in")
	errMadeRoom      = errors.New("it had to make room for a newcomer before it had exchanged keys")
)

// A door counts the connections that have not logged in yet, and keeps a flood of them away from
// everybody else:
//
//   - An address has a share of its own that is smaller than the whole, and only a few of its
//     credentials are checked at a time, which costs much memory and time.
//   - Who has not exchanged keys yet is a stranger: it costs nothing to be one. Where there is no
//     room for a newcomer, the oldest stranger of the address with the most of them goes.
//   - Where there are no strangers, it is random early drop as in sshd (MaxStartups in
//     sshd_config(5)): from Startups on, the chance of being refused grows until it is certain at
//     StartupsFull, so that a patient newcomer still gets in.
//   - Addresses that somebody has logged in from find StartupsKept places that nobody else gets.
type door struct {
	limits Limits

	mu       sync.Mutex
	inside   int
	count    uint64 // of all who entered, by which the oldest is known
	sources  map[netip.Prefix]*source
	visitors map[netip.Prefix]*list.Element // of order
	order    *list.List                     // of netip.Prefix, the latest first
}

// maxVisitors is how many addresses a door knows by earlier logins, the latest.
const maxVisitors = 1000

// A source is an address, or a /64 of IPv6, of which any host can take as many addresses as it
// likes.
type source struct {
	connections int
	checks      chan struct{} // holds one element for each login that is being checked
	strangers   *list.List    // of *place, the oldest first
}

func newDoor(l Limits) *door {
	return &door{limits: l, sources: map[netip.Prefix]*source{}, visitors: map[netip.Prefix]*list.Element{}, order: list.New()}
}

// visited notes that somebody has logged in from there.
func (d *door) visited(from netip.Prefix) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if e, ok := d.visitors[from]; ok {
		d.order.MoveToFront(e)
		return
	}
	d.visitors[from] = d.order.PushFront(from)
	if oldest := d.order.Back(); d.order.Len() > maxVisitors {
		delete(d.visitors, oldest.Value.(netip.Prefix))
		d.order.Remove(oldest)
	}
}

// enter gives a connection its place or refuses it. Whoever got a place leaves it, once. drop is
// called if it has to make room.
func (d *door) enter(from netip.Prefix, drop func()) (*place, error) {
	p, goes, err := d.admit(from, drop)
	if goes != nil {
		goes.drop()
	}
	return p, err
}

// admit is enter, except that whoever has to make room is not told yet.
func (d *door) admit(from netip.Prefix, drop func()) (p, goes *place, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.sources[from]
	switch {
	case s != nil && s.connections >= d.limits.StartupsOfSource:
		if goes = s.oldest(); goes == nil {
			return nil, nil, errRefusedAtDoor
		}
	case d.inside >= d.room(from):
		if goes = d.oldestOfMost(); goes == nil {
			return nil, nil, errRefusedAtDoor
		}
	case d.dropEarly(from):
		return nil, nil, errRefusedAtDoor
	}
	if goes != nil {
		goes.made = true
		d.remove(goes)
	}
	if s = d.sources[from]; s == nil {
		s = &source{checks: make(chan struct{}, d.limits.ChecksOfSource), strangers: list.New()}
		d.sources[from] = s
	}
	s.connections++
	d.inside++
	d.count++
	p = &place{door: d, from: from, source: s, number: d.count, drop: drop, inside: true}
	p.stranger = s.strangers.PushBack(p)
	return p, goes, nil
}

// room is how many may be inside for a newcomer from there.
func (d *door) room(from netip.Prefix) int {
	if _, known := d.visitors[from]; known {
		return d.limits.StartupsFull + d.limits.StartupsKept
	}
	return d.limits.StartupsFull
}

// dropEarly is the chance of those who come where there is room, but no stranger who could make
// more.
func (d *door) dropEarly(from netip.Prefix) bool {
	over, room := d.inside-d.limits.Startups, d.limits.StartupsFull-d.limits.Startups
	if over < 0 || rand.IntN(room) >= over {
		return false
	}
	_, known := d.visitors[from]
	return !known && d.oldestOfMost() == nil
}

// oldestOfMost is the oldest stranger of the source that has the most of them, nil if there are
// none.
func (d *door) oldestOfMost() *place {
	var chosen *place
	most := 0
	for _, s := range d.sources {
		if n := s.strangers.Len(); n > most || n > 0 && n == most && s.oldest().number < chosen.number {
			chosen, most = s.oldest(), n
		}
	}
	return chosen
}

func (s *source) oldest() *place {
	if e := s.strangers.Front(); e != nil {
		return e.Value.(*place)
	}
	return nil
}

func (d *door) remove(p *place) {
	if !p.inside {
		return
	}
	p.inside = false
	d.inside--
	p.source.connections--
	p.known()
	if p.source.connections == 0 {
		delete(d.sources, p.from)
	}
}

// A place is that of one connection until it has logged in.
type place struct {
	door   *door
	from   netip.Prefix
	source *source
	number uint64
	drop   func()

	// Under the door's mu:
	inside   bool
	made     bool          // room for somebody else
	stranger *list.Element // of source.strangers; nil once keys are exchanged
}

// known takes a connection out of the strangers. Called under the door's mu.
func (p *place) known() {
	if p.stranger != nil {
		p.source.strangers.Remove(p.stranger)
		p.stranger = nil
	}
}

// exchanged notes that the connection has exchanged keys, which cost its client about as much as
// the server.
func (p *place) exchanged() {
	p.door.mu.Lock()
	defer p.door.mu.Unlock()
	p.known()
}

// leave gives the place back. It reports whether the connection had to make room before.
func (p *place) leave() (madeRoom bool) {
	p.door.mu.Lock()
	defer p.door.mu.Unlock()
	p.door.remove(p)
	return p.made
}

// check calls f when it is the connection's turn.
func (p *place) check(ctx context.Context, f func()) error {
	select {
	case p.source.checks <- struct{}{}:
		defer func() { <-p.source.checks }()
		f()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// addressOf is the client's address without port and zone, IPv4 in its own form also where it came
// through an IPv6 socket.
func addressOf(a net.Addr) netip.Addr {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return tcp.AddrPort().Addr().Unmap().WithZone("")
}

// sourceOf is what shares one place at the door.
func sourceOf(a netip.Addr) netip.Prefix {
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // fails only for the zero Addr, whose zero Prefix is a source like any other
	return p
}
