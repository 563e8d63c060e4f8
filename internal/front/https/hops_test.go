package https

import (
	"bufio"
	"crypto/tls"
	"diagsh/internal/menu/problem"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"testing"
	"time"
)

// What is between the client and this process goes no further: each of these requests is answered as
// without it, and the session stays.
func TestHopsOfRequests(t *testing.T) {
	r := newRig(t)
	c := r.login()
	cookie := c.Jar.Cookies(&url.URL{Scheme: "https", Host: r.address, Path: "/"})[0]
	for name, rest := range map[string]string{
		"trailers":        "Trailer: Authorization, X-A\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nAuthorization: Bearer x\r\nX-A: b\r\n\r\n",
		"a WebSocket":     "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\n{}",
		"HTTP/2":          "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nContent-Length: 2\r\n\r\n{}",
		"named by TE":     "Connection: TE\r\nTE: trailers, gzip\r\nContent-Length: 2\r\n\r\n{}",
		"an old kind":     "Keep-Alive: 5\r\nProxy-Connection: close\r\nContent-Length: 2\r\n\r\n{}",
		"another network": "X-Forwarded-For: 192.0.2.1\r\nForwarded: for=192.0.2.1\r\nContent-Length: 2\r\n\r\n{}",
	} {
		wire, err := tls.Dial("tcp", r.address, &tls.Config{InsecureSkipVerify: true})
		check(t, err)
		fmt.Fprintf(wire, "POST /v1/run/who HTTP/1.1\r\nHost: %s\r\nCookie: %s=%s\r\nContent-Type: application/json\r\n%s",
			r.address, cookie.Name, cookie.Value, rest)
		a, err := http.ReadResponse(bufio.NewReader(wire), nil)
		check(t, err)
		body, _ := io.ReadAll(a.Body)
		wire.Close()
		if a.StatusCode != 200 {
			t.Errorf("%s: %s %s", name, a.Status, body)
		}
		if a := r.ask(c, "GET", "/v1/login", ""); a.status != 200 {
			t.Fatalf("after %s the session is gone: %+v", name, a)
		}
	}
}

// Who announces a body and does not send it is answered all the same, also where nobody wants the body,
// and holds the connection no longer.
func TestBodiesThatDoNotCome(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for path, want := range map[string]int{"/v1/run/who": 401, "/app.js": 405, "/v1/login/methods": 405, "/v1/login": 400} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			wire, err := tls.Dial("tcp", r.address, &tls.Config{InsecureSkipVerify: true})
			check(t, err)
			defer wire.Close()
			wire.SetDeadline(time.Now().Add(problem.BodyTime + 20*time.Second))
			fmt.Fprintf(wire, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n{", path, r.address)
			answers := bufio.NewReader(wire)
			a, err := http.ReadResponse(answers, nil)
			check(t, err)
			if io.Copy(io.Discard, a.Body); a.StatusCode != want {
				t.Errorf("%d", a.StatusCode)
			}
			if _, err := answers.ReadByte(); err != io.EOF {
				t.Errorf("the connection stays open: %v", err)
			}
		})
	}
}

// CONNECT is answered as any other method that is none: with a problem.
func TestNoTunnels(t *testing.T) {
	r := newRig(t)
	conn, err := tls.Dial("tcp", r.address, &tls.Config{InsecureSkipVerify: true})
	check(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "CONNECT example.net:443 HTTP/1.1\r\nHost: example.net:443\r\n\r\n")
	check(t, err)
	a, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: "GET"})
	check(t, err)
	defer a.Body.Close()
	if a.StatusCode != 405 || a.Header.Get("Content-Type") != problem.MediaType || a.Header.Get("Allow") == "" {
		t.Errorf("%s %v", a.Status, a.Header)
	}
}
