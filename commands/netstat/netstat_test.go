package netstat

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"diagsh/diag/interfaces"
	diag "diagsh/diag/sockets"
	"diagsh/diag/users"
)

func TestRates(t *testing.T) {
	start := time.Unix(1000, 0)
	before := reading{start, map[int]interfaces.Counters{1: {RxPackets: 100, TxBytes: 50, RxDropped: 7}, 2: {RxPackets: 1}}}
	now := reading{start.Add(2 * time.Second), map[int]interfaces.Counters{
		1: {RxPackets: 300, TxBytes: 40 /* set back */, RxDropped: 9, Collisions: 4}, 3: {RxPackets: 1 << 40}}} // 2 went, 3 came
	r := between(before, now)
	if r.Seconds != 2 || r.Receive.Packets != 100 || r.Receive.Dropped != 1 || r.Transmit.Bytes != 0 || r.Transmit.Collisions != 2 {
		t.Errorf("%+v", r)
	}
}

// TestHostileNames puts what strangers may write into a name in front of the text form.
func TestHostileNames(t *testing.T) {
	v := &socketsView{users: users.Names{}}
	s := &diag.Socket{State: diag.Established, Local: netip.MustParseAddrPort("192.0.2.1:25"), Remote: netip.MustParseAddrPort("[2001:db8::1]:4711")}
	v.row.fill(v, s, map[netip.Addr]string{s.Remote.Addr(): "a\x1b[2J\nb\u202e"})
	v.row.full, v.row.processes, v.row.PID, v.row.Process = true, true, 7, "x\ny\x1b]0;"
	line := string(v.row.line())
	if strings.Count(line, "\n") != 1 || strings.ContainsAny(line, "\x1b\u202e") {
		t.Errorf("%q", line)
	}
	if !strings.Contains(line, `a\x1b[2J\x0ab\u202e.4711 ESTABLISHED 7/x\x0ay\x1b]0;`) {
		t.Errorf("%q", line)
	}
}

func TestLine(t *testing.T) {
	v := &socketsView{users: users.Names{}, devices: map[uint32]string{3: "eth0"}}
	for _, c := range []struct {
		s     diag.Socket
		names map[netip.Addr]string
		want  string
	}{
		{diag.Socket{State: diag.Established, Local: netip.MustParseAddrPort("10.0.202.7:10275"), Remote: netip.MustParseAddrPort("10.0.201.4:6025")}, nil,
			"tcp4       0      0 10.0.202.7.10275       10.0.201.4.6025        ESTABLISHED\n"},
		{diag.Socket{State: diag.Listen, IPv6: true, SendQ: 128, Local: netip.MustParseAddrPort("[::]:25"), Remote: netip.MustParseAddrPort("[::]:0")}, nil,
			"tcp46      0    128 *.25                   *.*                    LISTEN\n"},
		{diag.Socket{State: diag.TimeWait, Local: netip.MustParseAddrPort("10.0.202.7:10273"), Remote: netip.MustParseAddrPort("192.0.2.9:80")},
			map[netip.Addr]string{netip.MustParseAddr("192.0.2.9"): "a96-17-177-18.deploy.static.example.com"},
			"tcp4       0      0 10.0.202.7.10273       a96-17-177-18.de.80    TIME_WAIT\n"},
		{diag.Socket{UDP: true, IPv6: true, State: diag.Closed, Device: 3, Local: netip.MustParseAddrPort("[fe80::1]:546"), Remote: netip.MustParseAddrPort("[::]:0")}, nil,
			"udp6       0      0 fe80::1%eth0.546       *.*\n"},
		{diag.Socket{State: diag.Listen, Device: 3, Local: netip.MustParseAddrPort("0.0.0.0:67"), Remote: netip.MustParseAddrPort("0.0.0.0:0")}, nil,
			"tcp4       0      0 *%eth0.67              *.*                    LISTEN\n"},
		{diag.Socket{State: diag.Established, RecvQ: 12345678, IPv6: true, Local: netip.MustParseAddrPort("[2001:db8:1:2:3:4:5:6]:65535"), Remote: netip.MustParseAddrPort("[::ffff:192.0.2.1]:25")}, nil,
			"tcp6  12345678      0 2001:db8:1:2:3:4:5:6.65535 ::ffff:192.0.2.1.25    ESTABLISHED\n"},
	} {
		v.row.fill(v, &c.s, c.names)
		if got := string(v.row.line()); got != c.want {
			t.Errorf("\n%q, not\n%q", got, c.want)
		}
	}
}

func TestLineAllocatesNothing(t *testing.T) {
	v := &socketsView{users: users.Names{}}
	s := &diag.Socket{State: diag.Established, Local: netip.MustParseAddrPort("10.0.202.7:10275"), Remote: netip.MustParseAddrPort("[2001:db8::1]:6025")}
	if n := testing.AllocsPerRun(100, func() { v.row.fill(v, s, nil); v.row.line() }); n != 0 {
		t.Errorf("%v allocations for a row", n)
	}
}

func TestListenerOf(t *testing.T) {
	at := netip.MustParseAddrPort
	rows := []queueRow{
		{LocalAddress: netip.IPv6Unspecified(), LocalPort: 25, dual: true},
		{LocalAddress: netip.IPv4Unspecified(), LocalPort: 25},
		{LocalAddress: netip.MustParseAddr("192.0.2.1"), LocalPort: 25},
		{LocalAddress: netip.IPv4Unspecified(), LocalPort: 25, device: 4},
		{LocalAddress: netip.IPv6Unspecified(), LocalPort: 26},
		{LocalAddress: netip.IPv6Unspecified(), LocalPort: 27, dual: true},
	}
	for _, c := range []struct {
		to   halfOpenTo
		want int
	}{
		{halfOpenTo{at("192.0.2.1:25"), 0}, 2}, {halfOpenTo{at("192.0.2.2:25"), 0}, 1}, {halfOpenTo{at("192.0.2.2:25"), 4}, 3},
		{halfOpenTo{at("[2001:db8::1]:25"), 0}, 0}, {halfOpenTo{at("192.0.2.2:26"), 0}, -1}, {halfOpenTo{at("192.0.2.2:27"), 0}, 5},
		{halfOpenTo{at("192.0.2.2:28"), 0}, -1},
	} {
		got := listenerOf(rows, c.to)
		if c.want < 0 && got != nil || c.want >= 0 && got != &rows[c.want] {
			t.Errorf("%v goes to %+v, not to %d", c.to, got, c.want)
		}
	}
}

// TestUnknownProcesses says what a dash means, in the number that it is.
func TestUnknownProcesses(t *testing.T) {
	for _, c := range []struct {
		unseen, orphans int
		want            string
	}{
		{0, 0, ""},
		{1, 0, "- 1 socket is of the kernel, or of a process that the appliance may not see.\n"},
		{2, 1, "- 2 sockets are of the kernel, or of a process that the appliance may not see.\n- 1 socket has no process any more: the kernel keeps a closed connection for a while.\n"},
	} {
		if got := (&socketsView{unseen: c.unseen, orphans: c.orphans}).unknown(); got != c.want {
			t.Errorf("%d, %d: %q", c.unseen, c.orphans, got)
		}
	}
}
