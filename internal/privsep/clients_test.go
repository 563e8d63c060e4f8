package privsep

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"diagsh/internal/access"
	"diagsh/internal/menu"
	"diagsh/internal/test/await"
)

// A stamp is HostKeys without any: a signature is the name of the algorithm and the hash.
type stamp struct {
	mu     sync.Mutex
	signed [][]byte
	began  chan struct{} // one element for each signature that waits, where it is not nil
	gaveUp chan error
}

// ourKey is a host key of type key.
var ourKey = sshStrings("key", "public half")

// sshStrings is the SSH wire format of strings (RFC 4251 section 5).
func sshStrings(texts ...string) []byte {
	var b []byte
	for _, text := range texts {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(text))), text...)
	}
	return b
}

// exchangeOf is what the hash of a key exchange is of.
func exchangeOf(cookie [16]byte, hostKey []byte, secret string) []byte {
	client, server := "\x14client's lists", "\x14"+string(cookie[:])+"server's lists"
	return append(sshStrings("SSH-2.0-client", "SSH-2.0-server", client, server, string(hostKey)), secret...)
}

func (s *stamp) Public() [][]byte { return [][]byte{[]byte("another"), ourKey} }

func (s *stamp) Sign(ctx context.Context, keyType, algorithm string, hash []byte) ([]byte, error) {
	if keyType != "key" || algorithm != "algorithm" {
		return nil, errors.New("no such key")
	}
	if s.began != nil {
		s.began <- struct{}{}
		<-ctx.Done()
		s.gaveUp <- ctx.Err()
		return nil, ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signed = append(s.signed, hash)
	return append([]byte(algorithm), hash...), nil
}

// stampFront is a front for which keys signs.
func stampFront(t testing.TB, d *fakeAppliance, keys *stamp) *Monitor {
	t.Helper()
	return monitorOf(t, d, Options{HostKeys: keys})
}

func beginClient(t testing.TB, f *Monitor) *ClientSession {
	t.Helper()
	c, err := NewFront(f.Dial).Client(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// Only the hash of a key exchange is signed: with one of the host keys in it, and at first with the
// cookie of this connection.
func TestOnlyExchangesAreSigned(t *testing.T) {
	keys := &stamp{}
	f := stampFront(t, newFake(t), keys)
	right := func(c *ClientSession) []byte { return exchangeOf(c.Cookie(), ourKey, "secret") }
	earlier := exchangeOf(beginClient(t, f).Cookie(), ourKey, "secret")
	for what, try := range map[string]func(*ClientSession) ([]byte, error){
		"nothing":  func(c *ClientSession) ([]byte, error) { return c.Sign("algorithm", "SHA-256", nil) },
		"20 bytes": func(c *ClientSession) ([]byte, error) { return c.Sign("algorithm", "SHA-256", make([]byte, 20)) },
		"33 bytes": func(c *ClientSession) ([]byte, error) { return c.Sign("algorithm", "SHA-256", make([]byte, 33)) },
		"a hash": func(c *ClientSession) ([]byte, error) {
			return c.Sign("algorithm", "SHA-256", bytes.Repeat([]byte{1}, 32))
		},
		"no hash function": func(c *ClientSession) ([]byte, error) { return c.Sign("algorithm", "", right(c)) },
		"SHA-1":            func(c *ClientSession) ([]byte, error) { return c.Sign("algorithm", "SHA-1", right(c)) },
		"no secret": func(c *ClientSession) ([]byte, error) {
			return c.Sign("algorithm", "SHA-256", exchangeOf(c.Cookie(), ourKey, ""))
		},
		"another's host key": func(c *ClientSession) ([]byte, error) {
			return c.Sign("algorithm", "SHA-256", exchangeOf(c.Cookie(), sshStrings("key", "theirs"), "secret"))
		},
		"another algorithm":   func(c *ClientSession) ([]byte, error) { return c.Sign("ssh-rsa", "SHA-256", right(c)) },
		"an earlier exchange": func(c *ClientSession) ([]byte, error) { return c.Sign("algorithm", "SHA-256", earlier) },
		"a cookie of its own": func(c *ClientSession) ([]byte, error) {
			return c.Sign("algorithm", "SHA-256", exchangeOf([16]byte{}, ourKey, "secret"))
		},
		"half": func(c *ClientSession) ([]byte, error) { return c.Sign("algorithm", "SHA-256", right(c)[:60]) },
	} {
		if signature, err := try(beginClient(t, f)); err == nil {
			t.Errorf("%s: signed %q", what, signature)
		}
	}
	if len(keys.signed) != 0 {
		t.Errorf("%d signatures", len(keys.signed))
	}
	for name, size := range map[string]int{"SHA-256": 32, "SHA-384": 48, "SHA-512": 64} {
		c := beginClient(t, f)
		if signature, err := c.Sign("algorithm", name, right(c)); err != nil ||
			len(signature) != len("algorithm")+size {
			t.Errorf("%s: %q, %v", name, signature, err)
		}
	}
	public, err := NewFront(f.Dial).HostKeys(t.Context())
	if err != nil || len(public) != 2 || !bytes.Equal(public[1], ourKey) {
		t.Errorf("host keys: %q, %v", public, err)
	}
}

// The session of a connection is the hash of its first key exchange, whatever else the front says
// and asks.
func TestSessionIsTheFirstExchange(t *testing.T) {
	d := newFake(t)
	f := stampFront(t, d, &stamp{})
	offered := func(c *ClientSession) []byte {
		t.Helper()
		c.Login(access.Credentials{User: "op", Key: []byte("k"), SessionID: []byte("chosen by the front")})
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.offered[len(d.offered)-1].SessionID
	}
	c := beginClient(t, f)
	if id := offered(c); id != nil {
		t.Errorf("before a key exchange it is %q", id)
	}
	first := exchangeOf(c.Cookie(), ourKey, "first")
	if signature, err := c.Sign("no algorithm", "SHA-512", first); err == nil {
		t.Errorf("signed: %q", signature)
	}
	if id := offered(c); id != nil {
		t.Errorf("without a signature it is %q", id)
	}
	want := sha256.Sum256(first)
	second, third := exchangeOf(c.Cookie(), ourKey, "second"), exchangeOf([16]byte{9}, ourKey, "third")
	for _, exchange := range [][]byte{first, second, third} {
		if _, err := c.Sign("algorithm", "SHA-256", exchange); err != nil {
			t.Fatal(err)
		}
		if id := offered(c); !bytes.Equal(id, want[:]) {
			t.Errorf("after %q it is %x", exchange, id)
		}
	}
	other := beginClient(t, f)
	if id := offered(other); id != nil {
		t.Errorf("another connection has %x", id)
	}
	if other.Cookie() == c.Cookie() {
		t.Error("two connections have one cookie")
	}
}

// A proof is not kept for later: who has not logged in after some time has to connect again.
func TestTimeOfAClient(t *testing.T) {
	d := newFake(t)
	handler := &clientHandler{monitor: stampFront(t, d, &stamp{}), begun: time.Now().Add(-clientTime - time.Second)}
	if _, err := handler.logIn(t.Context(), access.Credentials{User: "op", Password: "right"}); !hasCode(err, menu.State) {
		t.Errorf("too late: %v", err)
	}
	if len(d.offered) != 0 {
		t.Error("the credentials were looked at")
	}
}

// No member of a frame sets the session.
func TestSessionIsInNoFrame(t *testing.T) {
	d := newFake(t)
	f := stampFront(t, d, &stamp{})
	theirs, err := f.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	theirs.Write(frame(`{"number":1,"do":"client"}`))
	theirs.Write(frame(`{"number":2,"do":"login","sessionID":"AAAA","SessionID":"AAAA","credentials":` +
		`{"user":"op","key":"AAAA","sessionID":"AAAA","SessionID":"AAAA","sessionId":"AAAA","proven":true}}`))
	for range 2 {
		var a reply
		if err := readFrame(theirs, maxReplyFrame, &a); err != nil {
			t.Fatal(err)
		}
	}
	if id := d.offered[0].SessionID; id != nil {
		t.Errorf("the session is %q", id)
	}
}

// A login belongs to its connection: it ends with it, however that ends, before anybody is told so.
func TestLoginEndsWithItsConnection(t *testing.T) {
	d := newFake(t)
	f := stampFront(t, d, &stamp{})
	in := func(ctx context.Context) *ClientSession {
		t.Helper()
		c, err := NewFront(f.Dial).Client(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Login(access.Credentials{User: "op", Password: "right"}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Login(access.Credentials{User: "admin", Password: "right"}); !hasCode(err, menu.State) {
			t.Errorf("a second login on one connection: %v", err)
		}
		return c
	}
	c := in(t.Context())
	if err := c.Close(); err != nil || !slices.Equal(d.loggedOut(), []string{"login-op"}) {
		t.Errorf("closed: %q, %v", d.loggedOut(), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	c = in(ctx)
	cancel()
	if err := c.Close(); err != nil || len(d.loggedOut()) != 2 {
		t.Errorf("given up: %q, %v", d.loggedOut(), err)
	}
	c = in(t.Context())
	c.c.conn.Close() // as when the front end is killed
	await.Until(t, "the logout of a client that was killed", func() bool { return len(d.loggedOut()) == 3 })
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if _, err := c.Login(access.Credentials{User: "op", Password: "right"}); err == nil {
		t.Error("a login on a closed connection")
	}
}

// What waits for its turn to be signed is given up with its client.
func TestSignatureIsGivenUpWithItsClient(t *testing.T) {
	keys := &stamp{began: make(chan struct{}), gaveUp: make(chan error, 1)}
	f := stampFront(t, newFake(t), keys)
	ctx, cancel := context.WithCancel(t.Context())
	c, err := NewFront(f.Dial).Client(ctx)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := c.Sign("algorithm", "SHA-256", exchangeOf(c.Cookie(), ourKey, "secret"))
		done <- err
	}()
	<-keys.began
	cancel()
	if err := <-keys.gaveUp; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := <-done; err == nil {
		t.Error("signed")
	}
}

// Signatures and logins are asked for on a client's connection and nowhere else, and nothing else
// is asked there.
func TestOnlyOnAClientsConnection(t *testing.T) {
	d := newFake(t)
	keys := &stamp{}
	f := stampFront(t, d, keys)
	front := NewFront(f.Dial)
	right := &access.Credentials{User: "op", Password: "right"}
	sign := request{
		Do:        "sign",
		Algorithm: "algorithm",
		Hash:      "SHA-256",
		Exchange:  exchangeOf([16]byte{}, ourKey, "secret"),
	}
	for _, q := range []request{sign, {Do: "login", Credentials: right}, {Do: "logout", Login: "login-op"}} {
		if a, err := front.once(t.Context(), q); err == nil {
			t.Errorf("%s: %+v", q.Do, a)
		}
	}
	f.adopt("login-op")
	files, err := front.Files(t.Context(), "login-op")
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	client := beginClient(t, f)
	for _, q := range []request{
		{Do: "login"},
		{Do: "client"},
		{Do: "files", Login: "login-op", Kind: "sftp"},
		{Do: "spawn", Login: "login-op", Kind: "shell"},
		{Do: "hostKeys"},
		{},
	} {
		if a, _, err := client.c.ask(q); !hasCode(err, menu.Usage) {
			t.Errorf("on a client's connection %q: %+v, %v", q.Do, a, err)
		}
	}
	if _, _, err := files.c.ask(sign); err == nil {
		t.Error("signed in a session of files")
	}
	if len(keys.signed) != 0 || len(d.offered) != 0 {
		t.Errorf("%d signatures, %d logins", len(keys.signed), len(d.offered))
	}
}

// A connection that asks for one signature after the other gets some at once and then one now and
// then.
func TestPaceOfSignatures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(signBurst, signEvery)
		begun := time.Now()
		for range signBurst {
			l.wait(t.Context())
		}
		if took := time.Since(begun); took != 0 {
			t.Errorf("the first %d took %v", signBurst, took)
		}
		for n := range 20 {
			l.wait(t.Context())
			if took := time.Since(begun); took != time.Duration(n+1)*signEvery {
				t.Errorf("number %d came after %v", n+1, took)
			}
		}
		time.Sleep(time.Hour)
		begun = time.Now()
		for range signBurst + 1 {
			l.wait(t.Context())
		}
		if took := time.Since(begun); took != signEvery {
			t.Errorf("after an hour %d took %v", signBurst+1, took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), signEvery/2)
		defer cancel()
		if err := l.wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

// The appliance ends what a front end breaks off in the middle of a question.
func TestClientBrokenOff(t *testing.T) {
	d := newFake(t)
	f := stampFront(t, d, &stamp{})
	for _, then := range [][]byte{
		frame(`{"number":3,"do":"sign"}`), frame(`{"number":1,"do":"sign"}`), frame("nonsense"), []byte("\x00\x00\x10\x00{"), {},
	} {
		theirs, err := f.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		theirs.Write(frame(`{"number":1,"do":"client"}`))
		theirs.Write(then)
		theirs.CloseWrite()
		theirs.SetReadDeadline(time.Now().Add(10 * time.Second))
		text, err := io.ReadAll(theirs)
		reset := errors.Is(err, unix.ECONNRESET) // not all was read
		if !reset && (err != nil || len(text) < 4 || !bytes.HasPrefix(text[4:], []byte(`{"number":1,"cookie":"`))) {
			t.Errorf("after %q it answers %q, %v", then, text, err)
		}
		theirs.Close()
	}
}

// Whatever is to be signed, reading it ends, and what is taken for a key exchange has a host key
// and a cookie in it.
func FuzzExchange(f *testing.F) {
	f.Add(exchangeOf([16]byte{1}, ourKey, "secret"))
	f.Add(sshStrings("a", "b", "\x14", "\x14", "key"))
	f.Add([]byte("\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := parseExchange(text)
		if err != nil {
			return
		}
		if !bytes.Contains(text, e.hostKey) || !bytes.Contains(text, e.cookie[:]) || len(e.hostKey) < 4+len(e.keyType) {
			t.Fatalf("%+v", e)
		}
	})
}
