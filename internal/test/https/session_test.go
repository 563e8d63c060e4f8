// Package https_test has the whole appliance speak HTTPS with real clients, and with hostile ones.
package https_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"diagsh/internal/access"
	"diagsh/internal/test/appliance"
	"diagsh/internal/test/await"
	"diagsh/internal/test/netnstest"
)

// expect compares a status.
func expect(t *testing.T, what string, got appliance.Answer, status int) {
	t.Helper()
	if got.Status != status {
		t.Errorf("%s: %d, not %d: %.300s", what, got.Status, status, got.Body)
	}
}

// A session of the page ends where SSH's would: by its logout, with its account, with its password. What
// comes then is told that it is not logged in.
func TestEndsOfSessions(t *testing.T) {
	t.Parallel()
	a := appliance.Start(t, appliance.Options{})
	admin := a.Web("admin")
	gone := func(what string, w *appliance.Web) {
		t.Helper()
		await.Until(t, what, func() bool { return w.Get("/v1/login").Status == 401 })
		expect(t, what, w.Run("whoami", nil), 401)
	}
	op := a.Web("op")
	expect(t, "another password", admin.Run("userconfig password", map[string]string{"user": "op", "password": "another one 4711"}), 200)
	gone("the end of sessions with the former password", op)
	expect(t, "the former password", op.Login("op", appliance.Password("op")), 401)
	expect(t, "the new password", op.Login("op", "another one 4711"), 200)
	expect(t, "the account's end", admin.Run("userconfig delete", map[string]string{"user": "op", "confirm": "yes"}), 200)
	gone("the end of sessions of an account that is gone", op)

	ro := a.Web("ro")
	expect(t, "what the role may not", ro.Run("packetcapture start", map[string]any{"packets": 1}), 403)
	if !strings.Contains(a.Local("auditlog act refused user ro").Out, "packetcapture start") {
		t.Error("the refusal is not in the audit log")
	}
	expect(t, "the logout", ro.Do("DELETE", "/v1/login", nil), 204)
	gone("the logout", ro)
	expect(t, "the login of the administrator", admin.Get("/v1/login"), 200)
}

// Where nobody does anything, a session of the page ends, whatever the page asks by itself. What a person
// does keeps it.
func TestIdleSessions(t *testing.T) {
	t.Parallel()
	a := appliance.Start(t, appliance.Options{Config: "idleTimeout: 12s\n"})
	busy, idle := a.Web("op"), a.Web("op")
	idle.Header.Set("Diagsh-Background", "true")
	// The page follows something, and looks for it now and then.
	r, err := idle.Open(t.Context(), "POST", "/v1/run/netstat/traffic", map[string]any{"every": 1})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	began := time.Now()
	await.Until(t, "the idle session to end", func() bool {
		expect(t, "the busy session", busy.Run("whoami", nil), 200)
		return idle.Get("/v1/login").Status == 401
	})
	if took := time.Since(began); took < 11*time.Second {
		t.Errorf("it ended after %v", took)
	}
	if out := a.Local("last count 5").Out; !strings.Contains(out, "idle") {
		t.Errorf("last does not say why: %s", out)
	}
}

// The delays, locks and lines of the audit log are those of SSH, and a header that says where a client
// comes from is not believed.
func TestPasswordsByHTTPS(t *testing.T) {
	t.Parallel()
	a := appliance.Start(t, appliance.Options{Config: "login:\n  longestDelay: 0s\n  lockAfter: 3\n"})
	w := a.HTTPS()
	w.Header.Set("X-Forwarded-For", "192.0.2.1")
	w.Header.Set("Forwarded", "for=192.0.2.1")
	for range 3 {
		expect(t, "a wrong password", w.Login("op", "wrong"), 401)
	}
	expect(t, "the right one, locked", w.Login("op", appliance.Password("op")), 409)
	if c, err := a.LoginBy("op", ssh.Password(appliance.Password("op"))); err == nil {
		c.Close()
		t.Error("the lock holds for HTTPS alone")
	}
	a.Login("op").Close() // a key is not guessed
	refused := 0
	for _, e := range a.Audit() {
		if e.Act == access.ActRefused && e.User == "op" && e.Source == "127.0.0.1" {
			refused++
		}
		if strings.Contains(e.Source, "192.0.2") {
			t.Errorf("the appliance believes a header: %+v", e)
		}
	}
	if refused < 5 {
		t.Errorf("%d refusals are in the audit log", refused)
	}
}

// A program with a token is what the token says, once for all of its requests; the end of the token is
// the end of that.
func TestTokens(t *testing.T) {
	t.Parallel()
	a := appliance.Start(t, appliance.Options{})
	admin := a.Web("admin")
	var made struct{ Token, Secret string }
	r := admin.Run("token new", map[string]string{"name": "script", "role": "readonly"})
	if err := r.JSON(&made); err != nil || !strings.HasPrefix(made.Secret, "dsh_") {
		t.Fatalf("%d %s: %v", r.Status, r.Body, err)
	}
	program := a.HTTPS()
	program.Header.Set("Authorization", "Bearer "+made.Secret)
	for range 3 {
		expect(t, "with the token", program.Run("whoami", nil), 200)
	}
	expect(t, "what the token's role may not", program.Run("packetcapture start", map[string]any{"packets": 1}), 403)
	var sessions []access.Session
	if err := admin.Run("who", nil).JSON(&sessions); err != nil {
		t.Fatal(err)
	}
	of := 0
	for _, s := range sessions {
		if s.Type == "api" && s.Token == made.Token {
			of++
		}
	}
	if of != 1 {
		t.Errorf("%d sessions of the token: %+v", of, sessions)
	}
	// What runs with the token ends with it.
	stream, err := program.Open(t.Context(), "POST", "/v1/run/netstat/traffic", map[string]any{"every": 1})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	lines := bufio.NewScanner(stream.Body)
	if !lines.Scan() {
		t.Fatalf("the stream: %d %v", stream.StatusCode, lines.Err())
	}
	expect(t, "the token's end", admin.Run("token delete", map[string]string{"token": made.Token, "confirm": "yes"}), 200)
	for lines.Scan() {
	}
	expect(t, "with a token that is gone", program.Run("whoami", nil), 401)
}

// The process that faces the network may be killed: its cookies are gone with it, captures go on, and a
// login is possible at once.
func TestFrontIsKilled(t *testing.T) {
	t.Parallel()
	a := appliance.Start(t, appliance.Options{})
	w := a.Web("op")
	var begun struct{ Name string }
	r := w.Run("packetcapture start", map[string]any{"name": "survivor", "interfaces": []string{"lo"}, "filter": "udp port 9"})
	if err := r.JSON(&begun); err != nil || r.Status != 200 {
		t.Fatalf("%d %s: %v", r.Status, r.Body, err)
	}
	front := a.Front()
	if err := syscall.Kill(front, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	await.Until(t, "another front", func() bool { return a.Front() != front })
	again := a.HTTPS()
	again.Client.Jar = w.Client.Jar // the browser still has its cookie
	expect(t, "with the former cookie", again.Get("/v1/login"), 401)
	expect(t, "the login", again.Login("op", appliance.Password("op")), 200)
	if out := string(again.Run("packetcapture status", nil).Body); !strings.Contains(out, `"state":"Running"`) {
		t.Errorf("the capture: %s", out)
	}
	expect(t, "its end", again.Run("packetcapture stop", map[string]string{"name": "survivor"}), 200)
}

// An interrupt in the browser ends the command, and so does a page that is closed.
func TestInterrupts(t *testing.T) {
	t.Parallel()
	a := appliance.Start(t, appliance.Options{})
	w := a.Web("op")
	running := func() bool { return strings.Contains(string(w.Run("who", nil).Body), "netstat traffic") }
	ctx, cancel := context.WithCancel(t.Context())
	r, err := w.Open(ctx, "POST", "/v1/run/netstat/traffic", map[string]any{"every": 1})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if !bufio.NewScanner(r.Body).Scan() || !running() {
		t.Fatal("it does not run")
	}
	cancel()
	await.Until(t, "the command to end", func() bool { return !running() })
	r, err = w.Open(t.Context(), "POST", "/v1/run/netstat/traffic", map[string]any{"every": 1})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	run := r.Header.Get("Diagsh-Run")
	expect(t, "the interrupt", w.Do("POST", "/v1/interrupt/"+run, struct{}{}), 200)
	await.Until(t, "the command to end", func() bool { return !running() })
}

// fetchEvents runs a silent command for events by fetch of Node, interrupts it by the name in its header,
// and prints its events.
const fetchEvents = `
const [url, cookie] = process.argv.slice(1);
const post = (path, headers, body) => fetch(url + path, { method: 'POST', headers: { Cookie: cookie, 'Content-Type': 'application/json', ...headers }, body: JSON.stringify(body) });
const answer = await post('/v1/run/netstat/traffic', { Accept: 'text/event-stream' }, { every: 3600 });
console.log(answer.status, answer.headers.get('Content-Type'));
await post('/v1/interrupt/' + answer.headers.get('Diagsh-Run'), {}, {});
console.log((await answer.text()).split('\n').filter((line) => /^event|exit/.test(line)).pop());
`

// A browser's fetch has the name of a run before its first record, and its records as events.
func TestFetchOfEvents(t *testing.T) {
	node := netnstest.Tool(t, "node")
	a := appliance.Start(t, appliance.Options{})
	w := a.HTTPS()
	cookie, _, _ := strings.Cut(w.Login("op", appliance.Password("op")).Header.Get("Set-Cookie"), ";")
	cmd := exec.CommandContext(t.Context(), node, "--input-type=module", "-e", fetchEvents, "--", a.Outside(), cookie)
	cmd.Env = append(os.Environ(), "NODE_TLS_REJECT_UNAUTHORIZED=0", "NODE_NO_WARNINGS=1")
	out, err := cmd.CombinedOutput()
	const begins, ends = "200 text/event-stream\n", `data: {"exit":130,`
	if rest, ok := strings.CutPrefix(string(out), begins); err != nil || !ok || !strings.HasPrefix(rest, ends) {
		t.Errorf("%v: %s", err, out)
	}
}
