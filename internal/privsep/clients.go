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

// clientTime is how long after its beginning a client may log in. The limit of the front is
// shorter. So an attacker in the front cannot keep a proof for later.
const clientTime = 2 * time.Minute

// A clientHandler answers the requests of one client's connection. The login belongs to the
// connection, and ends with it.
type clientHandler struct {
	monitor   *Monitor
	begun     time.Time
	cookie    [16]byte // of the first key exchange, which so cannot be one that was signed before
	sessionID []byte   // the hash of the first key exchange (RFC 4253 section 7.2)
	signing   *limiter
	login     string
}

// serveClient answers until the front hangs up, or the connection is at fault. Then it ends the
// login.
func (m *Monitor) serveClient(c *net.UnixConn, first request) {
	d := &clientHandler{monitor: m, begun: time.Now(), signing: newLimiter(signBurst, signEvery)}
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

// requests reads the requests after the first one, until ctx is done. It calls hungUp after the
// last one, so that the request that waits is given up.
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

// answer returns the reply to one request.
func (d *clientHandler) answer(ctx context.Context, q request) (reply, error) {
	switch {
	case q.Do == "sign":
		return d.sign(ctx, q)
	case q.Do == "login" && q.Credentials != nil:
		return d.logIn(ctx, *q.Credentials)
	case q.Do == "grant" && d.login != "":
		pass, err := d.monitor.logins.Grant(d.login, q.Name)
		return reply{Pass: &pass}, err
	}
	return reply{}, errUnknownRequest
}

// sign signs the hash of a key exchange. It computes the hash itself. The exchange must have one of
// the host keys in it, and the first one the cookie of this connection. So a signature means
// nothing elsewhere, and meant nothing before.
func (d *clientHandler) sign(ctx context.Context, q request) (reply, error) {
	e, err := parseExchange(q.Exchange)
	newHash, known := exchangeHashes[q.Hash]
	switch {
	case err != nil:
	case !known:
		err = outOfStep("a signature of an exchange by the hash %q", q.Hash)
	case !d.hasHostKey(e.hostKey):
		err = outOfStep("a signature for a host key of type %q that is not ours", e.keyType)
	case d.sessionID == nil && e.cookie != d.cookie:
		err = outOfStep("a signature of an exchange that is not this connection's")
	}
	if err != nil {
		d.monitor.fault(err)
		return reply{}, errUnknownRequest
	}
	if err := d.signing.wait(ctx); err != nil {
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

// hasHostKey reports whether a key (SSH wire format) is one of the appliance's.
func (d *clientHandler) hasHostKey(key []byte) bool {
	return slices.ContainsFunc(d.monitor.hostKeys.Public(), func(own []byte) bool { return bytes.Equal(own, key) })
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

// logout ends the login, if there is one.
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

// A limiter bounds how often something is done: burst times at once, and then once in every. It is
// for one goroutine.
type limiter struct {
	burst float64
	every time.Duration
	left  float64
	last  time.Time
}

// newLimiter returns a limiter that allows burst times at once.
func newLimiter(burst int, every time.Duration) *limiter {
	return &limiter{burst: float64(burst), every: every, left: float64(burst), last: time.Now()}
}

// take takes one time and returns how long the caller must wait for it.
func (l *limiter) take() time.Duration {
	now := time.Now()
	l.left = min(l.burst, l.left+float64(now.Sub(l.last))/float64(l.every)) - 1
	l.last = now
	return time.Duration(max(0, -l.left) * float64(l.every))
}

// giveBack gives back a time that was taken and not used.
func (l *limiter) giveBack() { l.left = min(l.burst, l.left+1) }

// wait waits until one more time is allowed, or ctx is done.
func (l *limiter) wait(ctx context.Context) error { return sleep(ctx, l.take()) }

// sleep waits for that long, or until ctx is done, whose error it returns then.
func sleep(ctx context.Context, pause time.Duration) error {
	if pause == 0 {
		return nil
	}
	select {
	case <-time.After(pause):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
