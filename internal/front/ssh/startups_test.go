package ssh

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"diagsh/internal/access"
	"diagsh/internal/test/await"
	"diagsh/internal/test/slowness"
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
		r.server.startups.mu.Lock()
		defer r.server.startups.mu.Unlock()
		s := r.server.startups.sources[prefix("127.0.0.2")]
		return s != nil && s.connections >= r.server.limits.StartupsOfSource
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

// prefix is the source that an address is of.
func prefix(address string) netip.Prefix { return sourceOf(netip.MustParseAddr(address)) }

// Those who have exchanged keys meet shares, chance and the end of room.
func TestDoor(t *testing.T) {
	limits := Limits{Startups: 20, StartupsFull: 40, StartupsOfSource: 10, ChecksOfSource: 2, StartupsKept: 3}
	d := newStartupLimiter(limits)
	var inside []*slot
	enter := func(from netip.Prefix) error {
		p, err := d.enter(from, func() { t.Errorf("somebody from %v had to make room who had exchanged keys", from) })
		if err == nil {
			p.exchanged()
			inside = append(inside, p)
		}
		return err
	}
	for range 10 {
		check(t, enter(prefix("192.0.2.1")))
	}
	if enter(prefix("192.0.2.1")) == nil {
		t.Error("an address got more than its share")
	}
	inside[0].leave()
	inside = inside[1:]
	check(t, enter(prefix("192.0.2.1")))

	// A /64 is one source: 2001:db8::1 and ::2 share.
	for i, a := range []string{"2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"} {
		for range []int{5, 5, 0}[i] {
			check(t, enter(prefix(a)))
		}
	}
	if enter(prefix("2001:db8::3")) == nil {
		t.Error("a network got more than its share")
	}

	// From 20 on it is chance, at 40 it is certain.
	refused := 0
	for i := 0; len(inside) < 40; i++ {
		if enter(netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}), 32)) != nil {
			refused++
		}
	}
	if refused == 0 {
		t.Error("nobody was refused early")
	}
	for range 100 {
		if enter(prefix("203.0.113.1")) == nil {
			t.Fatal("somebody entered a full house")
		}
	}
	// Who was here before finds slots that are kept.
	d.visited(prefix("203.0.113.9"))
	for range 3 {
		check(t, enter(prefix("203.0.113.9")))
	}
	if enter(prefix("203.0.113.9")) == nil {
		t.Error("a visitor got more slots than are kept")
	}
	for _, p := range inside {
		if p.leave() {
			t.Error("somebody made room")
		}
	}
	if d.taken != 0 || len(d.sources) != 0 {
		t.Errorf("%d connections and %d sources are left", d.taken, len(d.sources))
	}
}

// Who has not exchanged keys makes room for newcomers: the oldest of the address that has the most
// of them.
func TestStrangersMakeRoom(t *testing.T) {
	d := newStartupLimiter(Limits{Startups: 4, StartupsFull: 8, StartupsOfSource: 4, ChecksOfSource: 2, StartupsKept: 1})
	var gone []string
	slots := map[string]*slot{}
	enter := func(name, address string) {
		t.Helper()
		p, err := d.enter(prefix(address), func() { gone = append(gone, name) })
		check(t, err)
		slots[name] = p
	}
	expectGone := func(names ...string) {
		t.Helper()
		if !slices.Equal(gone, names) {
			t.Errorf("gone: %v, not %v", gone, names)
		}
		gone = nil
	}
	for i, address := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.3"} {
		enter(fmt.Sprint(i), address)
	}
	expectGone()
	enter("own share", "192.0.2.1")
	expectGone("0")
	if d.taken != 6 {
		t.Errorf("%d are inside", d.taken)
	}
	enter("7th", "192.0.2.4")
	enter("8th", "192.0.2.5")
	slots["2"].exchanged() // 192.0.2.1 has 3, 4 and "own share" left
	enter("9th", "192.0.2.6")
	expectGone("3")
	enter("10th", "192.0.2.7")
	expectGone("4")
	enter("11th", "192.0.2.8") // all have one now
	expectGone("1")
	if !slots["1"].leave() || slots["2"].leave() {
		t.Error("it is not known who had to make room")
	}
	for _, p := range slots {
		p.leave()
	}
	if d.taken != 0 || len(d.sources) != 0 {
		t.Errorf("%d connections and %d sources are left", d.taken, len(d.sources))
	}
	for i := range 2 * maxVisitors {
		d.visited(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 32))
	}
	if len(d.visitors) != maxVisitors || d.order.Len() != maxVisitors {
		t.Errorf("%d visitors are known", len(d.visitors))
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
		r.server.startups.mu.Lock()
		defer r.server.startups.mu.Unlock()
		return r.server.startups.taken >= 48
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
		r.server.startups.mu.Lock()
		defer r.server.startups.mu.Unlock()
		return r.server.startups.taken >= 8 && r.server.startups.oldestOfMost() == nil
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
		if r.server.startups.visitors[prefix(a)] == nil {
			t.Errorf("%s is not known", a)
		}
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
