package privsep

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"diagsh/internal/menu"
)

// fakeCertificates sign everything that begins with "handshake".
type fakeCertificates struct {
	chain  [][]byte
	fromCA bool
	signed atomic.Int32
}

func (c *fakeCertificates) Chain() ([][]byte, bool) { return c.chain, c.fromCA }

func (c *fakeCertificates) Challenge(name string) [][]byte {
	if name != "mx1.example.com" {
		return nil
	}
	return [][]byte{[]byte("challenge")}
}

func (c *fakeCertificates) Sign(_ context.Context, leaf []byte, scheme uint16, message []byte) ([]byte, error) {
	if string(leaf) == "gone" {
		return nil, nil
	}
	if scheme != 0x0403 || !strings.HasPrefix(string(message), "handshake") {
		return nil, errors.New("no handshake")
	}
	c.signed.Add(1)
	return append([]byte("signed "), message...), nil
}

// The front gets the certificate when it has another one, and signatures of handshakes. What else it
// wants signed is a fault, which is told once.
func TestHandshakes(t *testing.T) {
	certificates := &fakeCertificates{chain: [][]byte{[]byte("leaf"), []byte("issuer")}, fromCA: true}
	m := monitorOf(t, newFake(t), Options{Certificates: certificates})
	front := NewFront(m.Dial)
	chain, fromCA, err := front.Certificate(t.Context(), nil)
	if err != nil || !fromCA || len(chain) != 2 || string(chain[0]) != "leaf" {
		t.Fatalf("%q, %v, %v", chain, fromCA, err)
	}
	if again, _, err := front.Certificate(t.Context(), chainHash(chain)); err != nil || again != nil {
		t.Errorf("what the front has: %q, %v", again, err)
	}
	certificates.chain = [][]byte{[]byte("renewed")}
	if next, _, err := front.Certificate(t.Context(), chainHash(chain)); err != nil || len(next) != 1 || string(next[0]) != "renewed" {
		t.Errorf("after a renewal: %q, %v", next, err)
	}
	if signature, err := front.SignHandshake(t.Context(), nil, 0x0403, []byte("handshake 1")); err != nil || string(signature) != "signed handshake 1" {
		t.Errorf("%q, %v", signature, err)
	}
	if _, err := front.SignHandshake(t.Context(), []byte("gone"), 0x0403, []byte("handshake 1")); !hasCode(err, menu.State) || m.faulty {
		t.Errorf("a certificate that is gone: %v, a fault of the front: %v", err, m.faulty)
	}
	if chain, err := front.Challenge(t.Context(), "mx1.example.com"); err != nil || len(chain) != 1 || string(chain[0]) != "challenge" {
		t.Errorf("%q %v", chain, err)
	}
	if chain, err := front.Challenge(t.Context(), "mx2.example.com"); !hasCode(err, menu.State) {
		t.Errorf("%q %v", chain, err)
	}
	for _, message := range []string{"", "a certificate", strings.Repeat("x", 8000)} {
		if signature, err := front.SignHandshake(t.Context(), nil, 0x0403, []byte(message)); !hasCode(err, menu.Usage) {
			t.Errorf("%.20q: signed %q, %v", message, signature, err)
		}
	}
	if !m.faulty || certificates.signed.Load() != 1 {
		t.Errorf("fault %v, %d signatures", m.faulty, certificates.signed.Load())
	}
	without := NewFront(monitorOf(t, newFake(t), Options{}).Dial)
	if _, _, err := without.Certificate(t.Context(), nil); !hasCode(err, menu.Usage) {
		t.Errorf("an appliance without certificates: %v", err)
	}
}

// A front that asks for one signature after the other gets some at once and then one now and then.
func TestPaceOfHandshakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signer := newHandshakeSigner(&fakeCertificates{})
		q := request{Scheme: 0x0403, Message: []byte("handshake")}
		began := time.Now()
		for range handshakeBurst + 10 {
			if _, err := signer.sign(t.Context(), q); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took != 10*handshakeEvery {
			t.Errorf("%d took %v", handshakeBurst+10, took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), handshakeEvery/2)
		defer cancel()
		if _, err := signer.sign(ctx, q); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

// A front attaches sessions of its own logins, for HTTPS and nothing else. They end at either side.
func TestAttach(t *testing.T) {
	d := newFake(t)
	m, _ := newMonitor(t, d)
	m.adopt("login-op")
	m.adopt("login-token")
	front := NewFront(m.Dial)
	attach := func(user, kind string) net.Conn {
		t.Helper()
		f, err := front.Attach(t.Context(), "login-"+user, kind)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		c, err := net.FileConn(f)
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(patience))
		return c
	}
	for user, kind := range map[string]string{"op": "web", "token": "api"} {
		c := attach(user, kind)
		io.WriteString(c, "!")
		said := make([]byte, len(user)+1)
		if _, err := io.ReadFull(c, said); err != nil || string(said) != user+"!" {
			t.Errorf("%s: %q, %v", kind, said, err)
		}
		d.endAll()
		if _, err := c.Read(said); err != io.EOF {
			t.Errorf("%s, ended by the appliance: %v", kind, err)
		}
		c.Close()
	}
	for _, c := range [][2]string{{"web", "login-ro"}, {"api", ""}, {"shell", "login-op"}, {"sftp", "login-op"}, {"", "login-op"},
		{"api", "login-op"}, {"web", "login-token"}} {
		kind, login := c[0], c[1]
		if f, err := front.Attach(t.Context(), login, kind); err == nil {
			f.Close()
			t.Errorf("a session %q of the login %q", kind, login)
		} else if !hasCode(err, menu.Denied) && !hasCode(err, menu.Usage) {
			t.Errorf("a session %q of the login %q: %v", kind, login, err)
		}
	}
}

// Those who go away while they wait for a signature do not keep others waiting after them.
func TestAFloodOfHandshakesIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signer := newHandshakeSigner(&fakeCertificates{})
		flood, end := context.WithCancel(t.Context())
		var gone sync.WaitGroup
		for range handshakeBurst + 5000 {
			gone.Go(func() { signer.allow(flood) })
		}
		synctest.Wait()
		end()
		gone.Wait()
		began := time.Now()
		if err := signer.allow(t.Context()); err != nil || time.Since(began) > handshakeEvery {
			t.Errorf("the next one is allowed after %v, %v", time.Since(began), err)
		}
	})
}
