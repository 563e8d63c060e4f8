package rest

import (
	"io"
	"net/http"
	"strings"
	"time"

	"diagsh/internal/menu/problem"
)

// ServeContent is http.ServeContent for an API: a condition that does not hold and a range that there
// is not are answered with a problem. A range in another unit than bytes is ignored (RFC 9110 section 14.2).
func ServeContent(w http.ResponseWriter, r *http.Request, modified time.Time, content io.ReadSeeker) {
	if unit, _, _ := strings.Cut(r.Header.Get("Range"), "="); unit != "bytes" {
		r = r.Clone(r.Context())
		r.Header.Del("Range")
	}
	http.ServeContent(&contentWriter{ResponseWriter: w}, r, "", modified, content)
}

// Changed returns the refusal of a request whose condition does not hold.
func Changed() *problem.Error {
	return problem.Changed.Errorf("It is not what If-Match says: it was changed since it was read").
		WithHint("Read it again, and decide anew")
}

// A contentWriter answers with problems in place of the texts of package http.
type contentWriter struct {
	http.ResponseWriter
	refused bool
}

// Unwrap is for http.ResponseController.
func (w *contentWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *contentWriter) WriteHeader(status int) {
	switch status {
	case http.StatusPreconditionFailed:
		w.refuse(Changed())
	case http.StatusRequestedRangeNotSatisfiable:
		w.refuse(problem.Range.Errorf("There are no such bytes in it").
			WithHint("A range is such as bytes=0-1023; Content-Range says how many bytes there are"))
	default:
		w.ResponseWriter.WriteHeader(status)
	}
}

func (w *contentWriter) Write(p []byte) (int, error) {
	if w.refused {
		return len(p), nil
	}
	return w.ResponseWriter.Write(p)
}

func (w *contentWriter) refuse(why *problem.Error) {
	w.refused = true
	for _, name := range []string{"Content-Disposition", "Content-Length", "Repr-Digest"} {
		w.Header().Del(name)
	}
	problem.Write(w.ResponseWriter, why, "")
}
