package appliance_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/menu"
	"diagsh/internal/test/appliance"
	"diagsh/internal/test/await"
	"diagsh/internal/test/netnstest"
)

// A heldRequest is a request of which all but the last byte of its body has been sent.
type heldRequest struct {
	conn     net.Conn
	resource string
	required menu.Role // of its command; empty where there is none
}

// gone is the status of a request whose connection the appliance closed.
const gone = 0

// release sends the last byte and returns the status of the answer.
func (h heldRequest) release(t *testing.T) (status int, answer string) {
	t.Helper()
	defer h.conn.Close()
	h.conn.SetDeadline(time.Now().Add(await.Patience))
	if _, err := io.WriteString(h.conn, "}"); err != nil {
		return gone, err.Error()
	}
	response, err := http.ReadResponse(bufio.NewReader(h.conn), nil)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("%s is not answered", h.resource)
	}
	if err != nil {
		return gone, err.Error()
	}
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Errorf("%s: the answer ends with %v", h.resource, err)
	}
	return response.StatusCode, string(text)
}

// hold begins a request as an account and waits until the appliance has answered to its headers.
// Body is without its last byte, a brace.
func hold(t *testing.T, a *appliance.Appliance, user, resource, body string, required menu.Role) heldRequest {
	t.Helper()
	conn, err := a.DialSocket(user)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	// A server that reads the body asks for it (RFC 9110, 10.1.1): so it has the headers.
	fmt.Fprintf(conn, "POST /v1/%s HTTP/1.1\r\nHost: appliance\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n",
		resource, len(body)+1)
	conn.SetReadDeadline(time.Now().Add(await.Patience))
	line := make([]byte, len("HTTP/1.1 100 Continue\r\n\r\n"))
	if _, err := io.ReadFull(conn, line); err != nil || !strings.HasPrefix(string(line), "HTTP/1.1 100 ") {
		t.Fatalf("%s as %s: %q, %v", resource, user, line, err)
	}
	io.WriteString(conn, body)
	return heldRequest{conn, resource, required}
}

// holdEverything holds a request for each POST resource: each command run, asked and assisted, and
// what is about no command.
func holdEverything(t *testing.T, a *appliance.Appliance, user string) (held []heldRequest) {
	t.Helper()
	for _, n := range a.Tree() {
		if n.Kind != "command" {
			continue
		}
		path := strings.ReplaceAll(n.Path, " ", "/")
		held = append(held, hold(t, a, user, "run/"+path, "{", n.Role),
			hold(t, a, user, "ask/"+path, "{", n.Role),
			hold(t, a, user, "assist/"+path, `{"argument":"name","text":""`, n.Role))
	}
	for resource, body := range map[string]string{
		"parse": `{"line":"status"`, "complete": `{"line":"sta"`, "history": `{"line":"a held line"`,
		"interrupt/none": "{", "input/none": "{", "run/none": "{", "ask/none": "{", "assist/none": "{",
	} {
		held = append(held, hold(t, a, user, resource, body, ""))
	}
	return held
}

// heldConfig allows as many requests at a time as are held.
const heldConfig = "limits:\n  sessionsPerUser: 10000\n  logins: 10000\n"

// A request that was begun before its sender lost rights, and whose body ends after, is refused
// whatever it asks for, and leaves nothing.
func TestHeldRequests(t *testing.T) {
	t.Parallel()
	const user = "op"
	for _, c := range []struct {
		name   string
		change func(t *testing.T, a *appliance.Appliance)
		keeps  menu.Role // what the sender still may; empty: nothing
	}{
		{"demoted", func(t *testing.T, a *appliance.Appliance) {
			mustRun(t, a, "userconfig role op role readonly")
		}, menu.ReadOnly},
		{"deleted", func(t *testing.T, a *appliance.Appliance) { mustRun(t, a, "userconfig delete op confirm yes") }, ""},
		{"expired", func(t *testing.T, a *appliance.Appliance) {
			await.Until(t, "the end of the account", func() bool {
				status, _ := a.API(user, "GET", "/v1/session", "")
				return status != http.StatusOK
			})
		}, ""},
		{"deleted and made again", func(t *testing.T, a *appliance.Appliance) {
			mustRun(t, a, "userconfig delete op confirm yes; userconfig new op role operator password 'another correct horse'")
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := start(t, appliance.Options{Config: heldConfig})
			if c.name == "expired" {
				a.Stop()
				expireIn(t, a, user, 8*time.Second)
				a.Restart()
			}
			held := holdEverything(t, a, user)
			c.change(t, a)
			for _, h := range held {
				h.refused(t, a, c.keeps)
			}
			if r := a.Local("packetcapture list --json"); strings.Contains(r.Out, "{") {
				t.Errorf("a held request made a capture: %+v", r)
			}
			for _, e := range a.Audit() {
				if e.Act == access.ActCommand && e.User == user && e.Exit == 0 && c.keeps == "" {
					t.Errorf("a held request did something: %+v", e)
				}
			}
		})
	}
}

// refused releases a held request, which must not have more than the rights that are left.
func (h heldRequest) refused(t *testing.T, a *appliance.Appliance, keeps menu.Role) {
	t.Helper()
	if keeps != "" && (h.required == "" || keeps.Includes(h.required)) {
		h.conn.Close() // it may
		return
	}
	status, answer := h.release(t)
	if status != gone && status != http.StatusForbidden || keeps != "" && status == gone {
		t.Errorf("%s, which needs the role %s, is answered with %d %s", h.resource, h.required, status, answer)
	}
}

// The right to packet contents counts at the end of a request, too, in every command that reads
// them. A command that can show headers alone shows no more.
func TestHeldRequestsForPayload(t *testing.T) {
	t.Parallel()
	const user = "sup"
	network := netnstest.New(t)
	network.Veth(t, "eth0", "eth1")
	a := appliance.Start(t, appliance.Options{Config: heldConfig, Network: network})
	mustRun(t, a, "userconfig edit sup payload yes; packetcapture start name full interface eth0; "+
		"packetcapture target new vault url https://127.0.0.1:1/")
	appliance.Send(t, network, "eth1", 3)
	mustRun(t, a, "packetcapture stop full")
	var held, headers []heldRequest
	for _, n := range a.Tree() {
		for _, p := range n.Params {
			if p.Type == "packets" && n.Kind == "command" {
				body := `{"` + p.Name + `":"full"`
				if slices.ContainsFunc(n.Params, func(p menu.Param) bool { return p.Name == "target" }) {
					body += `,"target":"vault"`
				}
				to := &held
				if p.Headers {
					to = &headers
					if slices.ContainsFunc(n.Params, func(p menu.Param) bool { return p.Name == "position" }) {
						body += `,"position":"1"`
					}
				}
				*to = append(*to, hold(t, a, user, "run/"+strings.ReplaceAll(n.Path, " ", "/"), body, n.Role))
			}
		}
	}
	if len(held) < 4 || len(headers) < 2 {
		t.Fatalf("only %d commands read packets, and %d their headers", len(held), len(headers))
	}
	mustRun(t, a, "userconfig edit sup payload no")
	for _, h := range held {
		h.refused(t, a, "")
	}
	for _, h := range headers {
		status, answer := h.release(t)
		if status == gone {
			continue // a change of rights may end the session
		}
		if status != http.StatusOK {
			t.Errorf("%s: %d %s", h.resource, status, answer)
		}
		headersAlone(t, h.resource, answer)
	}
}

func mustRun(t *testing.T, a *appliance.Appliance, line string) {
	t.Helper()
	if r := a.Local(line); r.Status != 0 {
		t.Fatalf("%q: %+v", line, r)
	}
}

// expireIn has an account of an appliance that is stopped end in a while: sooner than a command
// lets it.
func expireIn(t *testing.T, a *appliance.Appliance, user string, in time.Duration) {
	t.Helper()
	path := filepath.Join(a.Data, "users.json")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var file map[string]any
	if err := json.Unmarshal(content, &file); err != nil {
		t.Fatal(err)
	}
	for _, u := range file["users"].([]any) {
		if u := u.(map[string]any); u["user"] == user {
			u["expires"] = time.Now().Add(in)
		}
	}
	if content, err = json.Marshal(file); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
