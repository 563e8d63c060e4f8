package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// A stamp is HostKeys without any: a signature is the name of the algorithm and the hash.
type stamp struct {
	mu     sync.Mutex
	signed [][]byte
	began  chan struct{} // one element for each signature that waits, where it is not nil
	gaveUp chan error
}

func (s *stamp) Public() [][]byte { return [][]byte{[]byte("public key")} }

func (s *stamp) Sign(ctx context.Context, keyType, algorithm string, hash []byte) ([]byte, error) {
	if keyType != "key" {
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
func stampFront(t testing.TB, d *desk, keys *stamp) *Front {
	t.Helper()
	f := NewServer(d, d.tree(), slog.New(slog.DiscardHandler)).NewFront(FrontOptions{HostKeys: keys})
	t.Cleanup(f.Close)
	return f
}

func beginClient(t testing.TB, f *Front) *ClientSession {
	t.Helper()
	c, err := NewFrontEnd(f.Dial).Client(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// Only what can be an exchange hash is signed.
func TestOnlyHashesAreSigned(t *testing.T) {
	keys := &stamp{}
	f := stampFront(t, newDesk(t), keys)
	for size := range 130 {
		c := beginClient(t, f)
		signature, err := c.Sign("key", "algorithm", make([]byte, size))
		if wanted := size == 32 || size == 48 || size == 64; (err == nil) != wanted || wanted && len(signature) != 9+size {
			t.Errorf("%d bytes: a signature of %d, %v", size, len(signature), err)
		}
		c.Close()
	}
	if len(keys.signed) != 3 {
		t.Errorf("%d signatures", len(keys.signed))
	}
	if public, err := NewFrontEnd(f.Dial).HostKeys(t.Context()); err != nil || len(public) != 1 || string(public[0]) != "public key" {
		t.Errorf("host keys: %q, %v", public, err)
	}
}

// The session of a connection is the first hash that was signed on it, whatever else the front end says and asks.
func TestSessionIsTheFirstHash(t *testing.T) {
	d := newDesk(t)
	f := stampFront(t, d, &stamp{})
	offered := func(c *ClientSession) []byte {
		t.Helper()
		c.Login(access.Credentials{User: "op", Key: []byte("k"), SessionID: []byte("chosen by the front end")})
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.offered[len(d.offered)-1].SessionID
	}
	c := beginClient(t, f)
	if id := offered(c); id != nil {
		t.Errorf("before a key exchange it is %q", id)
	}
	first, second := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 64)
	for _, try := range []func() ([]byte, error){
		func() ([]byte, error) { return c.Sign("no key", "algorithm", second) },
		func() ([]byte, error) { return c.Sign("key", "algorithm", second[:20]) },
	} {
		if signature, err := try(); err == nil {
			t.Errorf("signed: %q", signature)
		}
		if id := offered(c); id != nil {
			t.Errorf("without a signature it is %q", id)
		}
	}
	for _, hash := range [][]byte{first, second} {
		if _, err := c.Sign("key", "algorithm", hash); err != nil {
			t.Fatal(err)
		}
		if id := offered(c); !bytes.Equal(id, first) {
			t.Errorf("after %v it is %v", hash, id)
		}
	}
	other := beginClient(t, f)
	if id := offered(other); id != nil {
		t.Errorf("another connection has %q", id)
	}
	if _, err := other.Sign("key", "algorithm", second); err != nil {
		t.Fatal(err)
	}
	if id := offered(other); !bytes.Equal(id, second) {
		t.Errorf("another connection has %v", id)
	}
}

// No member of a frame sets the session.
func TestSessionIsInNoFrame(t *testing.T) {
	d := newDesk(t)
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
		var a frontReply
		if err := readFrame(theirs, maxAnswerFrame, &a); err != nil {
			t.Fatal(err)
		}
	}
	if id := d.offered[0].SessionID; id != nil {
		t.Errorf("the session is %q", id)
	}
}

// A login belongs to its connection: it ends with it, however that ends, before anybody is told so.
func TestLoginEndsWithItsConnection(t *testing.T) {
	d := newDesk(t)
	f := stampFront(t, d, &stamp{})
	in := func(ctx context.Context) *ClientSession {
		t.Helper()
		c, err := NewFrontEnd(f.Dial).Client(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Login(access.Credentials{User: "op", Password: "right"}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Login(access.Credentials{User: "admin", Password: "right"}); menu.AsError(err) == nil || menu.AsError(err).Kind != menu.State {
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
	for deadline := time.Now().Add(10 * time.Second); len(d.loggedOut()) != 3; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("killed: %q", d.loggedOut())
		}
	}
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
	f := stampFront(t, newDesk(t), keys)
	ctx, cancel := context.WithCancel(t.Context())
	c, err := NewFrontEnd(f.Dial).Client(ctx)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := c.Sign("key", "algorithm", make([]byte, 32))
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

// Signatures and logins are asked for on a client's connection and nowhere else, and nothing else is asked there.
func TestOnlyOnAClientsConnection(t *testing.T) {
	d := newDesk(t)
	keys := &stamp{}
	f := stampFront(t, d, keys)
	front := NewFrontEnd(f.Dial)
	right := &access.Credentials{User: "op", Password: "right"}
	for _, q := range []frontRequest{{Do: "sign", KeyType: "key", Algorithm: "a", Hash: make([]byte, 32)}, {Do: "login", Credentials: right}, {Do: "logout", Login: "login-op"}} {
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
	for _, q := range []frontRequest{{Do: "login"}, {Do: "client"}, {Do: "files", Login: "login-op", Kind: "sftp"}, {Do: "spawn", Login: "login-op", Kind: "shell"}, {Do: "hostKeys"}, {}} {
		if a, _, err := client.c.ask(q); menu.AsError(err) == nil || menu.AsError(err).Kind != menu.Usage {
			t.Errorf("on a client's connection %q: %+v, %v", q.Do, a, err)
		}
	}
	if _, _, err := files.c.ask(frontRequest{Do: "sign", KeyType: "key", Algorithm: "a", Hash: make([]byte, 32)}); err == nil {
		t.Error("signed in a session of files")
	}
	if len(keys.signed) != 0 || len(d.offered) != 0 {
		t.Errorf("%d signatures, %d logins", len(keys.signed), len(d.offered))
	}
}

// A connection that asks for one signature after the other gets some at once and then one now and then.
func TestPaceOfSignatures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pace{left: signBurst, last: time.Now()}
		begun := time.Now()
		for range signBurst {
			p.wait(t.Context())
		}
		if took := time.Since(begun); took != 0 {
			t.Errorf("the first %d took %v", signBurst, took)
		}
		for n := range 20 {
			p.wait(t.Context())
			if took := time.Since(begun); took != time.Duration(n+1)*signEvery {
				t.Errorf("number %d came after %v", n+1, took)
			}
		}
		time.Sleep(time.Hour)
		begun = time.Now()
		for range signBurst + 1 {
			p.wait(t.Context())
		}
		if took := time.Since(begun); took != signEvery {
			t.Errorf("after an hour %d took %v", signBurst+1, took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), signEvery/2)
		defer cancel()
		if err := p.wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

// The appliance ends what a front end breaks off in the middle of a question.
func TestClientBrokenOff(t *testing.T) {
	d := newDesk(t)
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
		if text, err := io.ReadAll(theirs); err != nil && !errors.Is(err, unix.ECONNRESET) || err == nil && !bytes.Equal(text, frame(`{"number":1}`)) {
			t.Errorf("after %q it answers %q, %v", then, text, err)
		}
		theirs.Close()
	}
}
