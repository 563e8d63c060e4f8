package https

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"diagsh/internal/menu"
)

// Bounds of a request's body: its size in bytes, and the time until it is there. They are those of the
// boundary.
const (
	maxBody  = 1 << 20
	bodyTime = 10 * time.Second
)

// takeBody reads the body of a request, of at most that many bytes. What it returns beside is why the
// request is refused.
//
// The body is here before anything is passed on. So a client that is slow to send keeps nothing of the
// appliance busy, and the deadline ends with the body.
func takeBody(w http.ResponseWriter, r *http.Request, most int64) ([]byte, *menu.Error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	if r.ContentLength > most {
		return nil, errTooLarge
	}
	control := http.NewResponseController(w)
	control.SetReadDeadline(time.Now().Add(bodyTime))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		return nil, errTooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, errTooLate
	case err != nil:
		return nil, errBrokenOff
	}
	control.SetReadDeadline(time.Time{})
	return body, nil
}

// bounded gives the body of each request bodyTime, also one that is refused before it is read: package
// http reads the rest of it before it sends the answer.
func bounded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil && r.Body != http.NoBody {
			http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime))
		}
		h.ServeHTTP(w, r)
	})
}
