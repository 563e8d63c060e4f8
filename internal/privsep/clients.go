package privsep

import (
	"bytes"
	"context"
	"crypto/rand"
	"net"
	"slices"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// HostKeys signs for the appliance. The keys do not leave it.
type HostKeys interface {
	// Public returns the public halves in SSH wire format.
	Public() [][]byte

	// Sign signs the hash of a key exchange with the host key of that type and by that algorithm.
	// It returns the signature in SSH wire format, and waits for its turn until ctx is done.
	Sign(ctx context.Context, keyType, algorithm string, hash []byte) ([]byte, error)
}

// clientTime is how long after its beginning a client may log in: the front's own limit is shorter.
// So whoever took the front over cannot keep a proof for later.
const clientTime = 2 * time.Minute

// A clientHandler answers what one client's connection needs. Its login belongs to it: it ends with
// the connection, however that ends.
type clientHandler struct {
	monitor   *Monitor
	begun     time.Time
	cookie    [16]byte // that the first key exchange has to have, so that it is none that was signed before
	sessionID []byte   // the hash of the first key exchange (RFC 4253 section 7.2)
	pace      pace
	login     string
}

// serveClient answers until the front hangs up, or the connection is at fault. Then the login has
// ended.
func (m *Monitor) serveClient(c *net.UnixConn, first request) {
	d := &clientHandler{monitor: m, begun: time.Now(), pace: pace{left: signBurst, last: time.Now()}}
	rand.Read(d.cookie[:])
	defer d.logout()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if respond(c, first, reply{Cookie: d.cookie[:]}) != nil {
		return
	}
	for q := range m.requests(ctx, c, cancel) {
		a, err := d.answer(ctx, q)
		if err != nil {
			a = m.failed(q.Do, err)
		}
		if respond(c, q, a) != nil {
			return
		}
	}
}

// questions reads what is asked on a connection after its first question, until ctx is done. It
// calls hungUp when there is no more to come: what waits is given up then.
func (m *Monitor) requests(ctx context.Context, c *net.UnixConn, hungUp func()) <-chan request {
	requests := make(chan request)
	go func() {
		defer close(requests)
		defer hungUp()
		for last := uint64(1); ; last++ {
			q, err := readRequest(c, last, maxRequestFrame)
			if err != nil {
				m.fault(err)
				return
			}
			select {
			case requests <- q:
			case <-ctx.Done():
				return
			}
		}
	}()
	return requests
}

func (d *clientHandler) answer(ctx context.Context, q request) (reply, error) {
	switch {
	case q.Do == "sign":
		return d.sign(ctx, q)
	case q.Do == "login" && q.Credentials != nil:
		return d.logIn(ctx, *q.Credentials)
	}
	return reply{}, errUnknownRequest
}

// sign signs the hash of a key exchange. It computes the hash itself, of an exchange with one of
// the host keys in it, and for the first one with the cookie of this connection. So nothing is
// signed that means something elsewhere, or meant something before.
func (d *clientHandler) sign(ctx context.Context, q request) (reply, error) {
	e, err := parseExchange(q.Exchange)
	newHash, known := exchangeHashes[q.Hash]
	switch {
	case err != nil:
	case !known:
		err = outOfStep("a signature of an exchange by the hash %q", q.Hash)
	case !slices.ContainsFunc(d.monitor.hostKeys.Public(), func(key []byte) bool { return bytes.Equal(key, e.hostKey) }):
		err = outOfStep("a signature for a host key of type %q that is not ours", e.keyType)
	case d.sessionID == nil && e.cookie != d.cookie:
		err = outOfStep("a signature of an exchange that is not this connection's")
	}
	if err != nil {
		d.monitor.fault(err)
		return reply{}, errUnknownRequest
	}
	if err := d.pace.wait(ctx); err != nil {
		return reply{}, err
	}
	h := newHash()
	h.Write(q.Exchange)
	sum := h.Sum(nil)
	signature, err := d.monitor.hostKeys.Sign(ctx, e.keyType, q.Algorithm, sum)
	if err != nil {
		return reply{}, err
	}
	if d.sessionID == nil {
		d.sessionID = sum
	}
	return reply{Signature: signature}, nil
}

// logIn checks credentials. The appliance audits both outcomes, since it knows why a login failed
// and the front must not.
func (d *clientHandler) logIn(ctx context.Context, c access.Credentials) (reply, error) {
	if d.login != "" {
		return reply{}, menu.Errorf(menu.State, "This connection has logged in already")
	}
	if time.Since(d.begun) > clientTime {
		return reply{}, menu.Errorf(menu.State, "The time to log in is over").WithHint("Connect again")
	}
	c.SessionID = d.sessionID
	login, err := d.monitor.logins.Login(ctx, c)
	if err != nil {
		return reply{}, err
	}
	if !d.monitor.adopt(login.ID) {
		d.monitor.logins.Logout(login.ID)
		return reply{}, errFrontEnded
	}
	d.login = login.ID
	login.MayFiles = d.monitor.boundary.MayFiles(login.Caller)
	return reply{Login: &login}, nil
}

func (d *clientHandler) logout() {
	if d.login != "" && d.monitor.disown(d.login) {
		d.monitor.logins.Logout(d.login)
	}
}

// A connection may ask for signBurst signatures at once, and for one more in each signEvery after
// that. It needs one, and another for each gigabyte or hour (RFC 4253 section 9).
const (
	signBurst = 16
	signEvery = 250 * time.Millisecond
)

// A pace bounds how often something is done. It is for one goroutine.
type pace struct {
	left float64
	last time.Time
}

// wait returns when it may be done once more, or ctx is done.
func (p *pace) wait(ctx context.Context) error {
	now := time.Now()
	p.left = min(signBurst, p.left+float64(now.Sub(p.last))/float64(signEvery)) - 1
	p.last = now
	if p.left >= 0 {
		return nil
	}
	select {
	case <-time.After(time.Duration(-p.left * float64(signEvery))):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
