package sockets

import (
	"context"
	"errors"
	"net/netip"

	"diagsh/diag/netlink"
)

// Listeners are the TCP sockets that wait for connections, by port.
type Listeners map[uint16][]Socket

// FindListeners lists them.
func FindListeners(ctx context.Context) (Listeners, error) {
	l := Listeners{}
	err := Each(ctx, Query{States: []State{Listen}}, func(s *Socket) error {
		l[s.Local.Port()] = append(l[s.Local.Port()], *s)
		return nil
	})
	if err != nil && !errors.Is(err, netlink.ErrChanged) {
		return nil, err
	}
	return l, nil
}

// Of are the listeners that the kernel chooses from for a connection to an address, on a socket that is bound to an interface (0: to
// none): those whose own address and interface fit best (compute_score in net/ipv4/inet_hashtables.c, Linux 6.18). They are several
// with SO_REUSEPORT, and then the kernel does not say which it took.
func (l Listeners) Of(local netip.AddrPort, device uint32) (best []*Socket) {
	address, score := local.Addr().Unmap(), 0
	list := l[local.Port()]
	for i := range list {
		s := &list[i]
		n := fit(s, address, device)
		switch {
		case n == 0 || n < score:
		case n > score:
			best, score = append(best[:0], s), n
		default:
			best = append(best, s)
		}
	}
	return best
}

// fit is how well a listener fits, 0 if it does not.
func fit(s *Socket, address netip.Addr, device uint32) (n int) {
	own := s.Local.Addr().Unmap()
	switch {
	case s.Device != 0 && s.Device != device:
		return 0
	case own == address:
		n = 8
	case !own.IsUnspecified():
		return 0
	case own.Is4() == address.Is4():
		n = 2
	case s.Dual():
		n = 1
	default:
		return 0
	}
	if s.Device != 0 {
		n += 4
	}
	return n
}

// Waits says that a connection has no process yet: its handshake is not over, or nobody has accepted it. Only then has one in such a
// state no inode: one that a process closed is on its way to the end (FIN_WAIT_1, LAST_ACK ... in RFC 9293, section 3.3.2).
func (s *Socket) Waits() bool {
	return s.Kind == KindTCP && s.Inode == 0 && (s.State == Established || s.State == CloseWait || s.State == SynRcvd)
}
