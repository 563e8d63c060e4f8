package api

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"diagsh/internal/menu"
	"diagsh/internal/menu/problem"
	"diagsh/internal/test/await"
)

// A heldBody is a request whose headers and first byte are there, and whose rest comes when the
// test wants it.
type heldBody struct {
	t    *testing.T
	conn net.Conn
	rest string
}

func hold(t *testing.T, path, method, resource, body string) *heldBody {
	t.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	fmt.Fprintf(c, "%s /v1/%s HTTP/1.1\r\nHost: appliance\r\nContent-Length: %d\r\n\r\n%s",
		method, resource, len(body), body[:1])
	return &heldBody{t, c, body[1:]}
}

func (h *heldBody) release() (status int, answer string) {
	h.t.Helper()
	io.WriteString(h.conn, h.rest)
	return h.answer()
}

func (h *heldBody) answer() (status int, answer string) {
	h.t.Helper()
	h.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	response, err := http.ReadResponse(bufio.NewReader(h.conn), nil)
	if err != nil {
		h.t.Fatal(err)
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(text)
}

// waitForSession waits until the appliance has taken a connection, so that what follows happens
// after its headers were sent.
func (d *fakeAppliance) waitForSession(t *testing.T) {
	t.Helper()
	await.Until(t, "a session to begin", func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return len(d.session) > 0
	})
}

// A request whose headers came before its sender lost rights, and the rest after, has the rights of
// after.
func TestHeldRequestHasTheRightsOfItsEnd(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		method, resource, body string
		demoted                int // the answer to somebody who was an operator and is readonly
	}{
		{"POST", "run/bytes", `{"blocks":1}`, 403},
		{"POST", "run/peek", `{"name":"a.pcap"}`, 403},
		{"POST", "run/table", `{"count":1}`, 200},
		{"POST", "ask/peek", `{"arguments":{}}`, 403},
		{"POST", "assist/peek", `{"argument":"name","text":"a"}`, 403},
		{"POST", "parse", `{"line":"table"}`, 200},
		{"POST", "complete", `{"line":"ta"}`, 200},
		{"POST", "history", `{"line":"x"}`, 200},
		{"POST", "interrupt/none", `{"run":1}`, 404},
		{"GET", "files/headers.pcap", `{"no":"matter"}`, 403},
		{"DELETE", "files/headers.pcap", `{"no":"matter"}`, 403},
	} {
		for change, want := range map[string]int{"demoted": c.demoted, "ended": 403} {
			t.Run(c.method+" "+c.resource+" "+change, func(t *testing.T) {
				t.Parallel()
				d := newFake(t)
				_, path := serve(t, d)
				d.as("op")
				held := hold(t, path, c.method, c.resource, c.body)
				d.waitForSession(t)
				d.mu.Lock()
				if change == "demoted" {
					d.roles["op"] = menu.ReadOnly
				} else {
					clear(d.session)
				}
				d.mu.Unlock()
				status, answer := held.release()
				if status != want {
					t.Errorf("%d %s; want %d", status, answer, want)
				}
				if e := d.last(); want == 403 && strings.HasPrefix(c.resource, "run/") && change == "demoted" &&
					(e.Act != "refused" || e.Role != menu.ReadOnly) {
					t.Errorf("audited as %+v", e)
				}
			})
		}
	}
}

// Between the look at the role and the note that a command runs, which ends it when rights are
// taken away, the role is looked at again.
func TestRoleIsLookedUpBehindRunning(t *testing.T) {
	d := newFake(t)
	d.whenRunning = func() { d.roles["op"] = menu.ReadOnly }
	_, path := serve(t, d)
	d.as("op")
	for _, c := range [][2]string{{"POST", "run/peek"}, {"GET", "files/headers.pcap"}} {
		d.mu.Lock()
		d.roles["op"] = menu.Operator
		d.mu.Unlock()
		if status, answer := curl(t, path, c[0], c[1], `{"name":"headers.pcap"}`); status != 403 {
			t.Errorf("%s %s: %d %s", c[0], c[1], status, answer)
		}
	}
}

func TestBodiesAreBounded(t *testing.T) {
	t.Parallel()
	d := newFake(t)
	s, slow := serve(t, d)
	s.bodyTime = 50 * time.Millisecond
	path := slow
	d.as("ro")
	if status, answer := hold(t, path, "POST", "run/table", `{"count":1}`).answer(); status != 400 ||
		!strings.Contains(answer, "did not come within") {
		t.Errorf("a body that does not come: %d %s", status, answer)
	}
	_, path = serve(t, d) // a large body may take its time
	large := `{"count":"` + strings.Repeat("1", problem.MaxBody) + `"}`
	if status, answer := curl(t, path, "POST", "run/table", large); status != 413 ||
		!strings.Contains(answer, "larger than 1MB") {
		t.Errorf("a body that is too large: %d %s", status, answer)
	}
	// What is slower than a body may be is no body: a command may run on.
	if status, answer := curl(t, slow, "POST", "run/table", `{"count":3}`); status != 200 {
		t.Errorf("%d %s", status, answer)
	}
}

// One session has so many commands at a time, and can still interrupt them.
func TestRunsOfASessionAreBounded(t *testing.T) {
	t.Parallel()
	d := newFake(t)
	_, path := serve(t, d)
	d.as("op")
	c := dial(t, path)
	type end struct {
		kind   menu.Code
		status int // of HTTP
		err    error
	}
	ended := make(chan end, maxRuns+1)
	interrupt, stop := context.WithCancel(t.Context())
	defer stop()
	run := func() {
		failure, err := c.Run(t.Context(), interrupt, []string{"silent"}, nil, menu.TextForm, unseen)
		e := end{err: err}
		if failure != nil {
			e.kind, e.status = failure.Code, failure.Status()
		}
		ended <- e
	}
	for range maxRuns {
		go run()
		select {
		case <-d.began:
		case e := <-ended:
			t.Fatalf("a run ended: %+v", e)
		}
	}
	go run()
	if e := <-ended; e.kind != menu.State || e.err != nil || e.status != http.StatusTooManyRequests {
		t.Errorf("one too many: %+v", e)
	}
	if status, answer := curl(t, path, "POST", "run/table", `{"count":1}`); status != 200 {
		t.Errorf("another session is refused too: %d %s", status, answer)
	}
	stop()
	for range maxRuns {
		if e := <-ended; e.kind != menu.Interrupted || e.err != nil {
			t.Errorf("interrupted: %+v", e)
		}
	}
}
