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
// an address has a share of its own that is smaller than the whole, and only a few of its connections are worked on at a time.
// Floods from many addresses meet random early drop as in sshd (MaxStartups in sshd_config(5)): from Startups on, the chance of
// being refused grows until it is certain at StartupsFull, so that a patient newcomer still gets in.
type door struct {
	limits Limits

	mu      sync.Mutex
	waiting int
	sources map[netip.Prefix]*source
}

// A source is an address, or a /64 of IPv6, of which any host can take as many addresses as it likes.
type source struct {
	connections int
	logins      chan struct{} // holds one element for each connection that is worked on
}

func newDoor(l Limits) *door { return &door{limits: l, sources: map[netip.Prefix]*source{}} }

// enter waits for the connection's turn. The caller leaves by calling what it returns, once.
func (d *door) enter(ctx context.Context, from netip.Prefix) (leave func(), err error) {
	s, err := d.count(from)
	if err != nil {
		return nil, err
	}
	select {
	case s.logins <- struct{}{}:
		return func() { <-s.logins; d.forget(from, s) }, nil
	case <-ctx.Done():
		d.forget(from, s)
		return nil, ctx.Err()
	}
}

func (d *door) count(from netip.Prefix) (*source, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.sources[from]
	if s != nil && s.connections >= d.limits.StartupsOfSource || d.dropEarly() {
		return nil, errRefusedAtDoor
	}
	if s == nil {
		s = &source{logins: make(chan struct{}, d.limits.LoginsOfSource)}
		d.sources[from] = s
	}
	s.connections++
	d.waiting++
	return s, nil
}

func (d *door) dropEarly() bool {
	over, room := d.waiting-d.limits.Startups, d.limits.StartupsFull-d.limits.Startups
	return over >= 0 && (over >= room || rand.IntN(room) < over)
}

func (d *door) forget(from netip.Prefix, s *source) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting--
	s.connections--
	if s.connections == 0 {
		delete(d.sources, from)
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
