package api

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"diagsh/internal/access"
	"diagsh/internal/test/await"
)

// page returns a function that runs commands in one session, by a page itself or for its user.
func page(t *testing.T, socket string) func(path, body string, byItself bool) int {
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1,
		DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", socket) }}}
	t.Cleanup(client.CloseIdleConnections)
	return func(path, body string, byItself bool) int {
		t.Helper()
		r, err := http.NewRequest("POST", "http://appliance/v1/run/"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if byItself {
			r.Header.Set(access.BackgroundHeader, "true")
		}
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, answer.Body); err != nil { // so that the connection, which is the session, stays
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer.StatusCode
	}
}

func (d *fakeAppliance) commands(path string) (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.events {
		if e.Act == access.ActCommand && e.Path == path {
			n++
		}
	}
	return n
}

// What a page asks again by itself has one line of the audit log for a session and its arguments.
func TestRepetitionsAreOneLine(t *testing.T) {
	d := newFake(t)
	_, socket := serve(t, d)
	run := page(t, socket)
	expect := func(path string, want int, what string) {
		t.Helper()
		if got := d.commands(path); got != want {
			t.Fatalf("%s: the audit log has %d lines of %s, want %d", what, got, path, want)
		}
	}
	run("table", `{"count": 1}`, true)
	expect("table", 1, "the first of a session")
	for range 3 {
		run("table", `{"count": 1}`, true)
	}
	expect("table", 1, "the same by itself")
	run("table", `{"count": 2}`, true)
	expect("table", 2, "other arguments")
	run("table", `{"count": 1}`, false)
	expect("table", 3, "an act of the user")
	page(t, socket)("table", `{"count": 1}`, true)
	expect("table", 4, "another session")

	for range 3 {
		run("reload", `{"count": 1}`, true)
		if status := run("fault", `{}`, true); status != http.StatusInternalServerError {
			t.Errorf("fault answers %d", status)
		}
		run("peek", `{}`, true)
	}
	expect("reload", 3, "what does more than show")
	expect("peek", 3, "what does more than show")
	expect("fault", 3, "failures")
}

// What a request says of the program behind it is in its line of the audit log, as one bounded line.
func TestClientsAreInTheAuditLog(t *testing.T) {
	d := newFake(t)
	_, socket := serve(t, d)
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", socket) }}}
	t.Cleanup(client.CloseIdleConnections)
	r, err := http.NewRequest("POST", "http://appliance/v1/run/table", strings.NewReader(`{"count": 1}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set(access.ClientHeader, "a tool\t1.0 "+strings.Repeat("x", 500))
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	await.Until(t, "the line of the audit log", func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return len(d.events) > 0
	})
	d.mu.Lock()
	defer d.mu.Unlock()
	last := d.events[len(d.events)-1]
	if !strings.HasPrefix(last.Client, "a tool") || len(last.Client) > 100 || strings.ContainsAny(last.Client, "\t\n") {
		t.Errorf("the line has the client %q", last.Client)
	}
}
