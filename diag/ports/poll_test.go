package ports

import (
	"io"
	"log/slog"
	"net"
	"os"
	"os/user"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"diagsh/internal/test/await"
)

// told collects what a feed tells.
type told struct {
	mu      sync.Mutex
	records []Record
	flows   []Flow
}

func (c *told) take(records []Record, flows []Flow) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.records = append(c.records, records...)
	c.flows = append(c.flows, flows...)
}

func (c *told) all() []Record {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.records)
}

// of returns the events of a local port, with PIDs where a record has one.
func (c *told) of(port uint16) (events []Event, pids []int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.records {
		if r.LocalPort == port {
			events = append(events, r.Event)
			pids = append(pids, r.PID)
		}
	}
	return events, pids
}

func startPoller(t *testing.T) (*poller, *told) {
	t.Helper()
	f, err := newPoller(Options{Log: slog.New(slog.DiscardHandler)}, "This is a test")
	if err != nil {
		t.Fatal(err)
	}
	c := &told{}
	if err := f.start(c.take); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.close() })
	return f.(*poller), c
}

func portOf(t *testing.T, a net.Addr) uint16 {
	t.Helper()
	switch a := a.(type) {
	case *net.TCPAddr:
		return uint16(a.Port)
	case *net.UDPAddr:
		return uint16(a.Port)
	}
	t.Fatalf("%v has no port", a)
	return 0
}

// TestPoller: sockets that stay are told with who holds them; who opened and closed them is nobody
// who is known.
func TestPoller(t *testing.T) {
	p, c := startPoller(t)
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0") // with MPTCP
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	u, err := net.Dial("udp", "127.0.0.1:9")
	if err != nil {
		t.Fatal(err)
	}
	p.flush()
	own := os.Getpid()
	check := func(what string, a net.Addr, events []Event, pids []int) {
		t.Helper()
		e, who := c.of(portOf(t, a))
		if !slices.Equal(e, events) || !slices.Equal(who, pids) {
			t.Errorf("%s: %q by %d, not %q by %d", what, e, who, events, pids)
		}
	}
	check("client", client.LocalAddr(), []Event{Connected, Held}, []int{0, own})
	check("UDP", u.LocalAddr(), []Event{Opened, Flowed, Held}, []int{0, 0, own})
	if e, _ := c.of(portOf(t, l.Addr())); !slices.Contains(e, Listening) || !slices.Contains(e, Accepted) || len(e) != 4 {
		t.Errorf("listener and server: %q", e)
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(c.all(), func(r Record) bool { return r.PID == own && r.User == me.Username && r.Exe != "" }) {
		t.Errorf("no record has the user %s", me.Username)
	}
	client.Close()
	io.Copy(io.Discard, server)
	server.Close()
	u.Close()
	p.flush()
	check("client", client.LocalAddr(), []Event{Connected, Held, Closed}, []int{0, own, 0})
	check("UDP", u.LocalAddr(), []Event{Opened, Flowed, Held, Closed}, []int{0, 0, own, 0})
	began, ended := 0, 0
	for _, f := range c.flows {
		if f.Local.Port() == portOf(t, client.LocalAddr()) && f.PID == own {
			if f.Until.IsZero() {
				began++
			} else {
				ended++
			}
		}
	}
	if began != 1 || ended != 1 {
		t.Errorf("the client's flow began %d times and ended %d times", began, ended)
	}
}

// TestPollerMissesReadings: what begins and ends between two readings is told at its end, and more
// than the kernel can keep is a gap.
func TestPollerMissesReadings(t *testing.T) {
	p, c := startPoller(t)
	if err := unix.SetsockoptInt(p.destroyed, unix.SOL_SOCKET, unix.SO_RCVBUF, 1); err != nil {
		t.Fatal(err)
	}
	p.mu.Lock() // nothing is heard meanwhile
	for range 200 {
		u, err := net.Dial("udp", "127.0.0.1:9")
		if err != nil {
			t.Fatal(err)
		}
		u.Close()
	}
	p.mu.Unlock()
	await.Until(t, "there is a gap", func() bool { // the kernel may be late
		p.flush()
		return p.status().Gaps > 0
	})
	gaps, ends := 0, 0
	c.mu.Lock()
	for _, r := range c.records {
		switch {
		case r.Event == Gap:
			gaps++
		case r.Event == Closed && r.RemotePort == 9:
			ends++
		}
		if r.RemotePort == 9 && r.PID != 0 {
			t.Errorf("%+v", r)
		}
	}
	c.mu.Unlock()
	if gaps == 0 || ends == 200 || p.status().Gaps == 0 {
		t.Errorf("%d gaps, %d ends; %+v", gaps, ends, p.status())
	}
}

// TestPollerSaysThatItCannotRead: while the table cannot be read the status says so, and the appliance's
// log has it once.
func TestPollerSaysThatItCannotRead(t *testing.T) {
	var logged strings.Builder
	p := &poller{log: slog.New(slog.NewTextHandler(&logged, nil))}
	says := func() bool {
		return slices.ContainsFunc(p.status().Blind, func(s string) bool { return strings.Contains(s, "cannot be read now") })
	}
	for _, err := range []error{nil, unix.ENOMEM, unix.ENOMEM, nil, unix.ENOMEM} {
		if p.failed(err); says() != (err != nil) {
			t.Errorf("after %v: %q", err, p.status().Blind)
		}
	}
	if n := strings.Count(logged.String(), "cannot be read"); n != 2 {
		t.Errorf("it is logged %d times: %s", n, logged.String())
	}
}

// TestParseRow: a short message is none, and TIME_WAIT is nobody's socket.
func TestParseRow(t *testing.T) {
	b := make([]byte, inetDiagSize)
	b[0], b[1] = unix.AF_INET, 1
	if r, ok := parseRow(b, unix.IPPROTO_TCP); !ok || r.protocol != TCP {
		t.Errorf("%+v", r)
	}
	for n := range b {
		if _, ok := parseRow(b[:n], unix.IPPROTO_TCP); ok {
			t.Errorf("%d bytes are a socket", n)
		}
	}
	b[1] = 6
	if _, ok := parseRow(b, unix.IPPROTO_TCP); ok {
		t.Error("TIME_WAIT is a socket")
	}
}
