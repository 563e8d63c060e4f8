package storage

import (
	"crypto/sha256"
	"encoding/base64"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
)

// A Front stands before a peer and speaks TLS. It may answer in the peer's place, change what it
// says, and break the connections to it.
type Front struct {
	Address string
	HostKey string // fingerprint of its certificate

	mu      sync.Mutex
	answers func(w http.ResponseWriter, r *http.Request) bool // true: it has answered
	changes func(*http.Response) error
	left    int64         // bytes that may come yet before connections break
	breaks  bool          // at left
	stalls  bool          // at left: nothing is taken any more
	stalled chan struct{} // closed then
	taken   int64         // bytes that came
	over    chan struct{}
}

// NewFront returns a front of a peer. listener is where it listens; nil: it opens one.
func (p *Peer) NewFront(t testing.TB, listener net.Listener) *Front {
	t.Helper()
	f := &Front{over: make(chan struct{}), stalled: make(chan struct{})}
	to := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: p.Address})
			r.Out.Host = r.In.Host // it is signed
		},
		ModifyResponse: func(r *http.Response) error {
			f.mu.Lock()
			changes := f.changes
			f.mu.Unlock()
			if changes == nil {
				return nil
			}
			return changes(r)
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		ErrorLog:     log.New(io.Discard, "", 0),
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		answers := f.answers
		f.mu.Unlock()
		if answers == nil || !answers(w, r) {
			to.ServeHTTP(w, r)
		}
	}))
	if listener != nil {
		server.Listener.Close()
		server.Listener = listener
	}
	server.Listener = &line{server.Listener, f}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(func() {
		close(f.over)
		server.CloseClientConnections()
		server.Close()
	})
	sum := sha256.Sum256(server.Certificate().Raw)
	f.Address, f.HostKey = server.Listener.Addr().String(), "SHA256:"+base64.RawStdEncoding.EncodeToString(sum[:])
	return f
}

// Answer has a function answer requests in the place of the peer, for which it returns true; nil:
// none.
func (f *Front) Answer(answers func(w http.ResponseWriter, r *http.Request) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers = answers
}

// Change has a function change what the peer says; nil: none.
func (f *Front) Change(changes func(*http.Response) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.changes = changes
}

// BreakAfter breaks all connections when so many bytes came from now on; negative: never.
func (f *Front) BreakAfter(bytes int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left, f.breaks, f.taken = bytes, bytes >= 0, 0
}

// StallAfter takes nothing any more when so many bytes came from now on. The channel is closed then.
func (f *Front) StallAfter(bytes int64) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left, f.stalls = bytes, true
	return f.stalled
}

// Taken returns how many bytes came since BreakAfter.
func (f *Front) Taken() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.taken
}

// A line is the listener of a front.
type line struct {
	net.Listener
	f *Front
}

func (l *line) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &lineConn{c, l.f}, nil
}

type lineConn struct {
	net.Conn
	f *Front
}

func (c *lineConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	f := c.f
	f.mu.Lock()
	f.taken += int64(n)
	f.left -= int64(n)
	broken, stalled := f.breaks && f.left < 0, f.stalls && f.left < 0
	if stalled && f.left+int64(n) >= 0 {
		close(f.stalled)
	}
	f.mu.Unlock()
	switch {
	case stalled:
		<-f.over
		return 0, io.ErrUnexpectedEOF
	case broken:
		c.Conn.Close()
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}
