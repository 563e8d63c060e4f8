package rest

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"

	"diagsh/internal/menu/problem"
)

// ServeContent is http.ServeContent for an API: a condition that does not hold and a range that there
// is not are answered with a problem. A range in another unit than bytes is ignored (RFC 9110 section 14.2).
// The last no bytes are no range that there is (section 14.1.2).
func ServeContent(w http.ResponseWriter, r *http.Request, modified time.Time, content io.ReadSeeker) {
	unit, ranges, _ := strings.Cut(r.Header.Get("Range"), "=")
	r = r.Clone(r.Context())
	if unit != "bytes" {
		r.Header.Del("Range")
	} else {
		r.Header.Set("Range", unit+"="+lastNone.ReplaceAllString(ranges, "${1}"+beyond))
	}
	http.ServeContent(&contentWriter{ResponseWriter: w}, r, "", modified, content)
}

// lastNone is a range of the last 0 bytes, which package http answers with bytes from after the last one
// to before it. beyond is a range of which it knows that there are no such bytes in any file.
var lastNone = regexp.MustCompile(`(^|,)\s*-0+\s*\b`)

const beyond = "9223372036854775807-"

// Exists returns the refusal of a request whose If-None-Match names what there is.
func Exists() *problem.Error {
	return problem.Changed.Errorf("It is what If-None-Match says that it is not").
		WithHint("Leave If-None-Match out to change what there is")
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
