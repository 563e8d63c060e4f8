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

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// maxConns bounds the connections that one front has open: one for each client and each session, and what they ask meanwhile.
const maxConns = 4096

// firstRequestTime is how long a connection of the front may be open before it asks for something.
const firstRequestTime = 10 * time.Second

var errFrontEnded = errors.New("the front has ended")

// Options are what a front can have done.
type Options struct {
	Logins   Logins
	Boundary Boundary
	Spawner  Spawner
	HostKeys HostKeys
	Log      *slog.Logger
}

// Logins is who may come in. Its methods may be called from any goroutine.
type Logins interface {
	// Banner returns the text before a login.
	Banner() string

	// Visitors returns the sources of recent logins, at most some hundreds.
	Visitors() []string

	// Knocked records a connection that ended without a login.
	Knocked(access.Knock)

	// KeyKnown reports whether a public key (SSH wire format) could log the user in. It proves nothing,
	// counts as no failure and takes the same time for users that do not exist.
	KeyKnown(ctx context.Context, user, source string, key []byte) bool

	// Login checks credentials. It takes as long as the delay for earlier failures demands. A refusal is
	// a *menu.Error. Of kind Denied it means wrong credentials, and does not tell whether the user
	// exists. Of kind State it is about something else: too many logins, or a check that has to wait.
	Login(ctx context.Context, c access.Credentials) (access.Login, error)

	// Logout ends a login; its sessions end with it.
	Logout(login string)

	// Attach begins a session of a login: kind is shell, exec or sftp. ended is closed when the session
	// must end: the account was deleted, or the appliance stops. detach ends the session; it may be
	// called more than once.
	Attach(login, kind string) (caller menu.Caller, ended <-chan struct{}, detach func(), err error)
}

// A Boundary compares roles and audits. Its methods may be called from any goroutine.
type Boundary interface {
	// AddSession answers requests of a session on a connection, from now on. It closes the connection
	// when ended is closed, and calls detach when the connection has ended.
	AddSession(c net.Conn, caller menu.Caller, ended <-chan struct{}, detach func())

	// Files returns the diagnostic directory as a session may use it.
	Files(session string) Files

	// MayFiles reports whether it makes sense to offer files to a caller at all.
	MayFiles(menu.Caller) bool

	// AsError returns err as a user is told it, and logs what no user can mend.
	AsError(what string, err error) *menu.Error
}

// Files are the diagnostic directory as one session may use it. Each call looks up the role of the
// caller and audits. Errors for users are *menu.Error. They are for one goroutine.
type Files interface {
	// List begins to list the finished files.
	List() (access.FileListing, error)

	// Stat returns one finished file.
	Stat(name string) (access.File, error)

	// Open opens a file for reading.
	Open(name string) (access.File, *os.File, error)

	// Done reports how many bytes of an open file were read.
	Done(name string, bytes int64) error

	// Remove deletes a file.
	Remove(name string) error

	// Close ends the session's use of the directory, with the files that are open.
	Close() error
}

// A Monitor is the appliance's side of a front: what listens on the network, in a process of its own. Whatever that process becomes, it
// acts only for logins that it made, and they end with it.
type Monitor struct {
	logins   Logins
	boundary Boundary
	spawner  Spawner
	hostKeys HostKeys
	log      *slog.Logger
	places   chan struct{} // holds an element for each connection

	patience time.Duration // firstRequestTime, but in tests

	mu      sync.Mutex
	ended   bool
	faults  int // connections at fault
	conns   map[net.Conn]struct{}
	own     map[string]struct{} // logins that the front made
	serving sync.WaitGroup
}

// NewMonitor returns the monitor of a front that begins. Its owner closes it when the front has ended.
func NewMonitor(o Options) *Monitor {
	return &Monitor{
		logins:   o.Logins,
		boundary: o.Boundary,
		spawner:  o.Spawner,
		hostKeys: o.HostKeys,
		log:      o.Log,
		places:   make(chan struct{}, maxConns),
		patience: firstRequestTime,
		conns:    map[net.Conn]struct{}{},
		own:      map[string]struct{}{},
	}
}

// Dial makes a pair of connected sockets, answers on one and returns the other. It waits while the front has too many connections.
func (m *Monitor) Dial(ctx context.Context) (*net.UnixConn, error) {
	select {
	case m.places <- struct{}{}:
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
		<-m.places
		return nil, err
	}
	go func() {
		defer m.leave(ours)
		m.serve(ours)
	}()
	return theirs, nil
}

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

func (m *Monitor) leave(c net.Conn) {
	c.Close()
	m.mu.Lock()
	delete(m.conns, c)
	m.mu.Unlock()
	m.serving.Done()
	<-m.places
}

// Close ends the connections of a front that is gone, hangs up the sessions that it began and ends its logins. It returns when the
// processes of the sessions have ended.
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

// adopt notes that the front made a login. It reports false when the front has ended.
func (m *Monitor) adopt(login string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.ended {
		m.own[login] = struct{}{}
	}
	return !m.ended
}

// disown forgets a login, and reports whether the front had made it.
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

// attach begins a session of a login that the front made.
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
	c.SetReadDeadline(time.Now().Add(m.patience))
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
	default:
		// The front hangs up when its client does: then what waits for it is given up.
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go func() {
			io.Copy(io.Discard, c)
			cancel()
		}()
		answer, err := m.answer(ctx, q)
		if err != nil {
			answer = m.failed(q.Do, err)
		}
		respond(c, q, answer)
	}
}

// fault tells the log of a connection at fault, once a front: one that was taken over may have as many as it likes.
func (m *Monitor) fault(err error) {
	if !errors.Is(err, errOutOfStep) {
		return
	}
	m.mu.Lock()
	m.faults++
	first := m.faults == 1
	m.mu.Unlock()
	if first {
		m.log.Error("the front asks in a way that it should not", "error", err)
	}
}

// failed is the answer to a question about what, where err came of it.
func (m *Monitor) failed(what string, err error) reply {
	return reply{Error: m.boundary.AsError(what, err)}
}

// closeAfter closes c when ended is closed, unless the function that it returns is called before.
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

// readRequest reads the question after the one with the number last, in a frame of at most that many bytes.
func readRequest(c io.Reader, last uint64, most uint32) (request, error) {
	var q request
	err := readFrame(c, most, &q)
	if err == nil && q.Number != last+1 {
		err = outOfStep("question %d after question %d", q.Number, last)
	}
	return q, err
}

// reply answers a question, with open descriptors.
func respond(c *net.UnixConn, q request, a reply, files ...*os.File) error {
	a.Number = q.Number
	return writeFrame(c, a, files...)
}

// answer answers a question that is the only one of its connection.
func (m *Monitor) answer(ctx context.Context, q request) (reply, error) {
	switch q.Do {
	case "banner":
		return reply{Text: m.logins.Banner()}, nil
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
	}
	return reply{}, errUnknownRequest
}
