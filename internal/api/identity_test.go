package api

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"diagsh/internal/menu"
	"diagsh/internal/test/await"
)

// Who may not ask is told so in HTTP, of both versions, and is not kept.
func TestRefusalOnTheSocket(t *testing.T) {
	d := newFake(t)
	_, path := serve(t, d)
	d.as("")
	_, err := dial(t, path).Greeting(t.Context())
	var refusal *menu.Error
	if !errors.As(err, &refusal) || refusal.Code != menu.Denied || refusal.Message != "You have no account" ||
		Gone(err) {
		t.Errorf("HTTP/2: %v", err)
	}
	if status, text := curl(t, path, "GET", "session", ""); status != http.StatusForbidden ||
		!strings.Contains(text, `"detail":"You have no account"`) {
		t.Errorf("HTTP/1.1: %d %s", status, text)
	}
	// So many at a time; the others find a closed connection.
	var conns []net.Conn
	for range maxRefused + 1 {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns = append(conns, c)
	}
	last := conns[maxRefused]
	last.SetReadDeadline(time.Now().Add(refusalTime / 2))
	if _, err := last.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("one too many: %v", err)
	}
	for _, c := range conns {
		c.Close()
	}
	await.Until(t, "those who left to be counted no more", func() bool {
		status, _ := answerOf(path)
		return status == http.StatusForbidden
	})
}

func answerOf(path string) (int, error) {
	r, err := socketClient(path).Get("http://appliance/v1/session")
	if err != nil {
		return 0, err
	}
	defer r.Body.Close()
	return r.StatusCode, nil
}
