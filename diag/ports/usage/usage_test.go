package usage

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"diagsh/diag/ports"
)

var (
	noon = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	sshd = ports.Process{PID: 10, Name: "sshd", Exe: "/usr/sbin/sshd", User: "root"}
	curl = ports.Process{PID: 20, Name: "curl", Exe: "/usr/bin/curl", UID: 1000, User: "ann"}
	evil = ports.Process{PID: 30, Name: "evil", Exe: "/tmp/sshd", UID: 33, User: "www"}
	here = netip.MustParseAddr("192.0.2.1")
	web  = netip.MustParseAddr("198.51.100.80")
	peer = netip.MustParseAddr("203.0.113.9")
)

func at(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }

func number(n uint64) *uint64 { return &n }

// story is a log: an sshd that is there, a listener that comes and goes, a client, a liar, a refusal
// and a gap; then another log.
func story() []ports.Record {
	return []ports.Record{
		{Time: at(0), Event: ports.Began},
		{Time: at(0), Event: ports.Held, Protocol: ports.TCP, LocalAddress: here, LocalPort: 22, State: "LISTEN", Process: sshd, Socket: 1},
		{Time: at(1), Event: ports.Accepted, Protocol: ports.TCP, LocalAddress: here, LocalPort: 22, RemoteAddress: peer, RemotePort: 50000, Process: sshd, Socket: 2},
		{Time: at(2), Event: ports.Connected, Protocol: ports.TCP, LocalAddress: here, LocalPort: 40000, RemoteAddress: web, RemotePort: 443, Process: curl, Socket: 3},
		{Time: at(3), Event: ports.Closed, Protocol: ports.TCP, LocalAddress: here, LocalPort: 40000, RemoteAddress: web, RemotePort: 443, Process: curl, Socket: 3, BytesSent: number(100), BytesReceived: number(9000)},
		{Time: at(4), Event: ports.Connected, Protocol: ports.TCP, LocalAddress: here, LocalPort: 40001, RemoteAddress: web, RemotePort: 443, Process: curl, Socket: 4},
		{Time: at(5), Event: ports.Listening, Protocol: ports.TCP, LocalAddress: here, LocalPort: 8080, Process: evil, Socket: 5},
		{Time: at(6), Event: ports.Closed, Protocol: ports.TCP, LocalAddress: here, LocalPort: 8080, Process: evil, Socket: 5},
		{Time: at(7), Event: ports.Refused, Protocol: ports.TCP, LocalAddress: here, LocalPort: 40002, RemoteAddress: web, RemotePort: 81, Process: curl, Socket: 6},
		{Time: at(8), Event: ports.Refused, Protocol: ports.TCP, LocalAddress: here, LocalPort: 40003, RemoteAddress: web, RemotePort: 81, Process: curl, Socket: 7},
		{Time: at(9), Event: ports.Rejected, Protocol: ports.TCP, LocalAddress: here, LocalPort: 23, RemoteAddress: peer, RemotePort: 50001},
		{Time: at(10), Event: ports.Gap, Lost: 7},
		{Time: at(11), Event: ports.Opened, Protocol: ports.UDP, LocalAddress: here, LocalPort: 5353, Process: ports.Process{PID: 40, Name: "mdns", Exe: "/opt/mdns", User: "m", UID: 5}, Socket: 8},
		{Time: at(12), Event: ports.Ended},
		{Time: at(3600), Event: ports.Began},
		// A line a connection, of sockets that have the numbers of those before.
		{Time: at(3601), Event: ports.Closed, Protocol: ports.TCP, LocalAddress: here, LocalPort: 22, RemoteAddress: peer, RemotePort: 50002, Process: sshd, AcceptedBy: 9, Socket: 1, BytesSent: number(5), BytesReceived: number(6)},
	}
}

func counted(t *testing.T, list []ports.Record, top int, interest ...string) *Report {
	t.Helper()
	c, err := NewCounter(interest)
	if err != nil {
		t.Fatal(err)
	}
	for i := range list {
		c.Add(&list[i])
	}
	return c.Report(top)
}

func TestReport(t *testing.T) {
	r := counted(t, story(), 10, "203.0.113.0/24", "198.51.100.80", "192.0.2.200")
	if r.Records != 16 || r.Gaps != 1 || r.Lost != 7 || !r.First.Equal(noon) || !r.Last.Equal(at(3601)) {
		t.Errorf("%+v", r)
	}
	if want := (EventCount{ports.Refused, 2}); !slices.Contains(r.Events, want) || r.Events[0].Event != ports.Opened {
		t.Errorf("%+v", r.Events)
	}
	say := func(name string, got []string, want ...string) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s:\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	var got []string
	for _, p := range r.Ports.Rows {
		got = append(got, fmt.Sprint(p.Protocol, " ", p.Port, " ", p.End, ": ", p.Records, " ", p.Connections, " ", p.Failures, " ", p.BytesSent, " ", p.BytesReceived))
	}
	say("ports", got, "tcp 443 remote: 3 2 0 100 9000", "tcp 22 local: 3 2 0 5 6", "tcp 81 remote: 2 0 2 0 0", "tcp 23 local: 1 0 1 0 0",
		"tcp 8080 local: 2 0 0 0 0", "udp 5353 local: 1 0 0 0 0")
	got = nil
	for _, p := range r.Processes.Rows {
		got = append(got, fmt.Sprint(p.Name, " ", p.Exe, ": ", p.Records, " ", p.Connections, " ", p.Failures))
	}
	say("processes", got, "curl /usr/bin/curl: 5 2 2", "sshd /usr/sbin/sshd: 3 2 0", "evil /tmp/sshd: 2 0 0", "mdns /opt/mdns: 1 0 0")
	got = nil
	for _, a := range r.Addresses.Rows {
		got = append(got, fmt.Sprint(a.Address, ": ", a.Records, " ", a.First.Sub(noon), " ", a.Last.Sub(noon)))
	}
	say("addresses", got, "198.51.100.80: 5 2s 8s", "203.0.113.9: 3 1s 1h0m1s")
	got = nil
	for _, u := range r.Users.Rows {
		got = append(got, fmt.Sprint(u.User, " ", u.UID, ": ", u.Records))
	}
	say("users", got, "ann 1000: 5", "root 0: 3", "www 33: 2", "m 5: 1")
	got = nil
	for _, h := range r.Hours.Rows {
		got = append(got, fmt.Sprint(h.Hour.Hour(), ": ", h.Records, " ", h.Connections))
	}
	say("hours", got, "12: 11 3", "13: 1 1")
	got = nil
	for _, k := range r.Talkers.Rows {
		got = append(got, fmt.Sprint(k.Name, " ", k.Address, " ", k.Port, " ", k.End, ": ", k.BytesSent, " ", k.BytesReceived))
	}
	say("talkers", got, "curl 198.51.100.80 443 remote: 100 9000", "sshd 203.0.113.9 22 local: 5 6")
	got = nil
	for _, f := range r.Failures.Rows {
		got = append(got, fmt.Sprint(f.Event, " ", f.Address, " ", f.Port, " ", f.Name, ": ", f.Records))
	}
	say("failures", got, "refused 198.51.100.80 81 curl: 2", "rejected 203.0.113.9 23 : 1")
	got = nil
	for _, l := range r.Listeners.Rows {
		got = append(got, fmt.Sprint(l.Protocol, " ", l.Port, " ", l.Name, " ", l.Came != nil, " ", l.Went != nil))
	}
	say("listeners", got, "udp 5353 mdns true false", "tcp 8080 evil true true")
	got = nil
	for _, o := range r.Once.Rows {
		got = append(got, fmt.Sprint(o.Name, " ", o.PID, " ", o.Event, " ", o.Local, " ", o.Remote))
	}
	say("once", got, "mdns 40 open 192.0.2.1:5353 invalid AddrPort", "evil 30 listen 192.0.2.1:8080 invalid AddrPort")
	got = nil
	for _, s := range r.Suspects.Rows {
		got = append(got, fmt.Sprint(s.Name, " ", s.Exe, " ", s.PID, " ", s.User, ": ", s.Reason))
	}
	say("suspects", got, "evil /tmp/sshd 30 www: sshd is a program of the system, in /usr/sbin, /usr/bin, /sbin, /bin")
	got = nil
	for _, i := range r.Interest.Rows {
		got = append(got, fmt.Sprint(i.Wanted, " ", i.Address, " ", i.Name, " ", i.Port, ": ", i.Records))
	}
	say("interest", got, "198.51.100.80 198.51.100.80 curl 443: 3", "203.0.113.0/24 203.0.113.9 sshd 22: 2", "198.51.100.80 198.51.100.80 curl 81: 2", "203.0.113.0/24 203.0.113.9  23: 1")
	say("of no interest", r.NoInterest, "192.0.2.200")

	short := counted(t, story(), 1)
	if len(short.Ports.Rows) != 1 || short.Ports.More != 5 || short.Listeners.More != 1 || short.Once.More != 1 || len(short.Hours.Rows) != 2 {
		t.Errorf("one row of each: %+v", short)
	}
}

func TestSuspicious(t *testing.T) {
	for _, c := range []struct {
		name, exe string
		want      bool
	}{
		{"sshd", "/usr/sbin/sshd", false},
		{"sshd", "/usr/sbin/sshd (deleted)", false}, // it was updated
		{"sshd", "/usr/lib/openssh/sshd-session", false},
		{"sshd", "/home/ann/sshd", true},
		{"x", "/dev/shm/sshd", true},
		{"sshd", "/dev/shm/x", true},
		{"sshd", "", false}, // nobody knows
		{"systemd-resolve", "/usr/lib/systemd/systemd-resolved", false},
		{"systemd-resolve", "/var/tmp/x", true},
		{"systemd", "/usr/lib/systemd/systemd", false},
		{"systemd", "/usr/lib/../../tmp/systemd", true},
		{"kworker/0:1", "/tmp/k", true},
		{"[kworker/0:1]", "/usr/bin/perl", true},
		{"nginx", "/opt/nginx/sbin/nginx", false},
		{"curl", "/home/ann/curl", false},
		{"sh", "/bin/busybox", false},
	} {
		if got := suspicious(ports.Process{PID: 1, Name: c.name, Exe: c.exe}); (got != "") != c.want {
			t.Errorf("%s of %s: %q", c.name, c.exe, got)
		}
	}
}

// A log of many takes bounded memory; what is frequent is found all the same, and what was dropped is
// told.
func TestBounded(t *testing.T) {
	const most = 1000
	c, err := newCounter(nil, most)
	if err != nil {
		t.Fatal(err)
	}
	total := uint64(0)
	for n := range 100_000 {
		scan := ports.Record{Time: at(n / 100), Event: ports.Rejected, Protocol: ports.TCP, LocalAddress: here, LocalPort: uint16(n),
			RemoteAddress: netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), RemotePort: 1}
		c.Add(&scan)
		if total++; n%10 == 0 {
			often := ports.Record{Time: at(n / 100), Event: ports.Connected, Protocol: ports.TCP, LocalAddress: here, LocalPort: 40000,
				RemoteAddress: web, RemotePort: 443, Process: curl, Socket: uint64(n + 1)}
			c.Add(&often)
			total++
		}
	}
	if n := len(c.addresses.groups); n > most {
		t.Errorf("%d groups of %d", n, most)
	}
	r := c.Report(10)
	first := r.Addresses.Rows[0]
	if first.Address != web || first.Records != 10_000 || first.AtLeast {
		t.Errorf("%+v", first)
	}
	if !r.Addresses.Rows[1].AtLeast || r.Addresses.Dropped == 0 || int(r.Addresses.Dropped)+len(c.addresses.groups) != 100_001 {
		t.Errorf("%d dropped, %d left", r.Addresses.Dropped, len(c.addresses.groups))
	}
	if r.Records != total || r.Processes.Dropped != 0 {
		t.Errorf("%d records of %d, %d processes dropped", r.Records, total, r.Processes.Dropped)
	}
}

// When all limits are reached the memory is what the limits say.
func TestMemory(t *testing.T) {
	c, err := NewCounter([]string{"0.0.0.0/0"})
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for n := range 2*mostGroups + 1000 {
		a := netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
		c.Add(&ports.Record{Time: at(n), Event: ports.Refused, Protocol: ports.TCP, LocalAddress: here, RemoteAddress: a, RemotePort: uint16(n | 1),
			Socket: uint64(n + 1), Process: ports.Process{PID: n + 1, Name: fmt.Sprint("p", n), Exe: fmt.Sprint("/tmp/", n, "/sshd"), UID: uint32(n)}, BytesSent: number(1)})
	}
	const went = 10 * mostRows
	for n := range mostSockets + went {
		l := ports.Record{Time: at(n), Event: ports.Listening, Protocol: ports.TCP, LocalAddress: here, LocalPort: uint16(n), Socket: uint64(n + 2_000_000), Process: sshd}
		c.Add(&l)
		if n < went {
			l.Event = ports.Closed
			c.Add(&l)
		}
	}
	if len(c.sockets) != mostSockets || len(c.addresses.groups) < mostGroups/2 {
		t.Errorf("%d sockets and %d addresses: the limits are not reached", len(c.sockets), len(c.addresses.groups))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if used := int64(after.HeapAlloc) - int64(before.HeapAlloc); used > 70<<20 {
		t.Errorf("%d MB", used>>20)
	} else {
		t.Logf("%d MB", used>>20)
	}
	if r := c.Report(3); r.Listeners.More != mostSockets+went-3 || len(r.Listeners.Rows) != 3 {
		t.Errorf("%d listeners and %d more", len(r.Listeners.Rows), r.Listeners.More)
	}
}

func TestInterestIsRefused(t *testing.T) {
	_, err := NewCounter([]string{"192.0.2.1", "mx1"})
	var wrong *ports.SelectionError
	if !errors.As(err, &wrong) || wrong.Member != "interest" || wrong.Value != "mx1" {
		t.Errorf("%v", err)
	}
}
