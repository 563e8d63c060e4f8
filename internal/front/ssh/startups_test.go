package ssh

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"diagsh/internal/access"
	"diagsh/internal/front/gate"
	"diagsh/internal/test/await"
	"diagsh/internal/test/slowness"
)

// prefix is the source that an address is of.
func prefix(address string) netip.Prefix { return gate.SourceOf(netip.MustParseAddr(address)) }

// rawDial connects and says nothing.
func rawDial(t testing.TB, r *rig, source string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}, Timeout: patience}
	c, err := d.Dial("tcp", r.address)
	check(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// An address that holds connections open, breaks off key exchanges and guesses passwords keeps
// nobody else out.
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
			bufio.NewReader(c).ReadString('\n')
		})
		attack(func() {
			short, done := context.WithTimeout(ctx, 200*time.Millisecond)
			defer done()
			if c, err := r.dialFrom(short, "127.0.0.2", guess); err == nil {
				c.Close()
			}
		})
	}
	await.Until(t, "the address to fill its share", func() bool {
		return r.server.startups.CountOf(prefix("127.0.0.2")) >= r.server.limits.StartupsOfSource
	})
	for _, auth := range [][]ssh.AuthMethod{{ssh.PublicKeys(r.key)}, {ssh.Password(testPassword)}} {
		config := r.config()
		config.Auth = auth
		watch, began := slowness.Start(t), time.Now()
		c, err := r.dialFrom(ctx, "127.0.0.3", config)
		if err != nil {
			t.Fatal(err)
		}
		s, err := c.NewSession()
		check(t, err)
		if out, err := s.Output("echo in"); string(out) != "in\n" || err != nil {
			t.Errorf("%q, %v", out, err)
		}
		if took, limit := time.Since(began), watch.Limit(2*time.Second); took > limit {
			t.Errorf("the login took %v, more than %v", took, limit)
		}
		c.Close()
	}
}

// Eight addresses that hold every place they can get, saying no more than their version, keep
// nobody out; neither those who were here before nor those who were not.
func TestSlowLoris(t *testing.T) {
	r := newRig(t, Limits{Startups: 16, StartupsFull: 48, StartupsOfSource: 12})
	for i := range 8 * 12 {
		c := rawDial(t, r, fmt.Sprintf("127.0.1.%d", 1+i%8))
		io.WriteString(c, "SSH-2.0-slow\r\n")
	}
	await.Until(t, "a full house", func() bool {
		taken, _ := r.server.startups.Count()
		return taken >= 48
	})
	for i := range 20 {
		config := r.config()
		if i%2 == 1 {
			config.Auth = []ssh.AuthMethod{ssh.Password(testPassword)}
		}
		c, err := r.dialFrom(t.Context(), fmt.Sprintf("127.0.2.%d", 1+i%4), config)
		if err != nil {
			t.Fatalf("login %d: %v", i, err)
		}
		c.Close()
	}
}

// Those who complete the key exchange and stay are as many as may be; who was here before comes in
// all the same.
func TestPlacesForVisitors(t *testing.T) {
	r := newRig(t, Limits{Startups: 4, StartupsFull: 8, StartupsOfSource: 4})
	c, err := r.dialFrom(t.Context(), "127.0.3.1", r.config())
	check(t, err)
	c.Close()
	ctx, cancel := context.WithCancel(context.Background())
	waits := r.config()
	waits.Auth = []ssh.AuthMethod{ssh.PasswordCallback(func() (string, error) {
		<-ctx.Done()
		return "", io.EOF
	})}
	var guests sync.WaitGroup
	defer guests.Wait()
	defer cancel()
	for i := range 40 { // some meet the chance of being refused
		guests.Go(func() { r.dialFrom(ctx, fmt.Sprintf("127.0.4.%d", 1+i%10), waits) })
	}
	await.Until(t, "a full house", func() bool {
		taken, strangers := r.server.startups.Count()
		return taken >= 8 && strangers == 0
	})
	if c, err := r.dialFrom(t.Context(), "127.0.3.2", r.config()); err == nil {
		c.Close()
		t.Error("a newcomer entered a full house")
	}
	c, err = r.dialFrom(t.Context(), "127.0.3.1", r.config())
	if err != nil {
		t.Fatalf("a visitor was kept out: %v", err)
	}
	c.Close()
}

// Who was here before the server started is known, too.
func TestVisitorsOfBefore(t *testing.T) {
	r := newRig(t, Limits{})
	r.appliance.visitors = []string{"192.0.2.7", "2001:db8::1", "not an address"}
	r.server.knowVisitors(t.Context())
	for _, a := range []string{"192.0.2.7", "2001:db8::2"} {
		if !r.server.startups.Knows(prefix(a)) {
			t.Errorf("%s is not known", a)
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
