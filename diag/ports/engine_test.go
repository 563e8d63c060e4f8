package ports

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A listening is a watcher that keeps what it is told.
type listening struct {
	mu      sync.Mutex
	news    sync.Cond
	records []Record
	flows   []Flow
}

func (l *listening) watcher() Watcher {
	l.news.L = &l.mu
	return Watcher{
		Records: func(records []Record) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.records = append(l.records, records...)
			l.news.Broadcast()
		},
		Flows: func(flows []Flow) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.flows = append(l.flows, flows...)
		},
	}
}

// wait returns the first record that a function likes.
func (l *listening) wait(t *testing.T, what string, like func(Record) bool) Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	defer context.AfterFunc(ctx, l.news.Broadcast)()
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if i := slices.IndexFunc(l.records, like); i >= 0 {
			return l.records[i]
		}
		if ctx.Err() != nil {
			t.Fatalf("there is no record of %s", what)
		}
		l.news.Wait()
	}
}

func (l *listening) has(like func(Record) bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.records, like)
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("not root")
	}
}

// watch begins an engine of a tier, which must be what runs.
func watch(t *testing.T, tier Tier) (*Engine, *listening, func()) {
	t.Helper()
	needRoot(t)
	e, l := New(Options{Tier: tier}), &listening{}
	stop, err := e.Watch(t.Context(), l.watcher())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(); e.Close() })
	if s, ok := e.Status(); !ok || s.Tier != tier {
		t.Fatalf("%+v", s)
	}
	return e, l, stop
}

// is likes records of this process at a local port.
func is(what Event, port int) func(Record) bool {
	return func(r Record) bool { return r.Event == what && int(r.LocalPort) == port && r.PID == os.Getpid() }
}

func portAt(a net.Addr) int { return int(netip.MustParseAddrPort(a.String()).Port()) }

// exchange connects to a listener, says a word, hears one, and closes both ends. It returns the port
// of the client.
func exchange(t *testing.T, l net.Listener) int {
	t.Helper()
	served := make(chan error)
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, err = c.Read(make([]byte, 16))
			_, err2 := c.Write([]byte("answer"))
			err = errors.Join(err, err2, c.Close())
		}
		served <- err
	}()
	c, err := net.Dial(l.Addr().Network(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.Write([]byte("word"))
	c.Read(make([]byte, 16))
	c.Close()
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	return portAt(c.LocalAddr())
}

// TestTCP: what happens to both ends of a connection is told with its process, in both tiers of eBPF,
// for TCP and for MPTCP.
func TestTCP(t *testing.T) {
	for _, tier := range []Tier{Full, WithoutAccept} {
		for _, multipath := range []bool{false, true} {
			_, l, stop := watch(t, tier)
			var config net.ListenConfig
			config.SetMultipathTCP(multipath)
			in, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			port := portAt(in.Addr())
			client := exchange(t, in)
			in.Close()
			stop()
			for _, like := range []func(Record) bool{is(Bound, port), is(Listening, port), is(Connected, client)} {
				if !l.has(like) {
					t.Errorf("tier %s, MPTCP %t: %+v", tier, multipath, l.records)
				}
			}
			accepted := l.wait(t, "accept", is(Accepted, port))
			if int(accepted.RemotePort) != client || accepted.Exe == "" || accepted.Name == "" || accepted.User != "root" {
				t.Errorf("%+v", accepted)
			}
			closed := l.wait(t, "close", func(r Record) bool { return is(Closed, port)(r) && int(r.RemotePort) == client })
			if *closed.BytesReceived != 4 || *closed.BytesSent != 6 || closed.Socket != accepted.Socket {
				t.Errorf("%+v", closed)
			}
			wantFlows(t, l, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(port)), accepted)
		}
	}
}

// wantFlows: the listener's flow and that of the accepted end began and ended, and are this process's.
func wantFlows(t *testing.T, l *listening, local netip.AddrPort, accepted Record) {
	t.Helper()
	remote := netip.AddrPortFrom(accepted.RemoteAddress, accepted.RemotePort)
	for _, end := range []netip.AddrPort{{}, remote} {
		var began, ended time.Time
		for _, f := range l.flows {
			if f.Local == local && f.Remote == end && f.PID == os.Getpid() {
				began, ended = f.From, f.Until
			}
		}
		if began.IsZero() || ended.Before(began) || end.IsValid() && accepted.Time.Before(began) {
			t.Errorf("the flow from %s to %s: %s until %s", local, end, began, ended)
		}
	}
}

// TestMPTCP: a connection of MPTCP at both ends is told once, with its ends.
func TestMPTCP(t *testing.T) {
	_, l, stop := watch(t, Full)
	var config net.ListenConfig
	config.SetMultipathTCP(true)
	in, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	go func() {
		if c, err := in.Accept(); err == nil {
			c.Read(make([]byte, 1))
			c.Close()
		}
	}()
	var d net.Dialer
	d.SetMultipathTCP(true)
	c, err := d.DialContext(t.Context(), "tcp", in.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if m, err := c.(*net.TCPConn).MultipathTCP(); !m {
		t.Fatalf("this is no MPTCP: %v", err)
	}
	c.Write([]byte("x"))
	c.Read(make([]byte, 1))
	c.Close()
	stop()
	for what, port := range map[Event]int{Connected: portAt(c.LocalAddr()), Accepted: portAt(in.Addr())} {
		n := 0
		for _, r := range l.records {
			if is(what, port)(r) && r.RemotePort != 0 {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d records of %s", n, what)
		}
	}
}

// TestRefused: a connection to a port where nobody listens is told at both ends.
func TestRefused(t *testing.T) {
	_, l, stop := watch(t, Full)
	in, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := portAt(in.Addr())
	in.Close()
	if _, err := net.Dial("tcp", in.Addr().String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatal(err)
	}
	stop()
	r := l.wait(t, "refused", func(r Record) bool { return r.Event == Refused && int(r.RemotePort) == port })
	if r.PID != os.Getpid() || r.LocalPort == 0 || !r.LocalAddress.IsLoopback() {
		t.Errorf("%+v", r)
	}
	l.wait(t, "rejected", func(r Record) bool {
		return r.Event == Rejected && int(r.LocalPort) == port && r.PID == 0 && r.Name == ""
	})
}

// TestHeld: sockets that are older than the engine are told with who holds them, and then what
// happens to them. The owner of one is found by its cookie and by its inode.
func TestHeld(t *testing.T) {
	needRoot(t)
	in, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := portAt(in.Addr())
	e, l, stop := watch(t, Full)
	held := l.wait(t, "held", is(Held, port))
	if held.State != "LISTEN" || held.Exe == "" {
		t.Errorf("%+v", held)
	}
	raw, _ := in.(*net.TCPListener).SyscallConn()
	var inode uint64
	raw.Control(func(fd uintptr) {
		var s unix.Stat_t
		unix.Fstat(int(fd), &s)
		inode = s.Ino
	})
	for _, by := range [][2]uint64{{held.Cookie, 0}, {0, inode}} {
		if o, ok := e.Owner(by[0], by[1]); !ok || !o.Before || len(o.Holders) != 1 || o.Holders[0].PID != os.Getpid() {
			t.Errorf("%v: %+v, %t", by, o, ok)
		}
	}
	if _, ok := e.Owner(0, 1<<40); ok {
		t.Error("a socket that does not exist has an owner")
	}
	exchange(t, in)
	late := &listening{}
	stopLate, err := e.Watch(t.Context(), late.watcher())
	if err != nil {
		t.Fatal(err)
	}
	in.Close()
	stop()
	stopLate()
	l.wait(t, "accept", is(Accepted, port))
	l.wait(t, "close of the listener", func(r Record) bool { return is(Closed, port)(r) && r.RemotePort == 0 && r.Socket == held.Socket })
	if !late.has(func(r Record) bool { return is(Held, port)(r) && r.Socket == held.Socket }) {
		t.Error("who watches later is not told what is open")
	}
}

// TestRestart: an engine that nobody watches any more stops, and begins again.
func TestRestart(t *testing.T) {
	e, _, stop := watch(t, Full)
	stop()
	if s, ok := e.Status(); ok {
		t.Fatalf("it runs: %+v", s)
	}
	in, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	again := &listening{}
	stop, err = e.Watch(t.Context(), again.watcher())
	if err != nil {
		t.Fatal(err)
	}
	again.wait(t, "held", is(Held, portAt(in.Addr())))
	stop()
	e.Close()
	if _, err := e.Watch(t.Context(), again.watcher()); err == nil {
		t.Error("a closed engine is watched")
	}
}

// TestLost: with a ring that is too small events are lost. Then there is a gap with their number, no
// wrong name, and afterwards what is open is known, and what was open and is not is told to be closed.
func TestLost(t *testing.T) {
	needRoot(t)
	f, err := newKernel(Options{}, sizes{ring: 4096})
	if err != nil {
		t.Fatal(err)
	}
	e, l := New(Options{}), &listening{}
	if err := f.start(e.tell); err != nil {
		t.Fatal(err)
	}
	e.feed = f
	stop, err := e.Watch(t.Context(), l.watcher())
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	var closes, stays []net.Listener
	var serials []uint64
	for range 100 {
		in, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		closes = append(closes, in)
	}
	lost := l.wait(t, "gap", func(r Record) bool { return r.Event == Gap }).Lost
	for i, in := range closes {
		if i == 0 {
			stays = append(stays, in)
			continue
		}
		r := l.wait(t, "a listener", func(r Record) bool { return is(Held, portAt(in.Addr()))(r) || is(Listening, portAt(in.Addr()))(r) })
		serials = append(serials, r.Socket) // others may get its port
	}
	for _, in := range closes[1:] {
		in.Close()
	}
	for _, serial := range serials {
		r := l.wait(t, "a close", func(r Record) bool { return r.Event == Closed && r.Socket == serial })
		if r.PID != os.Getpid() && (r.PID != 0 || r.Reason == "" || r.Name != "") {
			t.Errorf("%+v", r)
		}
	}
	stays[0].Close()
	if s, _ := e.Status(); lost == 0 || s.Lost < lost || s.Gaps == 0 {
		t.Errorf("%d were lost: %+v", lost, s)
	}
}

// rights are the capabilities with which the engine needs no root.
var rights = map[string]uintptr{"CAP_BPF": unix.CAP_BPF, "CAP_PERFMON": unix.CAP_PERFMON, "CAP_NET_ADMIN": unix.CAP_NET_ADMIN,
	"CAP_SYS_PTRACE": unix.CAP_SYS_PTRACE, "CAP_DAC_READ_SEARCH": unix.CAP_DAC_READ_SEARCH}

// TestRights: a user with five capabilities sees everything but the end of accept(2). Without one of
// them what is missing is said in a sentence that names it.
func TestRights(t *testing.T) {
	needRoot(t)
	for _, without := range []string{"", "CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN", "CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"} {
		s := unprivileged(t, without)
		want := WithoutAccept
		if without == "CAP_BPF" || without == "CAP_PERFMON" {
			want = Polling
		}
		said := strings.Join(s.Blind, "\n")
		if s.Tier != want || !strings.Contains(said, without) || without == "" && strings.Contains(said, "CAP_") {
			t.Errorf("without %q: tier %s\n%s", without, s.Tier, said)
		}
	}
}

// unprivileged starts an engine as nobody with the rights but one, and returns its status. That is
// in another process: capabilities are of threads.
func unprivileged(t *testing.T, without string) (s Status) {
	t.Helper()
	exe, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer exe.Close()
	var keep []uintptr
	for name, c := range rights {
		if name != without {
			keep = append(keep, c)
		}
	}
	// By its descriptor: nobody may not go down to the file.
	c := exec.Command("/proc/self/fd/3", "-test.run=^TestAsNobody$", "-test.v")
	c.ExtraFiles = []*os.File{exe}
	c.Env = append(os.Environ(), "PORTS_STATUS=1")
	c.Dir = "/"
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}, AmbientCaps: keep}
	out, err := c.CombinedOutput()
	_, text, ok := strings.Cut(string(out), "STATUS ")
	if !ok || json.NewDecoder(strings.NewReader(text)).Decode(&s) != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return s
}

// TestAsNobody is the other process of TestRights.
func TestAsNobody(t *testing.T) {
	if os.Getenv("PORTS_STATUS") == "" {
		return
	}
	e := New(Options{})
	stop, err := e.Watch(t.Context(), Watcher{})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	s, _ := e.Status()
	text, _ := json.Marshal(s)
	os.Stdout.WriteString("STATUS " + string(text) + "\n")
}
