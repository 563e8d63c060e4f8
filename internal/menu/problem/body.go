package problem

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"time"

	"diagsh/internal/menu/clean"
	"diagsh/internal/menu/value"
)

// Bounds of the body of a request: its size in bytes, which has room for the longest line (64 KiB)
// as JSON, and the time until it is there.
const (
	MaxBody  = 1 << 20
	BodyTime = 10 * time.Second
)

// identity is the encoding that a body may have: none.
const identity = "identity"

// ReadBody reads the body of a request, of at most that many bytes and within that time. If it
// cannot, it returns why the request is refused; then package http reads the rest under the deadline.
func ReadBody(w http.ResponseWriter, r *http.Request, most int64, within time.Duration) ([]byte, *Error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	if refused := checkEncoding(r); refused != nil {
		return nil, refused
	}
	control := http.NewResponseController(w)
	control.SetReadDeadline(time.Now().Add(within))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		return nil, TooLarge.Errorf("The request's body is larger than %s", value.Size(most))
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, Errorf(Usage, "The request's body did not come within %s", value.FormatDuration(within))
	case err != nil:
		return nil, BrokenOff()
	}
	control.SetReadDeadline(time.Time{})
	return body, nil
}

// BrokenOff returns the refusal of a request whose body does not come to its end.
func BrokenOff() *Error { return Errorf(Usage, "The request's body ends too early") }

// checkEncoding returns the refusal of a request whose body is compressed or otherwise encoded (RFC 9110
// section 15.5.16). Write says which encodings are accepted.
func checkEncoding(r *http.Request) *Error {
	for _, field := range r.Header.Values("Content-Encoding") {
		for coding := range strings.SplitSeq(field, ",") {
			if coding = strings.TrimSpace(coding); coding != "" && !strings.EqualFold(coding, identity) {
				return Encoding.Errorf("The request's body is encoded with %q", clean.Bounded(coding, 40)).
					WithHint("Send it as it is, without Content-Encoding")
			}
		}
	}
	return nil
}

// CheckJSON returns the refusal of a request whose body is not announced as JSON. A page of another
// site can have a browser send a form or a text, but no JSON.
func CheckJSON(r *http.Request) *Error {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err == nil && kind == "application/json" {
		return nil
	}
	return ContentType.Errorf("The request's body is not announced as JSON").
		WithHint("Send the header Content-Type: application/json")
}
