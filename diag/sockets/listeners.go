package sockets

import (
	"context"
	"errors"
	"net/netip"

	"diagsh/diag/netlink"
)

// Listeners are the listening TCP sockets, by port.
type Listeners map[uint16][]Socket

// FindListeners finds them.
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

// Of returns the listeners that the kernel would choose from for a connection to local. device is
// the interface that the connection's socket is bound to (0: none). They are the ones whose address
// and interface fit best (compute_score in net/ipv4/inet_hashtables.c, Linux 6.18). With
// SO_REUSEPORT there are several, and the kernel does not say which one it took.
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

// fit returns how well a listener fits, or 0 if it does not.
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

// Waits reports whether a connection has no process yet: its handshake is not finished, or it was
// not accepted. In these states, no inode means that. A connection that a process has closed is in
// a later state (FIN_WAIT_1, LAST_ACK ... in RFC 9293, section 3.3.2).
func (s *Socket) Waits() bool {
	return s.Kind == KindTCP && s.Inode == 0 && (s.State == Established || s.State == CloseWait || s.State == SynRcvd)
}
