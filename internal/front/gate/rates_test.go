package gate

import (
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// A name has its burst and then one in each time; what another name takes costs it nothing.
func TestRates(t *testing.T) {
	r := NewRates[string](3, time.Second)
	now := time.Unix(1000, 0)
	take := func(name string, at time.Duration) time.Duration { return r.Take(name, now.Add(at)) }
	for range 3 {
		if wait := take("a", 0); wait != 0 {
			t.Fatalf("of the burst: %v", wait)
		}
	}
	if wait := take("a", 0); wait != time.Second {
		t.Errorf("after the burst: %v", wait)
	}
	if wait := take("a", 400*time.Millisecond); wait != 600*time.Millisecond {
		t.Errorf("a refusal takes something: %v", wait)
	}
	if wait := take("b", 0); wait != 0 {
		t.Errorf("another name: %v", wait)
	}
	if wait := take("a", time.Second); wait != 0 {
		t.Errorf("after the time: %v", wait)
	}
	for range 3 {
		if wait := take("a", time.Hour); wait != 0 {
			t.Errorf("after an hour: %v", wait)
		}
	}
	if wait := take("a", time.Hour); wait == 0 {
		t.Error("an hour gives more than the burst")
	}
}

// What is kept of names does not grow with their number, and who asks now and then is not forgotten.
func TestRatesOfManyNames(t *testing.T) {
	r := NewRates[int](2, time.Second)
	now := time.Unix(1000, 0)
	for range 3 {
		r.Take(-1, now)
	}
	for name := range 3 * maxRates {
		r.Take(name, now)
		if name%1000 == 0 {
			r.Take(-1, now)
		}
	}
	if len(r.names) > maxRates {
		t.Errorf("%d names are known", len(r.names))
	}
	if r.Take(-1, now) == 0 {
		t.Error("other names let one forget that it has to wait")
	}
}

// pipeListener hands out connections from addresses.
type pipeListener chan net.Conn

func (l pipeListener) Accept() (net.Conn, error) {
	c, ok := <-l
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (l pipeListener) Close() error   { return nil }
func (l pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

type fromConn struct {
	net.Conn
	from   string
	closed chan struct{}
}

func newFromConn(from string) *fromConn { return &fromConn{from: from, closed: make(chan struct{})} }

func (c *fromConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(c.from), Port: 1} }
func (c *fromConn) Close() error {
	select {
	case <-c.closed:
	default:
		close(c.closed)
	}
	return nil
}

func (c *fromConn) isClosed() bool {
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}

// Connections of strangers make room for others; one on which a user has shown who that is stays. One
// that does not hear that it asks too often is hung up on.
func TestListener(t *testing.T) {
	wire := make(pipeListener, 1)
	var log strings.Builder
	l := NewListener(wire, "https", Limits{Early: 3, Full: 4, OfSource: 2, Checks: 1, Kept: 1},
		slog.New(slog.NewTextHandler(&log, nil)))
	accept := func(from string) (*Conn, *fromConn) {
		t.Helper()
		c := newFromConn(from)
		wire <- c
		got, err := l.Accept()
		check(t, err)
		return got.(*Conn), c
	}
	known, knownWire := accept("192.0.2.1")
	known.Known()
	_, stranger := accept("192.0.2.1")
	third, thirdWire := accept("192.0.2.1")
	if !stranger.isClosed() || knownWire.isClosed() {
		t.Error("not the stranger made room")
	}
	for range maxRefused - 1 {
		third.Refused()
	}
	if thirdWire.isClosed() {
		t.Error("it is hung up on early")
	}
	third.Refused()
	if !thirdWire.isClosed() {
		t.Error("it is not hung up on")
	}
	third.Close()
	known.Close()
	if taken, _ := l.startups.Count(); taken != 0 {
		t.Errorf("%d slots are left", taken)
	}
	for l.rates.Take(SourceOf(netip.MustParseAddr("192.0.2.9")), time.Now()) == 0 {
	}
	late := newFromConn("192.0.2.9")
	wire <- late
	close(wire)
	if c, err := l.Accept(); err == nil {
		t.Errorf("too many connections in a short time: %v", c)
	}
	if !late.isClosed() || !strings.Contains(log.String(), "https: refused a connection") {
		t.Errorf("it stays open, or the log says %q", log.String())
	}
}
