package https

import (
	"io"
	"net/http"
	"time"

	"diagsh/internal/menu/problem"
)

// bounded gives the body of each request problem.BodyTime, also one that is refused before it is read:
// the rest of it is read too, by package http for HTTP/1. HTTP/2 would reset the stream, and clients
// such as curl then lose the answer.
func bounded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
			h.ServeHTTP(w, r)
			return
		}
		control := http.NewResponseController(w)
		control.SetReadDeadline(time.Now().Add(problem.BodyTime))
		body := &watchedBody{ReadCloser: r.Body}
		r.Body = body
		h.ServeHTTP(w, r)
		if r.ProtoMajor == 2 && !body.ended {
			control.Flush() // clients stop sending when they see a refusal
			io.CopyN(io.Discard, body, mostUnread)
		}
	})
}

// mostUnread is how much of the body of a refused request is read, in bytes.
const mostUnread = 4 << 20

// A watchedBody notes that it was read to its end.
type watchedBody struct {
	io.ReadCloser
	ended bool
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.ended = b.ended || err != nil
	return n, err
}
