package icmp

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Message is what a raw socket heard: a packet, or an ICMP error about a packet that was sent from it.
type Message struct {
	From    netip.Addr // of the packet, or of who sent the error
	To      netip.Addr // of the packet that an error is about
	Data    []byte     // behind the IP header of the packet, or of the one that the error quotes; valid during the call
	Error   *Error     // nil for a packet
	Arrived time.Time  // by the kernel's clock of the wall
	TTL     int        // that it arrived with; 0: not known
}

// A Listener hears a raw socket until it is closed: its packets, and its error queue (ip(7), IP_RECVERR). It waits with poll(2) and not
// with the runtime, which takes a socket that has nothing but an error for one that cannot be polled.
type Listener struct {
	fd      int
	wake    int // an eventfd(2): readable when the reader shall end
	v6      bool
	reading sync.WaitGroup
}

// option is a socket option and its value.
type option struct{ level, name, value int }

// Listen tells each what a raw, non-blocking socket hears, one message after the other, until Close. The socket stays the caller's.
func Listen(fd int, v6 bool, each func(Message)) (*Listener, error) {
	options := []option{
		{unix.IPPROTO_IP, unix.IP_RECVERR, 1},
		{unix.IPPROTO_IP, unix.IP_RECVTTL, 1},
	}
	if v6 {
		options = []option{
			{unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1},
			{unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, 1},
		}
	}
	for _, o := range append(options, option{unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1}) {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			return nil, os.NewSyscallError("setsockopt", err)
		}
	}
	l := &Listener{fd: fd, v6: v6}
	var err error
	if l.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	l.reading.Go(func() { l.read(each) })
	return l, nil
}

// Close ends the listening. Nothing is told any more when it returns.
func (l *Listener) Close() {
	unix.Write(l.wake, binary.NativeEndian.AppendUint64(nil, 1))
	l.reading.Wait()
	unix.Close(l.wake)
}

func (l *Listener) read(each func(Message)) {
	data, control := make([]byte, 65536), make([]byte, 512)
	for {
		fds := []unix.PollFd{{Fd: int32(l.fd), Events: unix.POLLIN}, {Fd: int32(l.wake), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err != nil && !errors.Is(err, syscall.EINTR) {
			return
		}
		if fds[1].Revents != 0 {
			return
		}
		for _, flags := range []int{unix.MSG_ERRQUEUE, 0} {
			for range burst {
				n, c, _, from, err := unix.Recvmsg(l.fd, data, control, flags|unix.MSG_DONTWAIT)
				if err == unix.EAGAIN || err == unix.EINTR || err != nil && flags == unix.MSG_ERRQUEUE {
					break
				}
				if err != nil {
					continue // a pending error, of which the error queue tells too; reading has cleared it
				}
				if m, ok := parseMessage(data[:n], control[:c], flags != 0, l.v6); ok {
					if m.Error == nil {
						m.From = AddressOf(from)
					} else {
						m.To = AddressOf(from)
					}
					each(m)
				}
			}
		}
	}
}

// burst is how many messages are read before the listener looks whether it shall end: a flood does not keep it.
const burst = 64

// parseMessage reads a packet, or an error from the queue, and what the kernel says beside it. Anybody may have sent it.
func parseMessage(data, control []byte, failure, v6 bool) (m Message, ok bool) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return m, false
	}
	m = Message{Data: data, Arrived: time.Now()}
	found := !failure
	for _, c := range messages {
		switch {
		case c.Header.Level == unix.SOL_SOCKET && c.Header.Type == unix.SO_TIMESTAMPNS && len(c.Data) >= 16:
			t := (*unix.Timespec)(unsafe.Pointer(&c.Data[0]))
			m.Arrived = time.Unix(t.Unix())
		case (c.Header.Level == unix.IPPROTO_IP && c.Header.Type == unix.IP_TTL || c.Header.Level == unix.IPPROTO_IPV6 && c.Header.Type == unix.IPV6_HOPLIMIT) && len(c.Data) >= 4:
			m.TTL = int(binary.NativeEndian.Uint32(c.Data))
		case failure && (c.Header.Level == unix.IPPROTO_IP && c.Header.Type == unix.IP_RECVERR || c.Header.Level == unix.IPPROTO_IPV6 && c.Header.Type == unix.IPV6_RECVERR):
			m.From, m.Error, found = extended(c.Data, v6)
		}
	}
	if !failure && !v6 { // raw sockets give the header of IPv4 too; in the error queue it is taken off
		m.Data = behindHeader(data)
	}
	return m, found
}

// ipv4Header is the length of a header of IPv4 without options.
const ipv4Header = 20

// behindHeader is what stands behind the header of an IPv4 packet.
func behindHeader(b []byte) []byte {
	if len(b) < ipv4Header {
		return nil
	}
	n := int(b[0]&0x0f) * 4
	if n < ipv4Header || n > len(b) {
		return nil
	}
	return b[n:]
}

// extended reads struct sock_extended_err and the address of who sent the error behind it (ip(7), IP_RECVERR).
func extended(b []byte, v6 bool) (from netip.Addr, e *Error, ok bool) {
	const size = int(unsafe.Sizeof(unix.SockExtendedErr{}))
	if len(b) < size {
		return from, nil, false
	}
	x := (*unix.SockExtendedErr)(unsafe.Pointer(&b[0]))
	switch x.Origin {
	case unix.SO_EE_ORIGIN_ICMP, unix.SO_EE_ORIGIN_ICMP6:
	default:
		return from, nil, false // the kernel's own, which send has returned
	}
	switch rest := b[size:]; {
	case len(rest) >= unix.SizeofSockaddrInet4 && binary.NativeEndian.Uint16(rest) == unix.AF_INET:
		from = netip.AddrFrom4([4]byte(rest[4:8]))
	case len(rest) >= unix.SizeofSockaddrInet6 && binary.NativeEndian.Uint16(rest) == unix.AF_INET6:
		from = scoped(netip.AddrFrom16([16]byte(rest[8:24])), binary.NativeEndian.Uint32(rest[24:]))
	default:
		return from, nil, false
	}
	e = &Error{IPv6: v6, Type: int(x.Type), Code: int(x.Code)}
	if e.TooBig() {
		e.MTU = int(x.Info)
	}
	return from, e, true
}

// AddressOf is the address of a socket address, with the zone that it needs; invalid if it is of another family.
func AddressOf(sa unix.Sockaddr) netip.Addr {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrFrom4(sa.Addr)
	case *unix.SockaddrInet6:
		return scoped(netip.AddrFrom16(sa.Addr), sa.ZoneId)
	}
	return netip.Addr{}
}

// scoped gives a link-local address the name of the interface with an index.
func scoped(a netip.Addr, index uint32) netip.Addr {
	if index == 0 || !a.IsLinkLocalUnicast() {
		return a
	}
	if i, err := net.InterfaceByIndex(int(index)); err == nil {
		return a.WithZone(i.Name)
	}
	return a.WithZone(strconv.Itoa(int(index)))
}
