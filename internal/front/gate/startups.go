// Package gate bounds what strangers and users take of the process that faces the network: how many
// connections they hold, and how often they ask. SSH and HTTPS share it.
package gate

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
	// ErrTooMany is why a connection is refused.
	ErrTooMany = errors.New("too many connections that have not logged in")
	// ErrMadeRoom is why a connection ended that was dropped.
	ErrMadeRoom = errors.New("dropped for a new connection before it had exchanged keys")
)

// Limits are the numbers of Startups. All of them are at least 1.
type Limits struct {
	Early    int // the number of slots in use from which on new connections are refused at random
	Full     int // that at which a new one takes the place of a stranger, or is refused
	OfSource int // the same for one source; less than Early, so that one source alone never refuses others
	Checks   int // credentials of one source that are checked at a time
	Kept     int // further slots, for sources from which a user has logged in
}

// Startups bound the connections that have not logged in yet, so that a flood from one address does not
// keep others out:
//
//   - An address has a share of its own, smaller than the whole. Only a few of its credentials are
//     checked at a time, as a check costs much memory and time.
//   - A connection is a stranger until Known is called. If there is no room for a new one, the oldest
//     stranger of the address with the most of them is dropped.
//   - If there are no strangers, it drops at random and early, as sshd does (MaxStartups in
//     sshd_config(5)). From Early on the chance of a refusal grows until it is certain at Full, so
//     that a client that tries again gets in.
//   - For addresses from which a user has logged in, Kept slots are reserved.
type Startups struct {
	limits Limits

	mu       sync.Mutex
	taken    int    // slots in use
	count    uint64 // all slots given so far; numbers the next one
	sources  map[netip.Prefix]*source
	visitors map[netip.Prefix]*list.Element // of order
	order    *list.List                     // of netip.Prefix, the latest first
}

// maxVisitors bounds the addresses that are known by earlier logins; the latest are kept.
const maxVisitors = 1000

// A source is an IPv4 address, or a /64 of IPv6, as a host there can have any address in it.
type source struct {
	connections int
	checks      chan struct{} // holds one element for each login that is being checked
	strangers   *list.List    // of *Slot, the oldest first
}

// NewStartups returns a limiter.
func NewStartups(l Limits) *Startups {
	return &Startups{
		limits:   l,
		sources:  map[netip.Prefix]*source{},
		visitors: map[netip.Prefix]*list.Element{},
		order:    list.New(),
	}
}

// Visited records that a user has logged in from there.
func (l *Startups) Visited(from netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, ok := l.visitors[from]; ok {
		l.order.MoveToFront(e)
		return
	}
	l.visitors[from] = l.order.PushFront(from)
	if oldest := l.order.Back(); l.order.Len() > maxVisitors {
		delete(l.visitors, oldest.Value.(netip.Prefix))
		l.order.Remove(oldest)
	}
}

// Enter gives a connection a slot, which the caller must give back once with Leave, or refuses it.
// It calls drop, from the goroutine of a later connection, if this one has to make room.
func (l *Startups) Enter(from netip.Prefix, drop func()) (*Slot, error) {
	p, goes, err := l.admit(from, drop)
	if goes != nil {
		goes.drop()
	}
	return p, err
}

// admit is Enter, but returns the slot that has to make room and does not call its drop.
func (l *Startups) admit(from netip.Prefix, drop func()) (p, goes *Slot, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.sources[from]
	switch {
	case s != nil && s.connections >= l.limits.OfSource:
		if goes = s.oldest(); goes == nil {
			return nil, nil, ErrTooMany
		}
	case l.taken >= l.room(from):
		if goes = l.oldestOfMost(); goes == nil {
			return nil, nil, ErrTooMany
		}
	case l.dropEarly(from):
		return nil, nil, ErrTooMany
	}
	if goes != nil {
		goes.made = true
		l.remove(goes)
	}
	if s = l.sources[from]; s == nil {
		s = &source{checks: make(chan struct{}, l.limits.Checks), strangers: list.New()}
		l.sources[from] = s
	}
	s.connections++
	l.taken++
	l.count++
	p = &Slot{limiter: l, from: from, source: s, number: l.count, drop: drop, held: true}
	p.stranger = s.strangers.PushBack(p)
	return p, goes, nil
}

// Count returns how many slots are in use, and how many of them by strangers.
func (l *Startups) Count() (taken, strangers int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.sources {
		strangers += s.strangers.Len()
	}
	return l.taken, strangers
}

// CountOf returns how many slots a source uses.
func (l *Startups) CountOf(from netip.Prefix) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.sources[from]; s != nil {
		return s.connections
	}
	return 0
}

// Knows reports whether a user has logged in from there.
func (l *Startups) Knows(from netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.visitors[from] != nil
}

// room returns how many slots may be in use for a new connection from there.
func (l *Startups) room(from netip.Prefix) int {
	if _, known := l.visitors[from]; known {
		return l.limits.Full + l.limits.Kept
	}
	return l.limits.Full
}

// dropEarly reports whether a new connection is dropped at random, though there is room. It is not
// if a stranger could make more room.
func (l *Startups) dropEarly(from netip.Prefix) bool {
	over, room := l.taken-l.limits.Early, l.limits.Full-l.limits.Early
	if over < 0 || rand.IntN(room) >= over {
		return false
	}
	_, known := l.visitors[from]
	return !known && l.oldestOfMost() == nil
}

// oldestOfMost returns the oldest stranger of the source with the most of them, nil if there are
// none.
func (l *Startups) oldestOfMost() *Slot {
	var chosen *Slot
	most := 0
	for _, s := range l.sources {
		if n := s.strangers.Len(); n > most || n > 0 && n == most && s.oldest().number < chosen.number {
			chosen, most = s.oldest(), n
		}
	}
	return chosen
}

// oldest returns the oldest stranger of s, nil if there are none.
func (s *source) oldest() *Slot {
	if e := s.strangers.Front(); e != nil {
		return e.Value.(*Slot)
	}
	return nil
}

// remove takes back a slot. It may be called again for the same one. The caller holds mu.
func (l *Startups) remove(p *Slot) {
	if !p.held {
		return
	}
	p.held = false
	l.taken--
	p.source.connections--
	p.forget()
	if p.source.connections == 0 {
		delete(l.sources, p.from)
	}
}

// A Slot is held by one connection until it has logged in.
type Slot struct {
	limiter *Startups
	from    netip.Prefix
	source  *source
	number  uint64
	drop    func()

	// Under the limiter's mu:
	held     bool
	made     bool          // it was dropped to make room
	stranger *list.Element // of source.strangers; nil once keys are exchanged
}

// forget takes the connection out of the strangers. The caller holds the limiter's mu.
func (p *Slot) forget() {
	if p.stranger != nil {
		p.source.strangers.Remove(p.stranger)
		p.stranger = nil
	}
}

// Known records that the connection is no stranger any more: its client has exchanged keys, which
// costs it about as much as the server, or has logged in.
func (p *Slot) Known() {
	p.limiter.mu.Lock()
	defer p.limiter.mu.Unlock()
	p.forget()
}

// Leave gives the slot back. It reports whether the connection was dropped to make room.
func (p *Slot) Leave() (madeRoom bool) {
	p.limiter.mu.Lock()
	defer p.limiter.mu.Unlock()
	p.limiter.remove(p)
	return p.made
}

// Check calls f when fewer than Checks checks of the source run. It returns the error of
// ctx if that ends first.
func (p *Slot) Check(ctx context.Context, f func()) error {
	select {
	case p.source.checks <- struct{}{}:
		defer func() { <-p.source.checks }()
		f()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// AddressOf returns the client's address without port and zone. An IPv4 address that came through
// an IPv6 socket has its own form.
func AddressOf(a net.Addr) netip.Addr {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return tcp.AddrPort().Addr().Unmap().WithZone("")
}

// SourceOf returns the addresses that share the bounds of a.
func SourceOf(a netip.Addr) netip.Prefix {
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // fails only for the zero Addr, whose zero Prefix is a source like any other
	return p
}
