package https

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"net/http"
	"testing"
	"time"

	"diagsh/internal/menu/problem"
)

// raw sends the head of a request by HTTP/1.1, and then its body before it looks for an answer.
func (r *rig) raw(method, path string, length int, body []byte, header string) *http.Response {
	r.Helper()
	c, err := tls.Dial("tcp", r.address, &tls.Config{InsecureSkipVerify: true})
	check(r, err)
	r.Cleanup(func() { c.Close() })
	check(r, c.SetDeadline(time.Now().Add(4*problem.BodyTime)))
	_, err = fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n", method, path, r.address, length, header)
	check(r, err)
	_, err = c.Write(body)
	check(r, err)
	a, err := http.ReadResponse(bufio.NewReader(c), nil)
	check(r, err)
	return a
}

// A client that sends its whole body before it looks for the answer gets the refusal, wherever that comes
// from.
func TestRefusalBehindALargeBody(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for path, want := range map[string]int{"/v1/login": 413, "/v1/run/who": 401, "/index.html": 405} {
		if a := r.raw("POST", path, 30<<20, bytes.Repeat([]byte("x"), 30<<20), ""); a.StatusCode != want {
			t.Errorf("%s: %s", path, a.Status)
		}
	}
}

// A client that waits for leave to send its body is refused without it, and is asked for it where it is
// needed.
func TestRefusalBeforeTheBody(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for path, want := range map[string]int{"/v1/login": 100, "/v1/run/who": 401, "/index.html": 405} {
		began := time.Now()
		a := r.raw("POST", path, 20, nil, "Expect: 100-continue\r\n")
		if a.StatusCode != want || time.Since(began) > problem.BodyTime/2 {
			t.Errorf("%s: %s after %s", path, a.Status, time.Since(began))
		}
	}
}
