package https

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"sync"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/front/gate"
)

// Bounds of a session: its requests that wait for their answers, fewer than the boundary takes on a
// connection; and what of one answer waits for its reader, in bytes.
const (
	maxRequests = 80
	maxWaiting  = 256 << 10
)

// A session is one login of the page, or of a token: one connection to the boundary, which is the
// identity of all requests that pass it. Its end, at either side, ends the login.
type session struct {
	login  access.Login
	client Client
	conn   *http.ClientConn
	proxy  *httputil.ReverseProxy
	slots  chan struct{} // holds an element for each request
	ends   time.Time     // at the latest

	gone chan struct{} // closed when the appliance has ended the session
	once sync.Once
}

// begin logs in and begins a session of that kind, web, api or azure, for the client of a connection. It gives
// up when ctx is done.
func (s *Server) begin(ctx context.Context, from *gate.Conn, kind string, c access.Credentials) (*session, error) {
	client, err := s.appliance.Client(s.ctx)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { client.Close() })
	var one *session
	if turn := from.Check(ctx, func() { one, err = s.attach(ctx, client, kind, c) }); turn != nil {
		err = turn
	}
	if err == nil && !stop() {
		err = ctx.Err()
		one.conn.Close()
	}
	if err != nil {
		client.Close()
		return nil, err
	}
	return one, nil
}

// attach logs in by a client and attaches the session.
func (s *Server) attach(ctx context.Context, client Client, kind string, c access.Credentials) (*session, error) {
	login, err := client.Login(c)
	if err != nil {
		return nil, err
	}
	file, err := s.appliance.Attach(ctx, login.ID, kind)
	if err != nil {
		return nil, err
	}
	one := &session{
		login:  login,
		client: client,
		slots:  make(chan struct{}, maxRequests),
		ends:   time.Now().Add(time.Duration(login.LongestWeb) * time.Second),
		gone:   make(chan struct{}),
	}
	if one.conn, err = one.connect(file); err != nil {
		return nil, err
	}
	one.proxy = s.proxyTo(one)
	return one, nil
}

// A watchedConn calls gone when its peer has closed it. HTTP/2 reads all the time, so that needs no
// request.
type watchedConn struct {
	net.Conn
	gone func()
}

func (c watchedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		c.gone()
	}
	return n, err
}

// connect speaks HTTP/2 on the session's connection, which it takes over.
func (one *session) connect(file *os.File) (*http.ClientConn, error) {
	defer file.Close()
	wire, err := net.FileConn(file)
	if err != nil {
		return nil, err
	}
	watched := watchedConn{wire, func() { one.once.Do(func() { close(one.gone) }) }}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{
		Protocols:          protocols,
		HTTP2:              &http.HTTP2Config{MaxReceiveBufferPerStream: maxWaiting},
		DisableCompression: true,
		DialContext:        func(context.Context, string, string) (net.Conn, error) { return watched, nil },
	}
	conn, err := transport.NewClientConn(context.Background(), "http", "appliance:80")
	if err != nil {
		wire.Close()
	}
	return conn, err
}

// end ends the session and its login.
func (one *session) end() {
	one.conn.Close()
	one.client.Close()
}

// over reports whether the appliance has ended the session.
func (one *session) over() bool {
	select {
	case <-one.gone:
		return true
	default:
		return false
	}
}

// take takes a slot for a request, which the caller gives back by free. It reports false if there is
// none.
func (one *session) take() bool {
	select {
	case one.slots <- struct{}{}:
		return true
	default:
		return false
	}
}

func (one *session) free() { <-one.slots }

// appliance is where requests of a session go: there is one host at the other end of its connection.
var appliance = &url.URL{Scheme: "http", Host: "appliance"}

// greeting asks the boundary who the session is, which is who its caller is now.
func (one *session) greeting(r *http.Request) (access.Greeting, error) {
	var g access.Greeting
	q, err := http.NewRequestWithContext(r.Context(), "GET", appliance.JoinPath("/v1/session").String(), nil)
	if err != nil {
		return g, err
	}
	q.Header.Set(access.BackgroundHeader, r.Header.Get(access.BackgroundHeader))
	answer, err := one.conn.RoundTrip(q)
	if err != nil {
		return g, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return g, errors.New("the boundary refuses the session")
	}
	return g, readJSON(answer.Body, &g)
}

// A sessionTable has the sessions of browsers by their cookies, of which it keeps the hashes alone.
type sessionTable struct {
	mu       sync.Mutex
	sessions map[[sha256.Size]byte]*session
}

func newSessionTable() *sessionTable {
	return &sessionTable{sessions: map[[sha256.Size]byte]*session{}}
}

// add gives a session a new cookie. The session is forgotten when the appliance ends it.
func (t *sessionTable) add(one *session) (cookie string) {
	cookie = rand.Text()
	key := sha256.Sum256([]byte(cookie))
	t.mu.Lock()
	t.sessions[key] = one
	t.mu.Unlock()
	go func() {
		<-one.gone
		t.mu.Lock()
		delete(t.sessions, key)
		t.mu.Unlock()
		one.end()
	}()
	return cookie
}

// find returns the session of a cookie, nil if there is none.
func (t *sessionTable) find(cookie string) *session {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sessions[sha256.Sum256([]byte(cookie))]
}

// all returns the sessions.
func (t *sessionTable) all() []*session {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Values(t.sessions))
}

// endAll ends sessions, and returns when they have ended. It is called without the lock of a table,
// which a session takes at its end.
func endAll(sessions []*session) {
	var ending sync.WaitGroup
	for _, one := range sessions {
		ending.Go(one.end)
	}
	ending.Wait()
}
