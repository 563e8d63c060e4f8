package ping

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"diagsh/diag/icmp"
	"diagsh/diag/source"
	"diagsh/internal/test/await"
	"diagsh/internal/test/netnstest"
)

// A bench is two hosts on one link.
type bench struct {
	near, far *netnstest.Namespace
}

// Addresses of the far host, as netnstest.Chain sets them.
const far4, far6 = "10.77.0.2", "fd77::2"

func newBench(t *testing.T) bench {
	t.Helper()
	c := netnstest.NewChain(t, 2, 0)
	b := bench{c.Nodes[0], c.Nodes[1]}
	// The first answer shows that both hosts and their link are ready, so that nothing starts while
	// a test counts.
	for _, target := range []string{far4, far6} {
		if _, stats, err := b.run(t, t.Context(), options(target, 1)); err != nil || stats.Received != 1 {
			t.Fatalf("%s: %v, %+v", target, err, stats)
		}
	}
	return b
}

func (b bench) tool(t *testing.T, name string, args ...string) {
	t.Helper()
	path := netnstest.Tool(t, name)
	b.near.Do(t, func() {
		if out, err := exec.Command(path, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
		}
	})
}

func (b bench) run(t *testing.T, ctx context.Context, o Options) (answers []Answer, stats Statistics, err error) {
	t.Helper()
	b.near.Do(t, func() {
		stats, err = Run(ctx, o, func(a Answer) error {
			answers = append(answers, a)
			return nil
		})
	})
	return answers, stats, err
}

func options(target string, count int) Options {
	return Options{Target: netip.MustParseAddr(target), Size: 56, TTL: 64, Count: count,
		Interval: 10 * time.Millisecond, Wait: 2 * time.Second}
}

// left waits until there are no more goroutines and open files than before, and fails on a timeout.
func left(t *testing.T, goroutines, files int) {
	t.Helper()
	var g, f int
	if !await.Within(await.Patience, func() bool {
		g, f = runtime.NumGoroutine(), openFiles(t)
		return g <= goroutines && f <= files
	}) {
		all := make([]byte, 1<<20)
		t.Fatalf("%d goroutines and %d files; before %d and %d\n%s", g, f, goroutines, files,
			all[:runtime.Stack(all, true)])
	}
}

func openFiles(t *testing.T) (n int) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	for fd := range min(int(limit.Cur), 4096) {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			n++
		}
	}
	return n
}

// TestRefused: a destination that the kernel refuses ends the run at once, with the reason. No
// goroutine, socket or work is left.
func TestRefused(t *testing.T) {
	b := newBench(t)
	b.tool(t, "ip", "route", "add", "prohibit", "198.18.3.0/24")
	b.tool(t, "ip", "route", "add", "unreachable", "198.18.4.0/24")
	b.tool(t, "ip", "-6", "route", "add", "prohibit", "fd99::/64")
	b.tool(t, "ip", "rule", "add", "to", "198.18.6.0/24", "prohibit")
	b.tool(t, "ip", "-6", "rule", "add", "to", "fd98::/64", "prohibit")
	b.tool(t, "nft",
		"table inet t { chain c { type filter hook output priority 0; ip daddr 198.18.7.0/24 reject; ip daddr 198.18.8.0/24 drop; ip6 daddr fd97::/64 reject; }; }")
	b.tool(t, "ip", "route", "add", "default", "via", far4)
	b.tool(t, "ip", "-6", "route", "add", "default", "via", far6)
	for target, want := range map[string]error{
		"198.18.3.1": syscall.EACCES, "198.18.4.1": syscall.EHOSTUNREACH, "fd99::1": syscall.EACCES,
		"198.18.6.1": syscall.EACCES, "fd98::1": syscall.EACCES,
		"198.18.7.1": syscall.EPERM, "198.18.8.1": syscall.EPERM, "fd97::1": syscall.EPERM,
	} {
		for name, o := range map[string]Options{"one": options(target, 1), "without end": options(target, 0)} {
			goroutines, files := runtime.NumGoroutine(), openFiles(t)
			ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
			_, stats, err := b.run(t, ctx, o)
			if !errors.Is(err, want) || stats.Sent != 0 || ctx.Err() != nil {
				t.Errorf("%s, %s: %v, %+v; want %v", target, name, err, stats, want)
			}
			stop()
			left(t, goroutines, files)
		}
	}
}

// TestForbiddenMeanwhile: a destination that becomes forbidden is reported for each request, and
// requests are sent again once it is allowed. The end of the context releases everything.
func TestForbiddenMeanwhile(t *testing.T) {
	b := newBench(t)
	goroutines, files := runtime.NumGoroutine(), openFiles(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	forbidden, allowed := false, false
	ip := netnstest.Tool(t, "ip")
	set := func(verb string) { // this goroutine is in the namespace
		if out, err := exec.Command(ip, "rule", verb, "to", far4, "prohibit", "pref",
			"1").CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	}
	var stats Statistics
	var err error
	b.near.Do(t, func() {
		stats, err = Run(ctx, options(far4, 0), func(a Answer) error {
			switch {
			case a.Error == nil && !forbidden:
				set("add")
				forbidden = true
			case a.Error != nil && errors.Is(a.Error.Send, syscall.EACCES) && !allowed:
				set("del")
				allowed = true
			case a.Error == nil && allowed:
				stop()
			}
			return nil
		})
	})
	if err != nil || !allowed || stats.Errors == 0 || stats.Received < 2 {
		t.Errorf("%v, allowed %v, %+v", err, allowed, stats)
	}
	left(t, goroutines, files)
}

// TestBroadcast: a broadcast is sent, and answers from any host are expected.
func TestBroadcast(t *testing.T) {
	b := newBench(t)
	// A TUN interface knows no broadcasts, a pair of veth does.
	b.tool(t, "ip", "link", "add", "wire", "type", "veth", "peer", "name", "other")
	b.tool(t, "ip", "link", "set", "wire", "up")
	b.tool(t, "ip", "link", "set", "other", "up")
	b.tool(t, "ip", "address", "add", "10.78.0.1/24", "dev", "wire")
	b.near.Set(t, "net/ipv4/icmp_echo_ignore_broadcasts", "0")
	answers, stats, err := b.run(t, t.Context(), options("10.78.0.255", 1))
	if err != nil || stats.Sent != 1 || stats.Received != 1 || answers[0].Elsewhere ||
		answers[0].From.String() != "10.78.0.1" {
		t.Errorf("%v, %+v, %+v", err, stats, answers)
	}
}

// TestCountOnTheWire: exactly the requested number of requests is on the wire, however long answers
// are awaited.
func TestCountOnTheWire(t *testing.T) {
	for _, target := range []string{far4, far6} {
		b := newBench(t)
		b.far.Set(t, "net/ipv4/icmp_echo_ignore_all", "1")
		b.far.Set(t, "net/ipv6/icmp/echo_ignore_all", "1")
		seen := b.requests(t, target)
		for _, count := range []int{1, 3} {
			o := options(target, count)
			o.Wait = 300 * time.Millisecond
			_, stats, err := b.run(t, t.Context(), o)
			if err != nil || stats.Sent != count || stats.Received != 0 {
				t.Errorf("%s, count %d: %v, %+v", target, count, err, stats)
			}
			if n := seen(); n != count {
				t.Errorf("%s, count %d: %d requests are on the wire", target, count, n)
			}
		}
	}
}

// raw opens a raw ICMP socket on the far host.
func (b bench) raw(t *testing.T, target string) (fd int) {
	t.Helper()
	domain, protocol := unix.AF_INET, unix.IPPROTO_ICMP
	if netip.MustParseAddr(target).Is6() {
		domain, protocol = unix.AF_INET6, unix.IPPROTO_ICMPV6
	}
	b.far.Do(t, func() {
		var err error
		if fd, err = unix.Socket(domain, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
	})
	return fd
}

// requests returns a function that counts the echo requests at the far host since its last call.
func (b bench) requests(t *testing.T, target string) func() int {
	fd := b.raw(t, target)
	v6 := netip.MustParseAddr(target).Is6()
	return func() (n int) {
		buffer := make([]byte, 2048)
		for {
			length, _, err := unix.Recvfrom(fd, buffer, unix.MSG_DONTWAIT)
			if err != nil {
				return n
			}
			message := buffer[:length]
			want := byte(ipv6.ICMPTypeEchoRequest)
			if !v6 {
				message, want = message[ipv4.HeaderLen:], byte(ipv4.ICMPTypeEcho)
			}
			if message[0] == want {
				n++
			}
		}
	}
}

// TestStrangeAnswers: a far host answers wrongly in each way, and each answer is marked with its
// fault.
func TestStrangeAnswers(t *testing.T) {
	for _, target := range []string{far4, far6} {
		v6 := netip.MustParseAddr(target).Is6()
		for _, c := range []struct {
			name    string
			answer  func(echo []byte) [][]byte // for the whole ICMP message of a request
			badSum  bool
			from    string // source address instead of the target's
			looks   func(a Answer) bool
			stats   Statistics
			atLeast int
		}{
			{name: "as it should", answer: func(e []byte) [][]byte { return [][]byte{e} },
				stats: Statistics{Sent: 1, Received: 1},
				looks: func(a Answer) bool {
					return a.Wrong == nil && !a.Truncated && !a.Duplicate && a.Bytes == 64 && a.TTL > 0 && a.Time > 0
				}},
			{name: "a flipped byte", answer: func(e []byte) [][]byte { e[8+30] ^= 0xff; return [][]byte{e} },
				stats: Statistics{Sent: 1, Received: 1},
				looks: func(a Answer) bool { return a.Wrong != nil && *a.Wrong == WrongByte{30, 0x1e, 0xe1} }},
			{name: "a flipped first byte", answer: func(e []byte) [][]byte { e[8] = 7; return [][]byte{e} },
				stats: Statistics{Sent: 1, Received: 1},
				looks: func(a Answer) bool { return a.Wrong != nil && *a.Wrong == WrongByte{0, 0, 7} }},
			{name: "cut", answer: func(e []byte) [][]byte { return [][]byte{e[:48]} },
				stats: Statistics{Sent: 1, Received: 1},
				looks: func(a Answer) bool { return a.Truncated && a.Bytes == 48 && a.Wrong == nil }},
			{name: "no data", answer: func(e []byte) [][]byte { return [][]byte{e[:8]} },
				stats: Statistics{Sent: 1, Received: 1},
				looks: func(a Answer) bool { return a.Truncated && a.Bytes == 8 }},
			{name: "twice", answer: func(e []byte) [][]byte { return [][]byte{e, e} },
				stats: Statistics{Sent: 1, Received: 1},
				looks: func(a Answer) bool { return !a.Duplicate }},
			{name: "never sent, then as it should", answer: func(e []byte) [][]byte {
				other := slices.Clone(e)
				binary.BigEndian.PutUint16(other[6:], 500)
				return [][]byte{other, e}
			}, stats: Statistics{Sent: 1, Received: 1, Strays: 1},
				looks: func(a Answer) bool { return a.Unsent && !a.Duplicate && a.Sequence == 500 && a.Time == 0 }},
			{name: "another identifier, then as it should", answer: func(e []byte) [][]byte {
				other := slices.Clone(e)
				other[4] ^= 0xff
				return [][]byte{other, e}
			}, stats: Statistics{Sent: 1, Received: 1},
				looks: func(a Answer) bool { return a.Sequence == 0 && !a.Unsent }},
			{name: "from another address", from: map[bool]string{false: "10.77.0.77", true: "fd77::77"}[v6],
				answer: func(e []byte) [][]byte { return [][]byte{e} },
				stats:  Statistics{Sent: 1, Received: 1},
				looks:  func(a Answer) bool { return a.Elsewhere && strings.HasSuffix(a.From.String(), "77") }},
			{name: "a wrong checksum, then as it should", badSum: true,
				answer: func(e []byte) [][]byte { return [][]byte{e, e} },
				stats:  Statistics{Sent: 1, Received: 1, Corrupted: 1},
				looks:  func(a Answer) bool { return a.BadChecksum }},
		} {
			if v6 && c.badSum {
				continue // the kernel drops those itself
			}
			b := newBench(t)
			b.far.Set(t, "net/ipv4/icmp_echo_ignore_all", "1")
			b.far.Set(t, "net/ipv6/icmp/echo_ignore_all", "1")
			b.far.Address(t, "left", "10.77.0.77/24", "fd77::77/64")
			b.answer(t, target, c.from, c.badSum, c.answer)
			answers, stats, err := b.run(t, t.Context(), options(target, 1))
			stats.Min, stats.Average, stats.Max, stats.Deviation = 0, 0, 0, 0
			if err != nil || stats != c.stats || len(answers) == 0 || !c.looks(answers[0]) {
				t.Errorf("%s, %s: %v, %+v, %+v", target, c.name, err, stats, answers)
			}
		}
	}
}

// answer makes the far host answer each echo request with what answers returns. badSum spoils the
// checksum of the first.
func (b bench) answer(t *testing.T, target, from string, badSum bool, answers func(echo []byte) [][]byte) {
	t.Helper()
	fd := b.raw(t, target)
	v6 := netip.MustParseAddr(target).Is6()
	sender := fd
	if from != "" {
		sender = b.raw(t, target)
		if err := unix.Bind(sender, source.Sockaddr(netip.AddrPortFrom(netip.MustParseAddr(from), 0))); err != nil {
			t.Fatal(err)
		}
	}
	want, reply := byte(ipv4.ICMPTypeEcho), byte(ipv4.ICMPTypeEchoReply)
	if v6 {
		want, reply = byte(ipv6.ICMPTypeEchoRequest), byte(ipv6.ICMPTypeEchoReply)
	}
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10})
	go func() {
		buffer := make([]byte, 2048)
		for {
			n, to, err := unix.Recvfrom(fd, buffer, 0)
			if err != nil {
				return
			}
			message := buffer[:n]
			if !v6 {
				message = message[ipv4.HeaderLen:]
			}
			if message[0] != want {
				continue
			}
			for i, m := range answers(slices.Clone(message)) {
				m = slices.Clone(m)
				m[0], m[2], m[3] = reply, 0, 0
				if !v6 {
					sum := ^icmp.Sum(0, m)
					if badSum && i == 0 {
						sum ^= 0x0101
					}
					binary.BigEndian.PutUint16(m[2:], sum)
				}
				unix.Sendto(sender, m, 0, to)
			}
			return
		}
	}()
}

// TestTooBig: 10,000 bytes are refused with the MTU that the kernel knows.
func TestTooBig(t *testing.T) {
	b := newBench(t)
	b.near.MTU(t, "right", 1400)
	for _, target := range []string{far4, far6} {
		for _, f := range []Fragments{Forbidden, Probing} {
			o := options(target, 1)
			o.Size, o.Fragments = 2000, f
			_, _, err := b.run(t, t.Context(), o)
			var tooBig *TooBigError
			if !errors.As(err, &tooBig) || tooBig.MTU != 1400 {
				t.Errorf("%s, %s: %v", target, f, err)
			}
		}
		for _, f := range []Fragments{"", AsKnown, Allowed} {
			o := options(target, 1)
			o.Size, o.Fragments = 2000, f
			if _, stats, err := b.run(t, t.Context(), o); err != nil || stats.Received != 1 {
				t.Errorf("%s, %q: %v, %+v", target, f, err, stats)
			}
		}
	}
}

// TestNoRoom: a kernel without room for a packet gets time. A packet that found no room for a whole
// interval counts as an error and as not sent.
func TestNoRoom(t *testing.T) {
	for _, c := range []struct {
		name            string
		refusals, count int
		sent, errors    int
		fails           bool
	}{
		{"for a moment", 2, 3, 3, 0, false},
		{"for ever", 1 << 30, 3, 0, 2, true},
	} {
		calls := 0
		o := options(far4, c.count)
		o.Interval, o.Wait = 50*time.Millisecond, time.Millisecond
		r := &run{options: o, each: func(Answer) error { return nil }, open: map[uint16]*request{},
			send: func(uint16) error {
				if calls++; calls <= c.refusals {
					return syscall.ENOBUFS
				}
				return nil
			}}
		err := r.loop(t.Context(), nil)
		if r.stats.Sent != c.sent || r.stats.Errors != c.errors || errors.Is(err, syscall.ENOBUFS) != c.fails ||
			calls > 50 {
			t.Errorf("%s: %v, %+v, %d calls", c.name, err, r.stats, calls)
		}
	}
}

// TestSequenceWraps: after 65535 sequence numbers start again, and an answer belongs to the latest
// request with its number.
func TestSequenceWraps(t *testing.T) {
	o := options(far4, 0)
	o.Interval = time.Nanosecond
	r := &run{options: o, each: func(Answer) error { return nil }, open: map[uint16]*request{},
		send: func(uint16) error { return nil }}
	for range 1<<16 + 10 {
		if _, err := r.request(time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if len(r.open) != remembered {
		t.Errorf("%d requests are remembered", len(r.open))
	}
	for sequence, stray := range map[int]bool{9: false, 10: true, 65535: false, 40000: false, 30000: true} {
		before := r.stats
		r.take(reply{Answer{Sequence: sequence}, time.Now()})
		if got := r.stats.Strays > before.Strays; got != stray {
			t.Errorf("an answer to %d is a stray: %v", sequence, got)
		}
	}
}

// FuzzUnderstand: only messages about a request of this run are understood.
func FuzzUnderstand(f *testing.F) {
	f.Add(echo(false, 7, 1, 8), false, false)
	f.Add(echo(true, 7, 1, 8), true, true)
	f.Fuzz(func(t *testing.T, data []byte, failure, v6 bool) {
		s := &socket{v6: v6, id: 7}
		target := netip.MustParseAddr(far4)
		m := icmp.Message{From: target, To: target, Data: data}
		if failure {
			m.Error = &icmp.Error{Type: 11}
		}
		if a, ok := s.understand(m, target, 56); ok &&
			(binary.BigEndian.Uint16(data[4:]) != 7 || a.Sequence != int(binary.BigEndian.Uint16(data[6:]))) {
			t.Errorf("%x is %+v", data, a)
		}
	})
}
