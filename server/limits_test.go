package server

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"diagsh/access"
)

// rawDial connects and says nothing.
func rawDial(t testing.TB, r *rig, source string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}, Timeout: patience}
	c, err := d.Dial("tcp", r.address)
	check(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// An address that holds connections open, breaks off key exchanges and guesses passwords keeps nobody else out.
func TestFloodFromOneAddress(t *testing.T) {
	r := newRig(t, Limits{})
	r.appliance.delay = func(ctx context.Context, c access.Credentials) {
		if c.Source == "127.0.0.2" {
			<-ctx.Done() // the delay for earlier failures
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	guess := r.config()
	guess.Auth = []ssh.AuthMethod{ssh.Password("guess")}
	var refused atomic.Int32
	full := make(chan struct{})
	var flood sync.WaitGroup
	defer flood.Wait()
	defer cancel()
	attack := func(act func()) {
		flood.Go(func() {
			for ctx.Err() == nil {
				act()
			}
		})
	}
	for range 10 {
		attack(func() { // says nothing
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP("127.0.0.2")}}
			c, err := d.DialContext(ctx, "tcp", r.address)
			if err != nil {
				return
			}
			context.AfterFunc(ctx, func() { c.Close() })
			if _, err := bufio.NewReader(c).ReadString('\n'); err != nil && refused.Add(1) == 20 {
				close(full)
			}
		})
		attack(func() {
			short, done := context.WithTimeout(ctx, 200*time.Millisecond)
			defer done()
			if c, err := r.dialFrom(short, "127.0.0.2", guess); err == nil {
				c.Close()
			}
		})
	}
	select {
	case <-full:
	case <-time.After(patience):
		t.Fatal("the flood never filled its share")
	}
	for _, auth := range [][]ssh.AuthMethod{{ssh.PublicKeys(r.key)}, {ssh.Password(testPassword)}} {
		config := r.config()
		config.Auth = auth
		began := time.Now()
		c, err := r.dialFrom(ctx, "127.0.0.3", config)
		if err != nil {
			t.Fatal(err)
		}
		s, err := c.NewSession()
		check(t, err)
		if out, err := s.Output("echo in"); string(out) != "in\n" || err != nil {
			t.Errorf("%q, %v", out, err)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("the login took %v", took)
		}
		c.Close()
	}
}

func TestDoor(t *testing.T) {
	limits := Limits{Startups: 20, StartupsFull: 40, StartupsOfSource: 10, ChecksOfSource: 2}
	d := newDoor(limits)
	address := func(s string) netip.Prefix { return sourceOf(netip.MustParseAddr(s)) }
	var inside []*place
	for range 10 {
		p, err := d.enter(address("192.0.2.1"))
		check(t, err)
		inside = append(inside, p)
	}
	if _, err := d.enter(address("192.0.2.1")); err == nil {
		t.Error("an address got more than its share")
	}
	inside[0].leave()
	p, err := d.enter(address("192.0.2.1"))
	check(t, err)
	inside[0] = p

	// A /64 is one source: 2001:db8::1 and ::2 share.
	for i, a := range []string{"2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"} {
		for range []int{5, 5, 0}[i] {
			p, err := d.enter(address(a))
			check(t, err)
			inside = append(inside, p)
		}
	}
	if _, err := d.enter(address("2001:db8::3")); err == nil {
		t.Error("a network got more than its share")
	}

	// From 20 on it is chance, at 40 it is certain.
	refused := 0
	for i := 0; len(inside) < 40; i++ {
		p, err := d.enter(netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}), 32))
		if err != nil {
			refused++
			continue
		}
		inside = append(inside, p)
	}
	if refused == 0 {
		t.Error("nobody was refused early")
	}
	for range 100 {
		if _, err := d.enter(address("203.0.113.1")); err == nil {
			t.Fatal("somebody entered a full house")
		}
	}
	for _, p := range inside {
		p.leave()
	}
	if d.inside != 0 || len(d.sources) != 0 {
		t.Errorf("%d connections and %d sources are left", d.inside, len(d.sources))
	}
}

func TestSourceOf(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.7:22":                   "192.0.2.7/32",
		"[::ffff:192.0.2.7]:22":          "192.0.2.7/32",
		"[2001:db8:1:2:3:4:5:6]:22":      "2001:db8:1:2::/64",
		"[fe80::1%lo]:22":                "fe80::/64",
		"[2001:db8:1:2:ffff:4:5:6]:2222": "2001:db8:1:2::/64",
	} {
		if got := sourceOf(addressOf(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address)))); got.String() != want {
			t.Errorf("%s: %s, not %s", address, got, want)
		}
	}
}

// A client that takes its time is cut off, wherever it stops.
func TestLoginTime(t *testing.T) {
	r := newRig(t, Limits{LoginTime: 300 * time.Millisecond})
	hello := "SSH-2.0-slow\r\n"
	for _, say := range []string{"", "SSH-2.0-", hello, hello + "\x00\x00\x01\x00", hello + "\x00\x00\x00\x0c\x0a\x14"} {
		c := rawDial(t, r, "127.0.0.1")
		_, err := io.WriteString(c, say)
		check(t, err)
		c.SetReadDeadline(time.Now().Add(patience))
		if text, err := io.ReadAll(c); !strings.HasPrefix(string(text), versionLine+"\r\n") {
			t.Errorf("after %q: %q, %v", say, text, err)
		}
	}
	// The one who has exchanged keys and thinks about the password.
	config := r.config()
	config.Auth = []ssh.AuthMethod{ssh.PasswordCallback(func() (string, error) {
		time.Sleep(600 * time.Millisecond)
		return testPassword, nil
	})}
	if _, err := ssh.Dial("tcp", r.address, config); err == nil {
		t.Error("a login succeeded after its time")
	}
}

// A client that stays connected but says nothing any more is given up.
func TestDeadClient(t *testing.T) {
	r := newRig(t, Limits{KeepAlive: 50 * time.Millisecond, Grace: 100 * time.Millisecond})
	raw := &deafConn{Conn: rawDial(t, r, "127.0.0.1")}
	conn, channels, requests, err := ssh.NewClientConn(raw, r.address, r.config())
	check(t, err)
	c := ssh.NewClient(conn, channels, requests)
	r.begin(r.session(c), "wait")
	process := r.appliance.lastAttached()

	quiet := r.dial() // answers when asked
	raw.deaf.Store(true)
	process.awaitEnd(t, patience)
	<-r.appliance.loggedOut
	if _, _, err := quiet.SendRequest("still there", true, nil); err != nil {
		t.Errorf("a quiet client that answers was given up: %v", err)
	}
}

// A deafConn sends nothing once it is deaf, as when the network is cut.
type deafConn struct {
	net.Conn
	deaf atomic.Bool
}

func (c *deafConn) Write(p []byte) (int, error) {
	if c.deaf.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// A login that is waiting for its delay is given up with the client.
func TestClientGoneDuringLogin(t *testing.T) {
	r := newRig(t, Limits{})
	began, ended := make(chan struct{}), make(chan struct{})
	r.appliance.delay = func(ctx context.Context, _ access.Credentials) {
		close(began)
		<-ctx.Done()
		close(ended)
	}
	raw := rawDial(t, r, "127.0.0.1")
	go ssh.NewClientConn(raw, r.address, r.config())
	<-began
	raw.Close()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Error("the login still waits")
	}
}
