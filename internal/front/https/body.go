package https

import (
	"io"
	"net/http"
	"time"

	"diagsh/internal/menu/problem"
)

// bounded gives the body of each request problem.BodyTime, also one that is refused before it is read: much
// of it is read after the answer. Many clients send all before they look for an answer, which is lost
// to them where the connection or the stream is reset meanwhile. One that waits for leave to send its body
// (Expect: 100-continue) does not send it to be refused.
func bounded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
			h.ServeHTTP(w, r)
			return
		}
		control := http.NewResponseController(w)
		control.SetReadDeadline(time.Now().Add(problem.BodyTime))
		body := &watchedBody{ReadCloser: r.Body}
		// Package http goes by the kind of the body that it gave, so r keeps it.
		watched := r.WithContext(r.Context())
		watched.Body = body
		h.ServeHTTP(w, watched)
		if waits := r.Header.Get("Expect") != "" && !body.begun; !waits && !body.ended {
			control.Flush()
			io.CopyN(io.Discard, body, mostUnread)
		}
	})
}

// mostUnread is how much of the body of a refused request is read, in bytes.
const mostUnread = 64 << 20

// A watchedBody notes how far it was read.
type watchedBody struct {
	io.ReadCloser
	begun, ended bool
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.begun = true
	n, err := b.ReadCloser.Read(p)
	b.ended = b.ended || err != nil
	return n, err
}
