package ping

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"diagsh/diag/icmp"
	"diagsh/diag/source"
)

// Protocol numbers (IANA).
const (
	protocolICMP   = 1
	protocolICMPv6 = 58
)

// A socket sends echo requests. It is not connected, so that it receives answers from other
// addresses too.
type socket struct {
	fd        int
	v6        bool
	id        uint16 // the identifier of its requests
	to        unix.Sockaddr
	broadcast atomic.Bool // SO_BROADCAST is set; the listener reads this
}

// option is a socket option and its value.
type option struct{ level, name, value int }

func open(o Options) (*socket, error) {
	s := &socket{v6: o.Target.Is6(), id: uint16(rand.N(1 << 16)), to: source.Sockaddr(netip.AddrPortFrom(o.Target, 0))}
	domain, protocol := unix.AF_INET, protocolICMP
	if s.v6 {
		domain, protocol = unix.AF_INET6, protocolICMPv6
	}
	var err error
	if s.fd, err = unix.Socket(domain, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol); err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err := s.prepare(o); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *socket) close() { unix.Close(s.fd) }

func (s *socket) prepare(o Options) error {
	options := []option{
		{unix.IPPROTO_IP, unix.IP_TTL, o.TTL},
		{unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, o.TTL},
	}
	if s.v6 {
		options = []option{
			{unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, o.TTL},
			{unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, o.TTL},
		}
	}
	options = append(options, o.Fragments.options(s.v6)...)
	for _, c := range options {
		if err := unix.SetsockoptInt(s.fd, c.level, c.name, c.value); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	// Room for several answers of the largest size. Without CAP_NET_ADMIN there is less.
	unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 1<<20)
	if err := s.filter(); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	if err := o.Source.Bind(s.fd); err != nil {
		return os.NewSyscallError("bind", err)
	}
	return nil
}

// options returns the socket options (ip(7), IP_MTU_DISCOVER; RFC 3542, IPV6_DONTFRAG). Only the
// sender fragments IPv6, so IPV6_DONTFRAG alone keeps a packet whole.
func (f Fragments) options(v6 bool) []option {
	mode, ok := map[Fragments]int{Forbidden: unix.IP_PMTUDISC_DO, AsKnown: unix.IP_PMTUDISC_WANT,
		Allowed: unix.IP_PMTUDISC_DONT, Probing: unix.IP_PMTUDISC_PROBE}[f]
	switch {
	case !ok:
		return nil
	case !v6:
		return []option{{unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, mode}}
	}
	whole := 0
	if f == Forbidden || f == Probing {
		whole = 1
	}
	return []option{{unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, mode}, {unix.IPPROTO_IPV6, unix.IPV6_DONTFRAG, whole}}
}

// filter lets only echo replies pass. Errors arrive through the error queue, see icmp.Listener.
func (s *socket) filter() error {
	if !s.v6 { // raw(7), ICMP_FILTER: a set bit blocks the type
		return unix.SetsockoptInt(s.fd, unix.SOL_RAW, icmpFilter, int(^uint32(1<<0)))
	}
	var block unix.ICMPv6Filter
	for i := range block.Data {
		block.Data[i] = ^uint32(0)
	}
	block.Data[129/32] &^= 1 << (129 % 32)
	return unix.SetsockoptICMPv6Filter(s.fd, unix.IPPROTO_ICMPV6, unix.ICMPV6_FILTER, &block)
}

const icmpFilter = 1 // include/uapi/linux/icmp.h

// send sends the request with a sequence number once, or returns why it was not sent.
func (s *socket) send(sequence uint16, size int) error {
	packet := echo(s.v6, s.id, sequence, size)
	for try := 1; ; try++ {
		// A pending ICMP error about an earlier request would be returned by the next send, which
		// then sends nothing (raw(7), "Error Handling"). Reading SO_ERROR clears it; the error
		// queue has it too.
		unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_ERROR)
		err := unix.Sendto(s.fd, packet, 0, s.to)
		switch {
		case err == nil:
			return nil
		case err == unix.EINTR:
		case err == unix.EACCES && !s.v6 && !s.broadcast.Swap(true):
			// A broadcast address, or a forbidden one: that is refused again.
			if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1); err != nil {
				return os.NewSyscallError("setsockopt", err)
			}
		case busy(err), err == unix.EPERM, try == sendTries:
			// A firewall has seen it, so it is not sent again.
			return os.NewSyscallError("sendto", err)
		}
	}
}

// sendTries limits the attempts to send a request while errors of earlier ones interfere.
const sendTries = 4

// busy reports whether the kernel had no room for a packet.
func busy(err error) bool {
	return errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.ENOMEM)
}

// understand interprets a message about one of the socket's requests. ok is false for any other
// message; anyone may have sent it.
func (s *socket) understand(m icmp.Message, target netip.Addr, size int) (a Answer, ok bool) {
	a = Answer{From: m.From, TTL: m.TTL}
	if m.Error != nil {
		if m.To.WithZone("") != target.WithZone("") || !isRequest(m.Data, s.v6, s.id) {
			return a, false
		}
		// The size on the wire: with the header of the error and the IP header in it.
		a.Bytes, a.Error = icmpHeader+20+len(m.Data), &Error{Error: *m.Error}
		if s.v6 {
			a.Bytes += 20
		}
		a.Sequence = int(sequence(m.Data))
		return a, true
	}
	if !isReply(m.Data, s.v6, s.id) {
		return a, false
	}
	a.Bytes, a.Sequence = len(m.Data), int(sequence(m.Data))
	a.BadChecksum = !s.v6 && icmp.Sum(0, m.Data) != 0xffff // for ICMPv6 the kernel drops those
	a.Wrong, a.Truncated = compare(m.Data[icmpHeader:], size)
	a.Elsewhere = !target.IsUnspecified() && !target.IsMulticast() && !s.broadcast.Load() &&
		m.From.WithZone("") != target.WithZone("")
	return a, true
}
