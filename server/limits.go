package server

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
)

var errRefusedAtDoor = errors.New("too many connections that have not logged in")

// A door counts the connections that have not logged in yet. Two things keep a flood from one address away from everybody else:
// an address has a share of its own that is smaller than the whole, and only a few of its credentials are checked at a time, which
// costs much memory and time. Floods from many addresses meet random early drop as in sshd (MaxStartups in sshd_config(5)): from
// Startups on, the chance of being refused grows until it is certain at StartupsFull, so that a patient newcomer still gets in.
type door struct {
	limits Limits

	mu      sync.Mutex
	inside  int
	sources map[netip.Prefix]*source
}

// A source is an address, or a /64 of IPv6, of which any host can take as many addresses as it likes.
type source struct {
	connections int
	checks      chan struct{} // holds one element for each login that is being checked
}

func newDoor(l Limits) *door { return &door{limits: l, sources: map[netip.Prefix]*source{}} }

// enter gives a connection its place or refuses it. Whoever got a place leaves it, once.
func (d *door) enter(from netip.Prefix) (*place, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.sources[from]
	if s != nil && s.connections >= d.limits.StartupsOfSource || d.dropEarly() {
		return nil, errRefusedAtDoor
	}
	if s == nil {
		s = &source{checks: make(chan struct{}, d.limits.ChecksOfSource)}
		d.sources[from] = s
	}
	s.connections++
	d.inside++
	return &place{d, from, s}, nil
}

func (d *door) dropEarly() bool {
	over, room := d.inside-d.limits.Startups, d.limits.StartupsFull-d.limits.Startups
	return over >= 0 && (over >= room || rand.IntN(room) < over)
}

// A place is that of one connection until it has logged in.
type place struct {
	door   *door
	from   netip.Prefix
	source *source
}

func (p *place) leave() {
	d := p.door
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inside--
	p.source.connections--
	if p.source.connections == 0 {
		delete(d.sources, p.from)
	}
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

// addressOf is the client's address without port and zone, IPv4 in its own form also where it came through an IPv6 socket.
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
