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

// A Message is what a raw socket received: a packet, or an ICMP error about a packet that was sent
// from it.
type Message struct {
	From    netip.Addr // source of the packet, or of the error
	To      netip.Addr // destination of the packet that the error is about
	Data    []byte     // payload after the IP header of the packet, or of the quoted one; valid during the call
	Error   *Error     // nil for a packet
	Arrived time.Time  // by the wall clock of the kernel
	TTL     int        // as received; 0: not known
}

// A Listener reads a raw socket until it is closed: packets, and the error queue (ip(7),
// IP_RECVERR). It waits with poll(2) instead of the runtime, which treats a socket that only has an
// error as one that cannot be polled.
type Listener struct {
	fd      int
	wake    int // an eventfd(2) that tells the reader to end
	v6      bool
	reading sync.WaitGroup
}

// option is a socket option and its value.
type option struct{ level, name, value int }

// Listen starts to read a raw, non-blocking socket. It calls each for one message after the other,
// until Close. The caller keeps the socket.
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

// Close stops the reader. After it returns, each is not called any more.
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
					continue // a pending error, which is in the error queue too; reading has cleared it
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

// burst is how many messages are read before the reader checks whether it must end, so that a flood
// cannot keep it.
const burst = 64

// parseMessage parses a packet, or an error from the queue, and its control messages. Anyone may
// have sent it.
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
		case (c.Header.Level == unix.IPPROTO_IP && c.Header.Type == unix.IP_TTL ||
			c.Header.Level == unix.IPPROTO_IPV6 && c.Header.Type == unix.IPV6_HOPLIMIT) && len(c.Data) >= 4:
			m.TTL = int(binary.NativeEndian.Uint32(c.Data))
		case failure && (c.Header.Level == unix.IPPROTO_IP && c.Header.Type == unix.IP_RECVERR ||
			c.Header.Level == unix.IPPROTO_IPV6 && c.Header.Type == unix.IPV6_RECVERR):
			m.From, m.Error, found = extended(c.Data, v6)
		}
	}
	if !failure && !v6 { // raw sockets deliver the IPv4 header too; in the error queue it is removed
		m.Data = behindHeader(data)
	}
	return m, found
}

// ipv4Header is the length of an IPv4 header without options.
const ipv4Header = 20

// behindHeader returns the payload of an IPv4 packet.
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

// extended parses struct sock_extended_err and the address after it, of the sender of the error
// (ip(7), IP_RECVERR).
func extended(b []byte, v6 bool) (from netip.Addr, e *Error, ok bool) {
	const size = int(unsafe.Sizeof(unix.SockExtendedErr{}))
	if len(b) < size {
		return from, nil, false
	}
	x := (*unix.SockExtendedErr)(unsafe.Pointer(&b[0]))
	switch x.Origin {
	case unix.SO_EE_ORIGIN_ICMP, unix.SO_EE_ORIGIN_ICMP6:
	default:
		return from, nil, false // the kernel's own error, which send has returned
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

// AddressOf returns the address of sa, with its zone if link-local. It is invalid if sa is of
// another family.
func AddressOf(sa unix.Sockaddr) netip.Addr {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrFrom4(sa.Addr)
	case *unix.SockaddrInet6:
		return scoped(netip.AddrFrom16(sa.Addr), sa.ZoneId)
	}
	return netip.Addr{}
}

// scoped adds to a link-local address the name of the interface with that index.
func scoped(a netip.Addr, index uint32) netip.Addr {
	if index == 0 || !a.IsLinkLocalUnicast() {
		return a
	}
	if i, err := net.InterfaceByIndex(int(index)); err == nil {
		return a.WithZone(i.Name)
	}
	return a.WithZone(strconv.Itoa(int(index)))
}
