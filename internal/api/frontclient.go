package api

import (
	"context"
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

	// Sign signs the hash of a key exchange with the host key of that type and by that algorithm. It returns the
	// signature in SSH wire format, and waits for its turn until ctx is done.
	Sign(ctx context.Context, keyType, algorithm string, hash []byte) ([]byte, error)
}

// hashSizes are those of an exchange hash: SHA-256, SHA-384, SHA-512 (RFC 4253 section 8, RFC 5656, RFC 8731). Nothing else is
// signed, so that no message that means something elsewhere can be put in its place.
var hashSizes = []int{32, 48, 64}

// A clientDesk answers what one client's connection needs. Its login belongs to it: it ends with the connection, however that ends.
type clientDesk struct {
	front     *Front
	sessionID []byte // the first hash that was signed (RFC 4253 section 7.2)
	pace      pace
	login     string
}

// serveClient answers until the front hangs up, or the connection is at fault. Then the login has ended.
func (f *Front) serveClient(c *net.UnixConn) {
	d := &clientDesk{front: f, pace: pace{left: signBurst, last: time.Now()}}
	defer d.logout()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for q := range f.questions(ctx, c, cancel) {
		a, err := d.answer(ctx, q)
		if err != nil {
			a = frontReply{Error: bodyOf(f.server.asError(q.Do, err))}
		}
		if reply(c, q, a) != nil {
			return
		}
	}
}

// questions reads what is asked on a connection after its first question, until ctx is done. It calls hungUp when there is no more to
// come: what waits is given up then.
func (f *Front) questions(ctx context.Context, c *net.UnixConn, hungUp func()) <-chan frontRequest {
	questions := make(chan frontRequest)
	go func() {
		defer close(questions)
		defer hungUp()
		for last := uint64(1); ; last++ {
			q, err := readQuestion(c, last, maxFirstFrame)
			if err != nil {
				f.fault(err)
				return
			}
			select {
			case questions <- q:
			case <-ctx.Done():
				return
			}
		}
	}()
	return questions
}

func (d *clientDesk) answer(ctx context.Context, q frontRequest) (frontReply, error) {
	switch {
	case q.Do == "sign":
		return d.sign(ctx, q)
	case q.Do == "login" && q.Credentials != nil:
		return d.logIn(ctx, *q.Credentials)
	}
	return frontReply{}, errUnknownQuestion
}

func (d *clientDesk) sign(ctx context.Context, q frontRequest) (frontReply, error) {
	if !slices.Contains(hashSizes, len(q.Hash)) {
		return frontReply{}, menu.Errorf(menu.Usage, "The front asked for a signature of %d bytes, which are no hash", len(q.Hash))
	}
	if err := d.pace.wait(ctx); err != nil {
		return frontReply{}, err
	}
	signature, err := d.front.hostKeys.Sign(ctx, q.KeyType, q.Algorithm, q.Hash)
	if err != nil {
		return frontReply{}, err
	}
	if d.sessionID == nil {
		d.sessionID = q.Hash
	}
	return frontReply{Signature: signature}, nil
}

// logIn checks credentials. The appliance audits both outcomes, since it knows why a login failed and the front must not.
func (d *clientDesk) logIn(ctx context.Context, c access.Credentials) (frontReply, error) {
	if d.login != "" {
		return frontReply{}, menu.Errorf(menu.State, "This connection has logged in already")
	}
	c.SessionID = d.sessionID
	login, err := d.front.server.appliance.Login(ctx, c)
	if err != nil {
		return frontReply{}, err
	}
	if !d.front.adopt(login.ID) {
		d.front.server.appliance.Logout(login.ID)
		return frontReply{}, errFrontEnded
	}
	d.login = login.ID
	login.MayFiles = login.Caller.Role.Includes(roleListFiles)
	return frontReply{Login: &login}, nil
}

func (d *clientDesk) logout() {
	if d.login != "" && d.front.disown(d.login) {
		d.front.server.appliance.Logout(d.login)
	}
}

// A connection may ask for signBurst signatures at once, and for one more in each signEvery after that. It needs one, and another
// for each gigabyte or hour (RFC 4253 section 9).
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
