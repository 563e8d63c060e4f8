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
	errTooManyStartups = errors.New("too many connections that have not logged in")
	errMadeRoom        = errors.New("dropped for a new connection before it had exchanged keys")
)

// A startupLimiter bounds the connections that have not logged in yet, so that a flood from one
// address does not keep others out:
//
//   - An address has a share of its own, smaller than the whole. Only a few of its credentials are
//     checked at a time, as a check costs much memory and time.
//   - A connection that has not exchanged keys is a stranger. If there is no room for a new one,
//     the oldest stranger of the address with the most of them is dropped.
//   - If there are no strangers, it drops at random and early, as sshd does (MaxStartups in
//     sshd_config(5)). From Startups on the chance of a refusal grows until it is certain at
//     StartupsFull, so that a client that tries again gets in.
//   - For addresses from which a user has logged in, StartupsKept slots are reserved.
type startupLimiter struct {
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
	strangers   *list.List    // of *slot, the oldest first
}

func newStartupLimiter(l Limits) *startupLimiter {
	return &startupLimiter{
		limits:   l,
		sources:  map[netip.Prefix]*source{},
		visitors: map[netip.Prefix]*list.Element{},
		order:    list.New(),
	}
}

// visited records that a user has logged in from there.
func (l *startupLimiter) visited(from netip.Prefix) {
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

// enter gives a connection a slot, which the caller must give back once with leave, or refuses it.
// It calls drop, from the goroutine of a later connection, if this one has to make room.
func (l *startupLimiter) enter(from netip.Prefix, drop func()) (*slot, error) {
	p, goes, err := l.admit(from, drop)
	if goes != nil {
		goes.drop()
	}
	return p, err
}

// admit is enter, but returns the slot that has to make room and does not call its drop.
func (l *startupLimiter) admit(from netip.Prefix, drop func()) (p, goes *slot, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.sources[from]
	switch {
	case s != nil && s.connections >= l.limits.StartupsOfSource:
		if goes = s.oldest(); goes == nil {
			return nil, nil, errTooManyStartups
		}
	case l.taken >= l.room(from):
		if goes = l.oldestOfMost(); goes == nil {
			return nil, nil, errTooManyStartups
		}
	case l.dropEarly(from):
		return nil, nil, errTooManyStartups
	}
	if goes != nil {
		goes.made = true
		l.remove(goes)
	}
	if s = l.sources[from]; s == nil {
		s = &source{checks: make(chan struct{}, l.limits.ChecksOfSource), strangers: list.New()}
		l.sources[from] = s
	}
	s.connections++
	l.taken++
	l.count++
	p = &slot{limiter: l, from: from, source: s, number: l.count, drop: drop, held: true}
	p.stranger = s.strangers.PushBack(p)
	return p, goes, nil
}

// room returns how many slots may be in use for a new connection from there.
func (l *startupLimiter) room(from netip.Prefix) int {
	if _, known := l.visitors[from]; known {
		return l.limits.StartupsFull + l.limits.StartupsKept
	}
	return l.limits.StartupsFull
}

// dropEarly reports whether a new connection is dropped at random, though there is room. It is not
// if a stranger could make more room.
func (l *startupLimiter) dropEarly(from netip.Prefix) bool {
	over, room := l.taken-l.limits.Startups, l.limits.StartupsFull-l.limits.Startups
	if over < 0 || rand.IntN(room) >= over {
		return false
	}
	_, known := l.visitors[from]
	return !known && l.oldestOfMost() == nil
}

// oldestOfMost returns the oldest stranger of the source with the most of them, nil if there are
// none.
func (l *startupLimiter) oldestOfMost() *slot {
	var chosen *slot
	most := 0
	for _, s := range l.sources {
		if n := s.strangers.Len(); n > most || n > 0 && n == most && s.oldest().number < chosen.number {
			chosen, most = s.oldest(), n
		}
	}
	return chosen
}

// oldest returns the oldest stranger of s, nil if there are none.
func (s *source) oldest() *slot {
	if e := s.strangers.Front(); e != nil {
		return e.Value.(*slot)
	}
	return nil
}

// remove takes back a slot. It may be called again for the same one. The caller holds mu.
func (l *startupLimiter) remove(p *slot) {
	if !p.held {
		return
	}
	p.held = false
	l.taken--
	p.source.connections--
	p.known()
	if p.source.connections == 0 {
		delete(l.sources, p.from)
	}
}

// A slot is held by one connection until it has logged in.
type slot struct {
	limiter *startupLimiter
	from    netip.Prefix
	source  *source
	number  uint64
	drop    func()

	// Under the limiter's mu:
	held     bool
	made     bool          // it was dropped to make room
	stranger *list.Element // of source.strangers; nil once keys are exchanged
}

// known takes the connection out of the strangers. The caller holds the limiter's mu.
func (p *slot) known() {
	if p.stranger != nil {
		p.source.strangers.Remove(p.stranger)
		p.stranger = nil
	}
}

// exchanged records that the connection has exchanged keys, which costs its client about as much as
// the server.
func (p *slot) exchanged() {
	p.limiter.mu.Lock()
	defer p.limiter.mu.Unlock()
	p.known()
}

// leave gives the slot back. It reports whether the connection was dropped to make room.
func (p *slot) leave() (madeRoom bool) {
	p.limiter.mu.Lock()
	defer p.limiter.mu.Unlock()
	p.limiter.remove(p)
	return p.made
}

// check calls f when fewer than ChecksOfSource checks of the source run. It returns the error of
// ctx if that ends first.
func (p *slot) check(ctx context.Context, f func()) error {
	select {
	case p.source.checks <- struct{}{}:
		defer func() { <-p.source.checks }()
		f()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// addressOf returns the client's address without port and zone. An IPv4 address that came through
// an IPv6 socket has its own form.
func addressOf(a net.Addr) netip.Addr {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return tcp.AddrPort().Addr().Unmap().WithZone("")
}

// sourceOf returns the addresses that share the bounds of a.
func sourceOf(a netip.Addr) netip.Prefix {
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // fails only for the zero Addr, whose zero Prefix is a source like any other
	return p
}
