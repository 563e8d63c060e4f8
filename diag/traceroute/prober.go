package traceroute

import (
	"math/rand/v2"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"diagsh/diag/icmp"
	"diagsh/diag/source"
)

// A mark identifies a probe.
type mark struct{ hop, probe int }

// anyProbe is the probe of an answer that does not say which.
const anyProbe = -1

// A heard is an answer with its probe.
type heard struct {
	mark
	Answer
}

// A prober sends probes from one raw socket and receives their answers.
type prober struct {
	flow
	fd       int
	ttl      int // the socket's current one
	answers  chan heard
	ended    chan struct{}
	listener *icmp.Listener
	holder   int // a socket that reserves our port, or -1

	mu     sync.Mutex
	number uint16
	open   map[uint16]outgoing
	last   time.Time // when the last probe was sent
}

// An outgoing is a probe that waits for its answer.
type outgoing struct {
	mark
	sent time.Time
}

func newProber(o Options) (*prober, error) {
	p := &prober{fd: -1, holder: -1, ended: make(chan struct{}), answers: make(chan heard, 64),
		open: map[uint16]outgoing{}, number: uint16(rand.N(1 << 16))}
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
		p.listener, err = icmp.Listen(p.fd, p.remote.Is6(), p.hear)
	}
	if err != nil {
		p.closeSockets()
		return nil, err
	}
	return p, nil
}

func (p *prober) socket(o Options) error {
	domain, protocol := unix.AF_INET, numberICMP
	level, name, discovery := unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT
	if o.DontFragment {
		// This sets the DF bit, and ignores the path MTU that the kernel remembers.
		discovery = unix.IP_PMTUDISC_PROBE
	}
	if p.remote.Is6() {
		domain, protocol = unix.AF_INET6, numberICMPv6
		level, name = unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER
	}
	switch p.protocol {
	case UDP:
		protocol = numberUDP
	case TCP:
		protocol = numberTCP
	}
	var err error
	if p.fd, err = unix.Socket(domain, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol); err != nil {
		return os.NewSyscallError("socket", err)
	}
	if err := unix.SetsockoptInt(p.fd, level, name, discovery); err != nil {
		return os.NewSyscallError("setsockopt", err)
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
	local, err := unix.Getsockname(p.fd)
	if err != nil {
		return os.NewSyscallError("getsockname", err)
	}
	p.local = icmp.AddressOf(local)
	return nil
}

// filter lets only echo replies pass where the socket would receive all ICMP.
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

// holdPort reserves a free port, so that answers of ours and of another program do not mix. An ICMP
// identifier cannot be reserved.
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

// send sends the probe of a mark.
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
	p.last = time.Now()
	p.open[number] = outgoing{m, p.last}
	p.mu.Unlock()
	for try := 0; ; try++ {
		err := unix.Send(p.fd, packet, 0)
		switch {
		case err == nil, try == sendTries && soft(err):
			return nil // a packet without room in the queue is a lost one
		case err == unix.EINTR:
		case try == sendTries:
			return os.NewSyscallError("send", err)
		}
		// The error may be an earlier probe's; the error queue has it too (raw(7), "Error
		// Handling").
	}
}

const sendTries = 20

func soft(err error) bool {
	return err == unix.ENOBUFS || err == unix.EAGAIN || err == unix.ENOMEM
}

// Limits of outstanding probes. A router that must first learn the link-layer address of the next
// hop queues packets meanwhile, and drops the oldest when the queue is full: those of the lowest
// hops, which matter. traceroute(8) of Debian has at most 16 outstanding probes. Linux queues 101
// packets (neigh/default/unres_qlen, ip-sysctl.rst), and gives up after three seconds
// (mcast_solicit, retrans_time_ms).
const (
	freely        = 16
	slowly        = 96
	slowPace      = 15 * time.Millisecond
	neighbourTime = 3 * time.Second
)

// room reports whether another hop may be probed: few probes sent after since are outstanding, or
// they have waited for a while. So silent hops do not hold up the others.
func (p *prober) room(since time.Time) bool {
	now := time.Now()
	if earliest := now.Add(-neighbourTime); since.Before(earliest) {
		since = earliest
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	waiting := 0
	for _, o := range p.open {
		if !o.sent.Before(since) {
			waiting++
		}
	}
	return waiting < freely || waiting < slowly && now.Sub(p.last) >= slowPace
}

// drop forgets the outstanding probes of all hops above behind.
func (p *prober) drop(behind int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for number, o := range p.open {
		if o.hop > behind {
			delete(p.open, number)
		}
	}
}

// forget drops the probes sent before sentBefore, whose answers are no longer expected, and returns
// them.
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
	p.listener.Close()
	p.closeSockets()
}

func (p *prober) closeSockets() {
	for _, fd := range []int{p.fd, p.holder} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// hear passes on the answers until close.
func (p *prober) hear(m icmp.Message) {
	if h, ok := p.understand(m); ok {
		select {
		case p.answers <- h:
		case <-p.ended:
		}
	}
}

// understand returns the probe that a message is about.
func (p *prober) understand(m icmp.Message) (h heard, ok bool) {
	h.Answer = Answer{From: m.From, TTL: m.TTL, Error: m.Error}
	var number uint16
	var any bool
	if m.Error != nil {
		number, ok = p.quoted(m.Data)
	} else {
		h.From = p.remote
		number, any, ok = p.replied(m.Data)
	}
	if !ok {
		return h, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if any {
		h.mark = mark{0, anyProbe}
		if o, known := p.oldest(); known {
			h.Time = max(0, m.Arrived.Sub(o.sent.Round(0)))
		}
		return h, true
	}
	o, known := p.open[number]
	if !known {
		return h, false
	}
	delete(p.open, number)
	h.mark = o.mark
	// both by the wall clock: the kernel's timestamp has no other
	h.Time = max(0, m.Arrived.Sub(o.sent.Round(0)))
	return h, true
}

// oldest returns the outstanding probe of the lowest hop. The caller holds mu.
func (p *prober) oldest() (found outgoing, ok bool) {
	for _, o := range p.open {
		if !ok || o.sent.Before(found.sent) {
			found, ok = o, true
		}
	}
	return found, ok
}
