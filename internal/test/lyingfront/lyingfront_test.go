// Package lyingfront tries what somebody could do who has taken over the process that faces the
// network.
package lyingfront

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/ssh"

	"diagsh/internal/access"
	"diagsh/internal/api"
	"diagsh/internal/daemon"
	"diagsh/internal/hostkeys"
	"diagsh/internal/menu"
	"diagsh/internal/privsep"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newKey(t testing.TB) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	signer, err := ssh.NewSignerFromKey(private)
	check(t, err)
	return signer
}

// A bed is an appliance with an administrator's key, and a front of it that does what the test
// says.
type bed struct {
	*testing.T
	appliance *daemon.Daemon
	front     *privsep.Front
	hostKey   ssh.PublicKey
	admin     ssh.Signer
}

func newBed(t *testing.T) *bed {
	b := &bed{T: t, admin: newKey(t)}
	dir := t.TempDir()
	line := filepath.Join(dir, "key")
	check(t, os.WriteFile(line, ssh.MarshalAuthorizedKey(b.admin.PublicKey()), 0o600))
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	var err error
	b.appliance, err = daemon.Open(daemon.Options{Dir: filepath.Join(dir, "data"), AdminKeyFile: line, Product: "diagsh", Log: log})
	check(t, err)
	keys, err := hostkeys.Open(filepath.Join(dir, "hostkeys"), log)
	check(t, err)
	server := api.NewServer(b.appliance, &menu.Menu{}, log)
	socket, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "api.sock"), Net: "unix"})
	check(t, err)
	go server.Serve(socket)
	front := privsep.NewMonitor(privsep.Options{
		Logins:       b.appliance,
		Boundary:     boundary{server},
		HostKeys:     keys,
		Certificates: b.appliance,
		Log:          log,
	})
	t.Cleanup(func() {
		front.Close()
		check(t, server.Close())
		check(t, b.appliance.Close(context.Background()))
	})
	b.front = privsep.NewFront(front.Dial)
	public, err := b.front.HostKeys(t.Context())
	check(t, err)
	b.hostKey, err = ssh.ParsePublicKey(public[0])
	check(t, err)
	return b
}

// boundary is the boundary as privsep declares it.
type boundary struct{ *api.Server }

func (b boundary) Files(session string) privsep.Files { return b.Server.Files(session) }

func (b *bed) client() *privsep.ClientSession {
	b.Helper()
	c, err := b.front.Client(b.Context())
	check(b, err)
	b.Cleanup(func() { c.Close() })
	return c
}

// A spy is a server that keeps what it sees, with the appliance's host key or another one.
type spy struct {
	public   ssh.PublicKey
	sign     func(algorithm string, exchange, hash []byte) ([]byte, error)
	exchange []byte
	stolen   *access.Credentials
}

// spyKey makes an ssh.ExchangeSigner of a spy.
type spyKey struct{ *spy }

func (k spyKey) PublicKey() ssh.PublicKey { return k.public }

func (k spyKey) Sign(io.Reader, []byte) (*ssh.Signature, error) {
	return nil, errors.New("no exchange")
}

func (k spyKey) SignExchange(_ io.Reader, exchange, hash []byte, algorithm string) (*ssh.Signature, error) {
	k.exchange = bytes.Clone(exchange)
	text, err := k.sign(algorithm, exchange, hash)
	if err != nil {
		return nil, err
	}
	signature := new(ssh.Signature)
	return signature, ssh.Unmarshal(text, signature)
}

// steal lets a user log in at the spy with that cookie, and returns the proof that it is given.
func (s *spy) steal(b *bed, cookie [16]byte, user ssh.Signer) access.Credentials {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(b, err)
	defer l.Close()
	served := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			served <- err
			return
		}
		config := &ssh.ServerConfig{
			FirstKexCookie:    &cookie,
			PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return nil, nil },
			PublicKeyProofCallback: func(c ssh.ConnMetadata, key ssh.PublicKey, _ *ssh.Permissions, p ssh.PublicKeyProof) (*ssh.Permissions, error) {
				s.stolen = &access.Credentials{User: c.User(), Source: "192.0.2.1", Key: key.Marshal(), Algorithm: p.Algorithm, Signature: ssh.Marshal(p.Signature)}
				return nil, nil
			},
		}
		config.AddHostKey(spyKey{s})
		_, _, _, err = ssh.NewServerConn(conn, config)
		conn.Close()
		served <- err
	}()
	c, err := ssh.Dial("tcp", l.Addr().String(), &ssh.ClientConfig{
		User: "admin", Auth: []ssh.AuthMethod{ssh.PublicKeys(user)}, HostKeyCallback: ssh.FixedHostKey(s.public),
	})
	check(b, err)
	c.Close()
	check(b, <-served)
	return *s.stolen
}

// remote is the spy of a front: the appliance signs for it.
func (b *bed) remote(c *privsep.ClientSession) *spy {
	return &spy{public: b.hostKey, sign: func(algorithm string, exchange, _ []byte) ([]byte, error) {
		return c.Sign(algorithm, "SHA-256", exchange)
	}}
}

// denied expects that nobody is logged in by what was offered.
func (b *bed) denied(what string, c *privsep.ClientSession, offered access.Credentials) {
	b.Helper()
	before := len(b.refused())
	l, err := c.Login(offered)
	if e := menu.AsError(err); e == nil || e.Code != menu.Denied {
		b.Errorf("%s: logged in as %+v, %v", what, l, err)
	}
	if n := len(b.refused()) - before; n != 1 {
		b.Errorf("%s: %d lines of the audit log", what, n)
	}
}

func (b *bed) refused() (events []access.Event) {
	b.Helper()
	check(b, b.appliance.Events(b.Context(), access.EventFilter{Act: access.ActRefused}, func(e access.Event) error {
		events = append(events, e)
		return nil
	}))
	return events
}

// What a front has seen of a user serves for that user's own connection, once.
func TestStolenProofs(t *testing.T) {
	b := newBed(t)
	c := b.client()
	front := b.remote(c)
	proof := front.steal(b, c.Cookie(), b.admin)
	if l, err := c.Login(proof); err != nil || l.Caller.User != "admin" {
		t.Fatalf("an honest login: %+v, %v", l, err)
	}
	if l, err := c.Login(proof); menu.AsError(err) == nil || menu.AsError(err).Code != menu.State {
		t.Errorf("twice on one connection: %+v, %v", l, err)
	}
	check(t, c.Close())
	if n := len(b.appliance.Sessions()); n != 0 {
		t.Errorf("%d sessions when the user is gone", n)
	}

	b.denied("on a connection without a key exchange", b.client(), proof)

	again := b.client()
	if signature, err := again.Sign(ssh.KeyAlgoED25519, "SHA-256", front.exchange); err == nil {
		t.Errorf("the exchange of a user who is gone is signed anew: %q", signature)
	}
	b.denied("on a connection with that user's key exchange", again, proof)

	other := b.client()
	mine := b.remote(other).steal(b, other.Cookie(), newKey(t)) // a client of the attacker's own
	b.denied("on a connection of somebody else", other, proof)
	b.denied("the attacker's own key", other, mine)
	claim := proof
	claim.Signature = mine.Signature
	b.denied("the user's key with the attacker's signature", other, claim)
	claim = mine
	claim.Key = proof.Key
	b.denied("the user's key in the attacker's request", other, claim)
	claim = proof
	claim.Signature = nil
	b.denied("the user's key alone", other, claim)
	if n := len(b.appliance.Sessions()); n != 0 {
		t.Errorf("%d sessions", n)
	}
}

// Who serves elsewhere, where the user comes with the same key, has nothing of it here.
func TestProofsForAnotherServer(t *testing.T) {
	b := newBed(t)
	c := b.client()
	theirs := newKey(t)
	elsewhere := &spy{public: theirs.PublicKey(), sign: func(_ string, _, hash []byte) ([]byte, error) {
		signature, err := theirs.Sign(rand.Reader, hash)
		if err != nil {
			return nil, err
		}
		return ssh.Marshal(signature), nil
	}}
	proof := elsewhere.steal(b, c.Cookie(), b.admin)
	if signature, err := c.Sign(ssh.KeyAlgoED25519, "SHA-256", elsewhere.exchange); err == nil {
		t.Errorf("the key exchange of another server is signed: %q", signature)
	}
	b.denied("with a proof for another server", c, proof)
}

// A login ends when the front is killed, at whatever moment, and what belongs to another front is
// out of reach.
func TestLoginsOfAFrontThatDies(t *testing.T) {
	b := newBed(t)
	ctx, cancel := context.WithCancel(t.Context())
	c, err := b.front.Client(ctx)
	check(t, err)
	proof := b.remote(c).steal(b, c.Cookie(), b.admin)
	_, err = c.Login(proof)
	check(t, err)
	if n := len(b.appliance.PastLogins(0)); n != 1 {
		t.Errorf("%d past logins", n)
	}
	cancel()
	check(t, c.Close())
	if v := b.appliance.PastLogins(0); len(v) != 1 || v[0].Ended == nil {
		t.Errorf("the login goes on: %+v", v)
	}
}
