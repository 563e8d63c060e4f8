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
		{diag.Socket{Kind: diag.KindUDP, IPv6: true, State: diag.Closed, Device: 3, Local: netip.MustParseAddrPort("[fe80::1]:546"), Remote: netip.MustParseAddrPort("[::]:0")}, nil,
			"udp6       0      0 fe80::1%eth0.546       *.*\n"},
		{diag.Socket{State: diag.Listen, Device: 3, Local: netip.MustParseAddrPort("0.0.0.0:67"), Remote: netip.MustParseAddrPort("0.0.0.0:0")}, nil,
			"tcp4       0      0 *%eth0.67              *.*                    LISTEN\n"},
		{diag.Socket{State: diag.Established, IPv6: true, Local: netip.MustParseAddrPort("[::ffff:127.0.0.1]:25"), Remote: netip.MustParseAddrPort("[::ffff:127.0.0.1]:4711")}, nil,
			"tcp4       0      0 127.0.0.1.25           127.0.0.1.4711         ESTABLISHED\n"},
		{diag.Socket{State: diag.Listen, IPv6: true, Local: netip.MustParseAddrPort("[::ffff:127.0.0.1]:25"), Remote: netip.MustParseAddrPort("[::]:0")}, nil,
			"tcp4       0      0 127.0.0.1.25           *.*                    LISTEN\n"},
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

// TestUnknownProcesses says what a dash means, in the number that it is.
func TestUnknownProcesses(t *testing.T) {
	for _, c := range []struct {
		dashes dashes
		want   string
	}{
		{dashes{}, ""},
		{dashes{unseen: 1}, "- 1 socket is of the kernel, or of a process that the appliance may not see.\n"},
		{dashes{unseen: 2, orphans: 1}, "- 2 sockets are of the kernel, or of a process that the appliance may not see.\n- 1 socket has no process any more: the kernel keeps a closed connection for a while.\n"},
		{dashes{waiting: map[waitingFor]int{{"7/smtpd", false}: 4, {"7/smtpd", true}: 1, {"", false}: 1}},
			"- 1 connection waits to be accepted, by which process is not known.\n- 4 connections wait to be accepted by 7/smtpd.\n" +
				"- 1 connection is half open: its handshake with the listener 7/smtpd is not over.\n"},
	} {
		if got := c.dashes.String(); got != c.want {
			t.Errorf("%+v: %q", c.dashes, got)
		}
	}
}

// A connection that nobody has accepted yet is one of the process that listens, for a filter too; one that was closed is nobody's.
func TestWaitingConnections(t *testing.T) {
	listening := diag.Socket{State: diag.Listen, Inode: 7, Local: netip.MustParseAddrPort("0.0.0.0:25"), Remote: netip.MustParseAddrPort("0.0.0.0:0")}
	v := &socketsView{users: users.Names{}, listeners: diag.Listeners{25: {listening}}}
	for state, want := range map[diag.State]string{diag.Established: waitsAccept, diag.CloseWait: waitsAccept, diag.SynRcvd: waitsHandshake,
		diag.FinWait1: "", diag.FinWait2: "", diag.Closing: "", diag.LastAck: "", diag.TimeWait: ""} {
		s := diag.Socket{State: state, Local: netip.MustParseAddrPort("192.0.2.1:25"), Remote: netip.MustParseAddrPort("192.0.2.9:4711")}
		v.Processes = true
		v.row.fill(v, &s, nil)
		if v.row.Waiting != want {
			t.Errorf("%s without a process waits for %q, not for %q", state, v.row.Waiting, want)
		}
	}
}
