package https

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"sync"

	"diagsh/internal/menu/problem"
)

// pass passes a request to the boundary on the connection of its session.
func (s *Server) pass(w http.ResponseWriter, r *http.Request) {
	one, done, refused := s.who(r)
	if refused != nil {
		send(w, refused)
		return
	}
	defer done()
	if refused := s.limits.ofAccount(r, one.login.Caller.User); refused != nil {
		send(w, refused)
		return
	}
	if !one.take() {
		send(w, errManyRequests)
		return
	}
	defer one.free()
	body, read, refused := s.limits.takeBody(w, r)
	defer read()
	if refused == nil && len(body) > 0 && r.Header.Get("Authorization") == "" {
		refused = problem.CheckJSON(r) // a plain form of another site would carry the cookie
	}
	if refused != nil {
		send(w, refused)
		return
	}
	r.Body, r.ContentLength = http.NoBody, int64(len(body))
	if len(body) > 0 {
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	r.TransferEncoding, r.Trailer = nil, nil // of trailers the boundary would end the session
	one.proxy.ServeHTTP(w, r)
}

// notPassed are headers of requests that are between the client and this process.
var notPassed = []string{"Authorization", "Cookie", "Origin", "Referer", "Sec-Fetch-Dest", "Sec-Fetch-Mode",
	"Sec-Fetch-Site", "Sec-Fetch-User", "User-Agent", "Accept-Encoding", "Accept-Language", "Expect", "Connection", "Upgrade", "Te"}

// proxyTo returns what passes requests on the connection of a session.
func (s *Server) proxyTo(one *session) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite: func(q *httputil.ProxyRequest) {
			q.SetURL(appliance)
			for _, name := range notPassed {
				q.Out.Header.Del(name)
			}
			q.Out.Header["User-Agent"] = nil // none, instead of that of package http
		},
		Transport:      one.conn,
		BufferPool:     &buffers,
		ModifyResponse: ownHeaders,
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			s.notPassedOn(w, r, one, err)
		},
		ErrorLog: s.http.ErrorLog,
	}
}

// ownHeaders takes from an answer of the boundary the headers that this process sets.
func ownHeaders(answer *http.Response) error {
	for name := range securityHeaders {
		answer.Header.Del(name)
	}
	for _, name := range []string{"Content-Security-Policy", "Strict-Transport-Security", "Cache-Control", "Set-Cookie"} {
		answer.Header.Del(name)
	}
	return nil
}

// notPassedOn answers a request that the boundary did not answer.
func (s *Server) notPassedOn(w http.ResponseWriter, r *http.Request, one *session, err error) {
	switch {
	case r.Context().Err() != nil || errors.Is(err, context.Canceled):
		panic(http.ErrAbortHandler) // the client has gone
	case one.over():
		s.forget(w)
		send(w, errNotLoggedIn)
	default:
		s.log.Warn("https: a request was not answered", "error", err)
		send(w, errNoAnswer)
	}
}

// bufferSize is how much of an answer is passed on at once, in bytes.
const bufferSize = 32 << 10

// A bufferPool keeps the buffers of answers for the next ones.
type bufferPool struct{ pool sync.Pool }

var buffers = bufferPool{sync.Pool{New: func() any { return new([bufferSize]byte) }}}

func (b *bufferPool) Get() []byte { return b.pool.Get().(*[bufferSize]byte)[:] }

func (b *bufferPool) Put(p []byte) { b.pool.Put((*[bufferSize]byte)(p)) }
