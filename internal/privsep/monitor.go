package privsep

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"diagsh/internal/menu"
)

// maxConns bounds the connections of one front at a time: one for each client and each session, and
// those of single requests.
const maxConns = 4096

// firstRequestTime is how long a connection may be open before its first request.
const firstRequestTime = 10 * time.Second

var errFrontEnded = errors.New("the front has ended")

// Options are what the monitor of a front needs. All of them outlive it.
type Options struct {
	Logins   Logins
	Boundary Boundary
	Spawner  Spawner
	HostKeys HostKeys
	// Certificates are for clients of TLS; nil: there are none.
	Certificates Certificates
	Log          *slog.Logger
}

// A Monitor answers one front: the process that faces the network. Whatever becomes of that
// process, it acts only for logins that were made through it, and they end with it.
type Monitor struct {
	logins   Logins
	boundary Boundary
	spawner  Spawner
	hostKeys HostKeys
	tls      *handshakeSigner
	log      *slog.Logger
	slots    chan struct{} // holds an element for each connection

	firstRequestTime time.Duration // shorter in tests

	mu      sync.Mutex
	ended   bool
	faulty  bool // a connection was at fault
	conns   map[net.Conn]struct{}
	own     map[string]struct{} // logins that were made through the front
	serving sync.WaitGroup
}

// NewMonitor returns the monitor of a new front. The caller closes it after the front has ended.
func NewMonitor(o Options) *Monitor {
	return &Monitor{
		logins:   o.Logins,
		boundary: o.Boundary,
		spawner:  o.Spawner,
		hostKeys: o.HostKeys,
		tls:      newHandshakeSigner(o.Certificates),
		log:      o.Log,
		slots:    make(chan struct{}, maxConns),
		conns:    map[net.Conn]struct{}{},
		own:      map[string]struct{}{},

		firstRequestTime: firstRequestTime,
	}
}

// Dial makes a pair of connected sockets, answers on one and returns the other. It waits while the
// front has too many connections.
func (m *Monitor) Dial(ctx context.Context) (*net.UnixConn, error) {
	select {
	case m.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	ours, theirs, err := pair()
	if err == nil && !m.enter(ours) {
		ours.Close()
		theirs.Close()
		err = errFrontEnded
	}
	if err != nil {
		<-m.slots
		return nil, err
	}
	go func() {
		defer m.leave(ours)
		m.serve(ours)
	}()
	return theirs, nil
}

// enter notes an open connection. It reports false if the front has ended.
func (m *Monitor) enter(c net.Conn) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ended {
		return false
	}
	m.conns[c] = struct{}{}
	m.serving.Add(1)
	return true
}

// leave closes a connection and forgets it.
func (m *Monitor) leave(c net.Conn) {
	c.Close()
	m.mu.Lock()
	delete(m.conns, c)
	m.mu.Unlock()
	m.serving.Done()
	<-m.slots
}

// Close ends the connections of a front that has ended, hangs up its sessions and ends its logins.
// It returns after the processes of the sessions have ended.
func (m *Monitor) Close() {
	m.mu.Lock()
	m.ended = true
	for c := range m.conns {
		c.Close()
	}
	logins := m.own
	m.own = nil
	m.mu.Unlock()
	for login := range logins {
		m.logins.Logout(login)
	}
	m.serving.Wait()
}

// adopt notes a login that was made through the front. It reports false if the front has ended.
func (m *Monitor) adopt(login string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.ended {
		m.own[login] = struct{}{}
	}
	return !m.ended
}

// disown forgets a login, and reports whether it was made through the front.
func (m *Monitor) disown(login string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, own := m.own[login]
	delete(m.own, login)
	return own
}

var (
	errForeignLogin   = menu.Errorf(menu.Denied, "There is no such login")
	errUnknownRequest = menu.Errorf(menu.Usage, "The front asked for something unknown")
)

// attach begins a session of a login that was made through the front.
func (m *Monitor) attach(login, kind string) (caller menu.Caller, ended <-chan struct{}, detach func(), err error) {
	m.mu.Lock()
	_, own := m.own[login]
	m.mu.Unlock()
	if !own {
		return menu.Caller{}, nil, nil, errForeignLogin
	}
	return m.logins.Attach(login, kind)
}

// serve answers one connection of the front.
func (m *Monitor) serve(c *net.UnixConn) {
	c.SetReadDeadline(time.Now().Add(m.firstRequestTime))
	q, err := readRequest(c, 0, maxFirstFrame)
	if err != nil {
		m.fault(err)
		return
	}
	c.SetReadDeadline(time.Time{})
	switch q.Do {
	case "files":
		m.serveFiles(c, q)
	case "spawn":
		m.serveProgram(c, q)
	case "client":
		m.serveClient(c, q)
	case "attach":
		m.serveAttach(c, q)
	default:
		// The front hangs up when its client does. Then ctx ends, and the request is given up.
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go func() {
			io.Copy(io.Discard, c)
			cancel()
		}()
		a, err := m.answer(ctx, q)
		if err != nil {
			a = m.failed(q.Do, err)
		}
		respond(c, q, a)
	}
}

// fault logs a fault of a connection, once for each front: one that was taken over may have any
// number of them.
func (m *Monitor) fault(err error) {
	if !errors.Is(err, errOutOfStep) {
		return
	}
	m.mu.Lock()
	first := !m.faulty
	m.faulty = true
	m.mu.Unlock()
	if first {
		m.log.Error("the front broke the protocol", "error", err)
	}
}

// failed returns the reply to a request that failed with err. what says what was asked.
func (m *Monitor) failed(what string, err error) reply {
	return reply{Error: m.boundary.AsError(what, err)}
}

// closeAfter closes c when ended is closed, unless the caller calls stop before.
func closeAfter(ended <-chan struct{}, c io.Closer) (stop func()) {
	stopped := make(chan struct{})
	go func() {
		select {
		case <-ended:
			c.Close()
		case <-stopped:
		}
	}()
	return func() { close(stopped) }
}

// readRequest reads the request after the one with the number last, in a frame of at most that many
// bytes.
func readRequest(c io.Reader, last uint64, most uint32) (request, error) {
	var q request
	err := readFrame(c, most, &q)
	if err == nil && q.Number != last+1 {
		err = outOfStep("question %d after question %d", q.Number, last)
	}
	return q, err
}

// respond writes the reply to a request, with open descriptors.
func respond(c *net.UnixConn, q request, a reply, files ...*os.File) error {
	a.Number = q.Number
	return writeFrame(c, a, files...)
}

// answer returns the reply to a request that is the only one of its connection.
func (m *Monitor) answer(ctx context.Context, q request) (reply, error) {
	switch q.Do {
	case "banner":
		return reply{Text: m.logins.Banner()}, nil
	case "signInWays":
		return reply{Ways: m.logins.SignInWays()}, nil
	case "azure":
		azure := m.logins.Azure()
		return reply{Azure: &azure}, nil
	case "beginSignIn":
		to, err := m.logins.BeginSignIn(ctx, q.Source)
		return reply{Redirect: &to}, err
	case "visitors":
		return reply{Sources: m.logins.Visitors()}, nil
	case "knocked":
		if q.Knock == nil {
			break
		}
		m.logins.Knocked(*q.Knock)
		return reply{}, nil
	case "keyKnown":
		return reply{Known: m.logins.KeyKnown(ctx, q.User, q.Source, q.Key)}, nil
	case "hostKeys":
		return reply{Keys: m.hostKeys.Public()}, nil
	case "certificate":
		return m.tls.chain(q)
	case "tlsSign":
		a, err := m.tls.sign(ctx, q)
		if errors.Is(err, errOutOfStep) {
			m.fault(err)
			err = errUnknownRequest
		}
		return a, err
	}
	return reply{}, errUnknownRequest
}
