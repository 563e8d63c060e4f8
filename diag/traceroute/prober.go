package traceroute

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"diagsh/diag/icmp"
	"diagsh/diag/source"
)

// A mark says which probe something is about.
type mark struct{ hop, probe int }

// anyProbe is the probe of an answer that does not say which.
const anyProbe = -1

// heard is an answer with its probe.
type heard struct {
	mark
	Answer
}

// A prober sends probes from one raw socket and hears what comes back for them.
type prober struct {
	flow
	fd      int
	wake    int // an eventfd(2): readable when the reader shall end
	ttl     int // that the socket has now
	answers chan heard
	ended   chan struct{}
	reading sync.WaitGroup
	holder  int // a socket that holds our port, or -1

	mu     sync.Mutex
	number uint16
	open   map[uint16]outgoing
}

// An outgoing probe waits for its answer.
type outgoing struct {
	mark
	sent time.Time
}

func newProber(o Options) (*prober, error) {
	p := &prober{fd: -1, wake: -1, holder: -1, ended: make(chan struct{}), answers: make(chan heard, 64), open: map[uint16]outgoing{}, number: uint16(rand.N(1 << 16))}
	p.protocol, p.remote, p.destination = o.Protocol, o.Target, o.Port
	size := max(o.Size, headers(o.Protocol, o.Target.Is6()))
	p.length = size - ipv4Header
	if o.Target.Is6() {
		p.length = size - ipv6Header
	}
	err := p.socket(o)
	if err == nil {
		err = p.holdPort()
	}
	if err == nil {
		p.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	}
	if err != nil {
		p.closeSockets()
		return nil, err
	}
	p.reading.Go(p.read)
	return p, nil
}

// option is a socket option and its value.
type option struct{ level, name, value int }

func (p *prober) socket(o Options) error {
	domain, protocol := unix.AF_INET, numberICMP
	options := []option{
		{unix.IPPROTO_IP, unix.IP_RECVERR, 1},
		{unix.IPPROTO_IP, unix.IP_RECVTTL, 1},
		{unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT},
	}
	if o.DontFragment {
		// Sets the bit and does not look at what earlier packets found out about the path.
		options[2].value = unix.IP_PMTUDISC_PROBE
	}
	if p.remote.Is6() {
		domain, protocol = unix.AF_INET6, numberICMPv6
		options = []option{
			{unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1},
			{unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, 1},
			{unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, options[2].value},
		}
	}
	switch p.protocol {
	case UDP:
		protocol = numberUDP
	case TCP:
		protocol = numberTCP
	}
	options = append(options, option{unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1})
	var err error
	if p.fd, err = unix.Socket(domain, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol); err != nil {
		return os.NewSyscallError("socket", err)
	}
	for _, s := range options {
		if err := unix.SetsockoptInt(p.fd, s.level, s.name, s.value); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	if err := p.filter(protocol); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	if err := o.Source.Bind(p.fd); err != nil {
		return os.NewSyscallError("bind", err)
	}
	if err := unix.Connect(p.fd, source.Sockaddr(netip.AddrPortFrom(p.remote, 0))); err != nil {
		return os.NewSyscallError("connect", err)
	}
	name, err := unix.Getsockname(p.fd)
	if err != nil {
		return os.NewSyscallError("getsockname", err)
	}
	p.local = addressOf(name)
	return nil
}

// filter lets only echo replies pass where all ICMP would.
func (p *prober) filter(protocol int) error {
	switch protocol {
	case numberICMP: // raw(7), ICMP_FILTER: a set bit blocks the type
		return unix.SetsockoptInt(p.fd, unix.SOL_RAW, icmpFilter, int(^uint32(1<<0)))
	case numberICMPv6:
		var block unix.ICMPv6Filter
		for i := range block.Data {
			block.Data[i] = ^uint32(0)
		}
		block.Data[129/32] &^= 1 << (129 % 32)
		return unix.SetsockoptICMPv6Filter(p.fd, unix.IPPROTO_ICMPV6, unix.ICMPV6_FILTER, &block)
	}
	return nil
}

const icmpFilter = 1 // include/uapi/linux/icmp.h

// holdPort takes a port that nobody else has, so that no answer reaches another program and none of theirs reaches us. An identifier of
// ICMP cannot be taken.
func (p *prober) holdPort() error {
	if p.protocol == ICMP {
		p.port = uint16(rand.N(1 << 16))
		return nil
	}
	domain, kind := unix.AF_INET, unix.SOCK_DGRAM
	if p.remote.Is6() {
		domain = unix.AF_INET6
	}
	if p.protocol == TCP {
		kind = unix.SOCK_STREAM
	}
	var err error
	if p.holder, err = unix.Socket(domain, kind|unix.SOCK_CLOEXEC, 0); err != nil {
		return os.NewSyscallError("socket", err)
	}
	if err := unix.Bind(p.holder, source.Sockaddr(netip.AddrPortFrom(p.local, 0))); err != nil {
		return os.NewSyscallError("bind", err)
	}
	name, err := unix.Getsockname(p.holder)
	if err != nil {
		return os.NewSyscallError("getsockname", err)
	}
	switch name := name.(type) {
	case *unix.SockaddrInet4:
		p.port = uint16(name.Port)
	case *unix.SockaddrInet6:
		p.port = uint16(name.Port)
	}
	return nil
}

// send sends the probe with a mark.
func (p *prober) send(m mark) error {
	if m.hop != p.ttl {
		level, name := unix.IPPROTO_IP, unix.IP_TTL
		if p.remote.Is6() {
			level, name = unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS
		}
		if err := unix.SetsockoptInt(p.fd, level, name, m.hop); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
		p.ttl = m.hop
	}
	p.mu.Lock()
	if p.number++; p.number == 0 {
		p.number = 1 // a UDP checksum of 0 means none
	}
	number := p.number
	packet := p.probe(number)
	p.open[number] = outgoing{m, time.Now()}
	p.mu.Unlock()
	for try := 0; ; try++ {
		err := unix.Send(p.fd, packet, 0)
		switch {
		case err == nil, try == sendTries && soft(err):
			return nil // a packet that the queue has no room for is a lost one
		case err == unix.EINTR:
		case try == sendTries:
			return os.NewSyscallError("send", err)
		}
		// The error may be an earlier probe's, of which the error queue tells too (raw(7), "Error Handling").
	}
}

const sendTries = 20

func soft(err error) bool {
	return err == unix.ENOBUFS || err == unix.EAGAIN || err == unix.ENOMEM
}

// forget drops probes of which no answer is expected any more, and says which.
func (p *prober) forget(sentBefore time.Time) (list []mark) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for number, o := range p.open {
		if o.sent.Before(sentBefore) {
			list = append(list, o.mark)
			delete(p.open, number)
		}
	}
	return list
}

func (p *prober) close() {
	close(p.ended)
	unix.Write(p.wake, binary.NativeEndian.AppendUint64(nil, 1))
	p.reading.Wait()
	p.closeSockets()
}

func (p *prober) closeSockets() {
	for _, fd := range []int{p.fd, p.wake, p.holder} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// read hears answers until close. It waits with poll(2) and not with the runtime, which takes a socket that has nothing but an error
// for one that cannot be polled.
func (p *prober) read() {
	data, control := make([]byte, 2048), make([]byte, 512)
	for {
		fds := []unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}, {Fd: int32(p.wake), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err != nil && !errors.Is(err, syscall.EINTR) {
			return
		}
		if fds[1].Revents != 0 {
			return
		}
		for _, flags := range []int{unix.MSG_ERRQUEUE, 0} {
			for {
				n, c, _, _, err := unix.Recvmsg(p.fd, data, control, flags|unix.MSG_DONTWAIT)
				if err == unix.EAGAIN || err == unix.EINTR || err != nil && flags == unix.MSG_ERRQUEUE {
					break
				}
				if err != nil {
					continue // a pending error, of which the error queue tells too; reading has cleared it
				}
				h, ok := p.understand(data[:n], control[:c], flags != 0)
				if !ok {
					continue
				}
				select {
				case p.answers <- h:
				case <-p.ended:
					return
				}
			}
		}
	}
}

// understand reads an answer, or an error from the queue, and finds its probe.
func (p *prober) understand(data, control []byte, failure bool) (h heard, ok bool) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return h, false
	}
	arrived := time.Now()
	h.From = p.remote
	found, ttl := !failure, 0
	for _, m := range messages {
		switch {
		case m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_TIMESTAMPNS && len(m.Data) >= 16:
			t := (*unix.Timespec)(unsafe.Pointer(&m.Data[0]))
			arrived = time.Unix(t.Unix())
		case (m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_TTL || m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_HOPLIMIT) && len(m.Data) >= 4:
			ttl = int(binary.NativeEndian.Uint32(m.Data))
		case m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_RECVERR || m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_RECVERR:
			h.Answer, found = extended(m.Data, p.remote)
		}
	}
	if !found {
		return h, false
	}
	h.TTL = ttl
	var number uint16
	var any bool
	if failure {
		number, ok = p.quoted(data)
	} else {
		if !p.remote.Is6() {
			data = behindHeader(data)
		}
		number, any, ok = p.replied(data)
	}
	if !ok {
		return h, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if any {
		h.mark = mark{0, anyProbe}
		if o, known := p.oldest(); known {
			h.Time = max(0, arrived.Sub(o.sent.Round(0)))
		}
		return h, true
	}
	o, known := p.open[number]
	if !known {
		return h, false
	}
	delete(p.open, number)
	h.mark = o.mark
	h.Time = max(0, arrived.Sub(o.sent.Round(0))) // both by the clock of the wall: the kernel's stamp has no other
	return h, true
}

// oldest is the open probe of the lowest hop. Called with mu held.
func (p *prober) oldest() (found outgoing, ok bool) {
	for _, o := range p.open {
		if !ok || o.sent.Before(found.sent) {
			found, ok = o, true
		}
	}
	return found, ok
}

// behindHeader is what stands behind the header of an IPv4 packet, which raw sockets give too.
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
func extended(b []byte, target netip.Addr) (a Answer, ok bool) {
	const size = int(unsafe.Sizeof(unix.SockExtendedErr{}))
	if len(b) < size {
		return a, false
	}
	e := (*unix.SockExtendedErr)(unsafe.Pointer(&b[0]))
	switch e.Origin {
	case unix.SO_EE_ORIGIN_ICMP, unix.SO_EE_ORIGIN_ICMP6:
	default:
		return a, false // the kernel's own, which send has returned
	}
	switch rest := b[size:]; {
	case len(rest) >= unix.SizeofSockaddrInet4 && binary.NativeEndian.Uint16(rest) == unix.AF_INET:
		a.From = netip.AddrFrom4([4]byte(rest[4:8]))
	case len(rest) >= unix.SizeofSockaddrInet6 && binary.NativeEndian.Uint16(rest) == unix.AF_INET6:
		a.From = netip.AddrFrom16([16]byte(rest[8:24]))
		if scope := binary.NativeEndian.Uint32(rest[24:]); scope != 0 && a.From.IsLinkLocalUnicast() {
			a.From = a.From.WithZone(zone(scope))
		}
	default:
		return a, false
	}
	a.Error = &icmp.Error{IPv6: target.Is6(), Type: int(e.Type), Code: int(e.Code)}
	if a.Error.TooBig() {
		a.Error.MTU = int(e.Info)
	}
	return a, true
}

func addressOf(sa unix.Sockaddr) netip.Addr {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrFrom4(sa.Addr)
	case *unix.SockaddrInet6:
		a := netip.AddrFrom16(sa.Addr)
		if sa.ZoneId != 0 && a.IsLinkLocalUnicast() {
			a = a.WithZone(zone(sa.ZoneId))
		}
		return a
	}
	panic(fmt.Sprintf("an address of another family: %T", sa)) // the socket is of these two
}

// zone is the name of the interface with an index.
func zone(index uint32) string {
	if i, err := net.InterfaceByIndex(int(index)); err == nil {
		return i.Name
	}
	return strconv.Itoa(int(index))
}
