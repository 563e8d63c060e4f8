package https

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/front/gate"
	"diagsh/internal/menu/problem"
	"diagsh/internal/test/await"
)

const patience = await.Patience

// TLS 1.2 and 1.3 work, and no older one; the certificate that the appliance changes to is shown from the
// next handshake on, and is asked for once.
func TestHandshakes(t *testing.T) {
	r := newRig(t)
	dial := func(version uint16) (tls.ConnectionState, error) {
		c, err := tls.Dial("tcp", r.address, &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version,
			NextProtos: []string{"h2", "http/1.1"}})
		if err != nil {
			return tls.ConnectionState{}, err
		}
		defer c.Close()
		return c.ConnectionState(), nil
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		s, err := dial(version)
		if err != nil || s.NegotiatedProtocol != "h2" || s.PeerCertificates[0].Subject.CommonName != "first" {
			t.Errorf("%s: %v, %+v", tls.VersionName(version), err, s)
		}
	}
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
		if _, err := dial(version); err == nil {
			t.Errorf("%s is spoken", tls.VersionName(version))
		}
	}
	chain, key := newCertificate(t, "second")
	r.appliance.mu.Lock()
	r.appliance.chain, r.appliance.key, r.appliance.fromCA = chain, key, true
	r.appliance.mu.Unlock()
	for range 3 {
		if s, err := dial(tls.VersionTLS13); err != nil || s.PeerCertificates[0].Subject.CommonName != "second" {
			t.Errorf("after the change: %v", err)
		}
	}
	if r.appliance.asked != 2 {
		t.Errorf("the certificate was fetched %d times", r.appliance.asked)
	}
	challenge := func(name string) (tls.ConnectionState, error) {
		c, err := tls.Dial("tcp", r.address, &tls.Config{InsecureSkipVerify: true, ServerName: name, NextProtos: []string{"acme-tls/1"}})
		if err != nil {
			return tls.ConnectionState{}, err
		}
		defer c.Close()
		if n, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("after the handshake of a challenge: %d bytes, %v", n, err)
		}
		return c.ConnectionState(), nil
	}
	if s, err := challenge("mx1.example.com"); err == nil {
		t.Errorf("without an order at a CA there is a challenge: %+v", s)
	}
	order := func(name string) {
		r.appliance.mu.Lock()
		defer r.appliance.mu.Unlock()
		r.appliance.challenged = name
	}
	long := strings.Repeat("x.", maxName)
	order(strings.TrimSuffix(long, "."))
	if _, err := challenge(long); err == nil {
		t.Error("the appliance is asked about a name that no host can have")
	}
	order("mx1.example.com")
	if s, err := challenge("mx1.example.com"); err != nil || s.NegotiatedProtocol != "acme-tls/1" {
		t.Errorf("the challenge of an order: %v, %+v", err, s)
	}
	if got := r.ask(r.client(), "GET", "/", "").header.Get("Strict-Transport-Security"); got != strictTransport {
		t.Errorf("with a certificate from a CA: %q", got)
	}
}

// The page has its policy, its types and its entity tags, packed for those who take that.
func TestPage(t *testing.T) {
	r := newRig(t)
	c := r.client()
	a := r.ask(c, "GET", "/", "", "Accept-Encoding", "identity")
	for name, want := range map[string]string{
		"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": pagePolicy, "Cache-Control": "no-cache",
		"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin", "X-Frame-Options": "DENY", "Strict-Transport-Security": "",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s: %q, not %q", name, got, want)
		}
	}
	if a.header.Get("Permissions-Policy") == "" || !strings.HasPrefix(a.body, "<!doctype html>") {
		t.Errorf("%v %q", a.header, a.body)
	}
	tag := a.header.Get("ETag")
	if a := r.ask(c, "GET", "/index.html", "", "If-None-Match", tag, "Accept-Encoding", "identity"); a.status != 304 || a.body != "" {
		t.Errorf("what has not changed: %+v", a)
	}
	packed := r.ask(c, "GET", "/", "", "Accept-Encoding", "br, gzip")
	if packed.header.Get("Content-Encoding") != "gzip" || packed.header.Get("ETag") == tag || len(packed.body) >= len(a.body) {
		t.Errorf("packed: %+v", packed.header)
	}
	if a := r.ask(c, "GET", "/", "", "Accept-Encoding", "gzip;q=0"); a.header.Get("Content-Encoding") != "" {
		t.Error("it is packed for one who refuses that")
	}
	for path, want := range map[string]string{"/app.js": "text/javascript; charset=utf-8", "/v/lib.css": "text/css; charset=utf-8"} {
		if got := r.ask(c, "GET", path, "").header.Get("Content-Type"); got != want {
			t.Errorf("%s: %q", path, got)
		}
	}
	for path, want := range map[string]int{"/v": 404, "/nothing.js": 404, "/v/": 404, "/%2e%2e/secret": 404} {
		if a := r.ask(c, "GET", path, ""); a.status != want {
			t.Errorf("%s: %d", path, a.status)
		}
	}
	if a := r.ask(c, "POST", "/", "{}"); a.status != 405 || a.header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d %s", a.status, a.header)
	}
}

// A login makes a session with a cookie of its own; wrong and broken ones make none.
func TestLogin(t *testing.T) {
	r := newRig(t)
	for body, want := range map[string]int{
		`{"user":"op","password":"wrong"}`:     401,
		`{"user":"locked","password":"right"}`: 409,
		`{"password":"right"}`:                 400,
		`nonsense`:                             400,
		`{"user":"` + strings.Repeat("u", maxUserName+1) + `","password":"right"}`: 400,
		`{"user":"op","password":"` + strings.Repeat("x", maxLogin) + `"}`:         413,
	} {
		a := r.ask(r.client(), "POST", "/v1/login", body)
		if a.status != want || a.header.Get("Set-Cookie") != "" || a.header.Get("Content-Type") != problem.MediaType {
			t.Errorf("%.60s: %+v", body, a)
		}
	}
	if a := r.ask(r.client(), "POST", "/v1/login", `user=op&password=right`, "Content-Type", "application/x-www-form-urlencoded"); a.status != 415 {
		t.Errorf("a form: %+v", a)
	}
	c := r.client()
	first := r.ask(c, "POST", "/v1/login", `{"user":"op","password":"right"}`)
	second := r.ask(c, "POST", "/v1/login", `{"user":"op","password":"right"}`)
	if a, b := first.header.Get("Set-Cookie"), second.header.Get("Set-Cookie"); a == b || !strings.Contains(a, "; Path=/; HttpOnly; Secure; SameSite=Strict") {
		t.Errorf("cookies %q and %q", a, b)
	}
	if former := <-r.appliance.closed; !strings.HasPrefix(former, "op") {
		t.Errorf("the session before ends not: %q", former)
	}
	var me access.WebLogin
	if err := json.Unmarshal([]byte(second.body), &me); err != nil || me.User != "op" || me.Idle != 1800 || time.Until(me.Ends) < 59*time.Minute {
		t.Errorf("%s: %v", second.body, err)
	}
	if a := r.ask(c, "GET", "/v1/login/methods", ""); !strings.Contains(a.body, `"session":true`) {
		t.Errorf("with a cookie the methods are %s", a.body)
	}
	if got := r.appliance.logins[len(r.appliance.logins)-1].Source; got != "127.0.0.1" {
		t.Errorf("the login came from %q", got)
	}
	if !slices.Equal(r.appliance.kinds, []string{"web", "web"}) {
		t.Errorf("the sessions are %q", r.appliance.kinds)
	}
	if a := r.ask(r.client(), "GET", "/v1/login/methods", ""); a.body != `{"banner":"authorised\\x1b[2J people\n","session":false,"methods":[{"kind":"password"}],"others":[{"kind":"oidc","name":"Staff","address":"/v1/login/oidc"}]}`+"\n" {
		t.Errorf("the methods: %s", a.body)
	}
	for method, path := range map[string]string{"PUT": "/v1/login", "POST": "/v1/login/methods"} {
		if a := r.ask(c, method, path, ""); a.status != 405 || a.header.Get("Allow") == "" {
			t.Errorf("%s %s: %+v", method, path, a)
		}
	}
}

// A login that its client does not wait for is given up.
func TestLoginGivenUp(t *testing.T) {
	r := newRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	q, err := http.NewRequestWithContext(ctx, "POST", "https://"+r.address+"/v1/login", strings.NewReader(`{"user":"slow","password":"right"}`))
	check(t, err)
	q.Header.Set("Content-Type", "application/json")
	done := make(chan error, 1)
	go func() {
		_, err := r.client().Do(q)
		done <- err
	}()
	<-r.appliance.waiting
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	select {
	case <-r.appliance.gaveUp:
	case <-time.After(patience):
		t.Error("the appliance still checks the password")
	}
}

// What a session asks is asked as it stands, without what is between the browser and this process.
func TestProxy(t *testing.T) {
	r := newRig(t)
	if a := r.ask(r.client(), "GET", "/v1/tree", ""); a.status != 401 || a.header.Get("WWW-Authenticate") == "" {
		t.Errorf("without a login: %+v", a)
	}
	if a := r.ask(r.client(), "GET", "/v1/tree", "", "Cookie", cookieName+"=stolen"); a.status != 401 {
		t.Errorf("with a cookie of nobody: %+v", a)
	}
	c := r.login()
	a := r.ask(c, "POST", "/v1/run/ping?form=json", `{"host":"x"}`, "X-Forwarded-For", "192.0.2.1", "Forwarded", "for=192.0.2.1",
		"Authorization", "", "Accept", "application/x-ndjson", "If-Match", `"1"`, access.BackgroundHeader, "true")
	var said struct {
		Method, Path, Query, Body string
		Header                    http.Header
	}
	check(t, json.Unmarshal([]byte(a.body), &said))
	if said.Method != "POST" || said.Path != "/v1/run/ping" || said.Query != "form=json" || said.Body != `{"host":"x"}` {
		t.Errorf("%+v", said)
	}
	want := http.Header{"Accept": {"application/x-ndjson"}, "If-Match": {`"1"`}, access.BackgroundHeader: {"true"},
		"Content-Type": {"application/json"}, "Content-Length": {"12"}}
	if fmt.Sprint(said.Header) != fmt.Sprint(want) {
		t.Errorf("the headers are %v, not %v", said.Header, want)
	}
	for name, want := range map[string]string{"Content-Security-Policy": apiPolicy, "Cache-Control": "no-store", "Set-Cookie": "", "Etag": `"kept"`} {
		if got := a.header.Values(name); strings.Join(got, "|") != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if a := r.ask(c, "POST", "/v1/run/ping", "host=x", "Content-Type", "text/plain"); a.status != 415 {
		t.Errorf("a body that is not declared as JSON: %+v", a)
	}
	if a := r.ask(c, "POST", "/v1/login", strings.Repeat("1", maxLogin+1)); a.status != 413 || !strings.Contains(a.body, "larger than 8KB") {
		t.Errorf("a login that is too large: %d %s", a.status, a.body)
	}
	if a := r.ask(c, "POST", "/v1/run/x", strings.Repeat("1", problem.MaxBody+1)); a.status != 413 {
		t.Errorf("a body that is too long: %+v", a)
	}
	if a := r.ask(c, "POST", "/v1/run/x", strings.Repeat("1", problem.MaxBody)); a.status != 200 {
		t.Errorf("the longest body: %d", a.status)
	}
	if a := r.ask(c, "DELETE", "/v1/login", ""); a.status != 204 || a.header.Get("Clear-Site-Data") != `"cache", "storage"` {
		t.Errorf("the logout: %+v", a)
	}
	if a := r.ask(c, "GET", "/v1/tree", ""); a.status != 401 {
		t.Errorf("after the logout: %d", a.status)
	}
}

// What the appliance ends is forgotten here, and its cookie opens nothing.
func TestSessionEndedByTheAppliance(t *testing.T) {
	r := newRig(t)
	c := r.login()
	r.appliance.endAll()
	await.Until(t, "the cookie to be forgotten", func() bool { return r.ask(c, "GET", "/v1/tree", "").status == 401 })
	if login := <-r.appliance.closed; !strings.HasPrefix(login, "op") {
		t.Errorf("the login %q", login)
	}
}

// The end of a request here is its end there, and what breaks there breaks here.
func TestEndsOfRequests(t *testing.T) {
	r := newRig(t)
	ended := make(chan struct{})
	r.appliance.boundary = http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/v1/wait" {
			defer close(ended)
		}
		echo(w, q)
	})
	c := r.login()
	ctx, cancel := context.WithCancel(t.Context())
	q, err := http.NewRequestWithContext(ctx, "GET", "https://"+r.address+"/v1/wait", nil)
	check(t, err)
	a, err := c.Do(q)
	check(t, err)
	defer a.Body.Close()
	cancel()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Error("the request goes on")
	}
	q, err = http.NewRequest("GET", "https://"+r.address+"/v1/break", nil)
	check(t, err)
	if a, err := c.Do(q); err == nil {
		if text, err := io.ReadAll(a.Body); err == nil && a.StatusCode == 200 {
			t.Errorf("what broke off is whole: %q", text)
		}
		a.Body.Close()
	}
}

// Pages of other sites change nothing, programs do.
func TestCrossOrigin(t *testing.T) {
	r := newRig(t)
	c := r.login()
	for _, header := range [][]string{
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}, {"Origin", "null"},
		{"Sec-Fetch-Site", "cross-site", "Origin", "https://" + r.address},
	} {
		for _, method := range []string{"POST", "DELETE", "PUT"} {
			if a := r.ask(c, method, "/v1/run/x", "{}", header...); a.status != 403 || !strings.Contains(a.body, "another site") {
				t.Errorf("%s with %v: %d", method, header, a.status)
			}
		}
		if a := r.ask(c, "DELETE", "/v1/login", "", header...); a.status != 403 {
			t.Errorf("a logout with %v: %d", header, a.status)
		}
		if a := r.ask(c, "POST", "/v1/login", `{"user":"op","password":"right"}`, header...); a.status != 403 {
			t.Errorf("a login with %v: %d", header, a.status)
		}
	}
	for _, header := range [][]string{{}, {"Sec-Fetch-Site", "same-origin"}, {"Sec-Fetch-Site", "none"}, {"Origin", "https://" + r.address}} {
		if a := r.ask(c, "POST", "/v1/run/x", "{}", header...); a.status != 200 {
			t.Errorf("with %v: %d", header, a.status)
		}
	}
}

// A token makes one session for all of its requests, until it is not used any more; a wrong one makes
// none.
func TestTokens(t *testing.T) {
	r := newRig(t)
	c := r.client()
	for range 20 {
		if a := r.ask(c, "POST", "/v1/run/x", "{}", "Authorization", "Bearer good", "Content-Type", "text/plain"); a.status != 200 {
			t.Fatalf("%+v", a)
		}
	}
	if n := len(r.appliance.logins); n != 1 || r.appliance.kinds[0] != "api" || r.appliance.logins[0].Source != "127.0.0.1" {
		t.Errorf("%d logins: %+v, %q", n, r.appliance.logins, r.appliance.kinds)
	}
	if a := r.ask(c, "GET", "/v1/x", "", "Authorization", "Bearer good2"); a.status != 200 || len(r.appliance.logins) != 2 {
		t.Errorf("another token: %+v", a)
	}
	began := time.Now()
	if a := r.ask(c, "GET", "/v1/x", "", "Authorization", "Bearer bad"); a.status != 401 || time.Since(began) < wrongTokenTime {
		t.Errorf("a wrong token: %d after %v", a.status, time.Since(began))
	}
	for _, header := range []string{"Bearer", "Basic b3A6cmlnaHQ=", "good", "Bearer " + strings.Repeat("x", maxToken+1)} {
		if a := r.ask(r.login(), "GET", "/v1/x", "", "Authorization", header); a.status != 401 {
			t.Errorf("%q: %d, though there is a cookie", header, a.status)
		}
	}
	if a := r.ask(c, "DELETE", "/v1/login", "", "Authorization", "Bearer good"); a.status != 409 || !strings.Contains(a.body, "came by a token") {
		t.Errorf("a token that logs out: %+v", a)
	}
	r.server.tokens.endIdle(time.Now().Add(-tokenIdle))
	if len(r.server.tokens.sessions) != 2 {
		t.Errorf("%d sessions of tokens are left", len(r.server.tokens.sessions))
	}
	r.server.tokens.endIdle(time.Now())
	for range 2 {
		if login := <-r.appliance.closed; !strings.HasPrefix(login, "program") {
			t.Errorf("%q ended", login)
		}
	}
	if a := r.ask(c, "GET", "/v1/x", "", "Authorization", "Bearer good"); a.status != 200 {
		t.Errorf("after the idle end: %+v", a)
	}
}

// A server ends though a token is being checked, which it gives up.
func TestEndsWhileATokenLogsIn(t *testing.T) {
	r := newRig(t)
	c := r.client()
	c.Timeout = patience
	asked := make(chan struct{})
	t.Cleanup(func() { <-asked })
	t.Cleanup(r.stop)
	go func() {
		defer close(asked)
		q, err := http.NewRequest("GET", "https://"+r.address+"/v1/x", nil)
		if err != nil {
			t.Error(err)
			return
		}
		q.Header.Set("Authorization", "Bearer slow")
		if a, err := c.Do(q); err == nil {
			a.Body.Close()
			t.Errorf("it was answered with %s", a.Status)
		}
	}()
	<-r.appliance.waiting
}

// Sessions of tokens are bounded: those that are not in use make room.
func TestManyTokens(t *testing.T) {
	table := newTokenTable()
	ready := func(n int) *tokenSession {
		one, isNew := table.take(tokenKey{token: [32]byte{byte(n)}})
		if one == nil || !isNew {
			t.Fatalf("session %d: %v, %v", n, one, isNew)
		}
		close(one.ready)
		return one
	}
	var all []*tokenSession
	for n := range maxTokens {
		all = append(all, ready(n))
	}
	if one, _ := table.take(tokenKey{token: [32]byte{255}}); one != nil {
		t.Error("there are more sessions than may be")
	}
	table.free(all[5])
	table.free(all[3])
	ready(200)
	if _, isNew := table.take(tokenKey{token: [32]byte{3}}); isNew || len(table.sessions) != maxTokens {
		t.Errorf("%d sessions; the one that was used last made room", len(table.sessions))
	}
}

// Whoever asks too often hears when to ask again. The test takes what is left to each name, and does so a
// minute ahead: however slow the machine is, none comes back meanwhile.
func TestRatesOfRequests(t *testing.T) {
	r := newRig(t)
	c := r.login()
	ahead := time.Now().Add(time.Minute)
	source := netip.MustParsePrefix("127.0.0.1/32")
	limited := func(method, path string) {
		t.Helper()
		a := r.ask(c, method, path, "{}")
		after, err := strconv.Atoi(a.header.Get("Retry-After"))
		if a.status != 429 || err != nil || after < 1 || after > 62 || !strings.Contains(a.body, `/v1/problems/rate"`) ||
			a.header.Get("Content-Type") != problem.MediaType {
			t.Errorf("%s %s: %+v", method, path, a)
		}
	}
	if n := exhaust(r.server.limits.probes, "op", ahead); n != probeBurst {
		t.Errorf("%d probes at once", n)
	}
	for _, path := range []string{"/v1/run/diagnostic/network/smtpping", "/v1/run/PING/", "/v1/run/%2Fping", "/v1/run/diagnostic/network%2f%2fsmtpping%2F"} {
		limited("POST", path)
	}
	if a := r.ask(c, "POST", "/v1/run/who", "{}"); a.status != 200 {
		t.Errorf("what sends nothing: %d", a.status)
	}
	exhaust(r.server.limits.logins, source, ahead)
	limited("POST", "/v1/login")
	exhaust(r.server.limits.accounts, "op", ahead)
	limited("GET", "/v1/x")
	if a := r.ask(c, "GET", "/", ""); a.status != 200 {
		t.Errorf("what is of no account: %d", a.status)
	}
	exhaust(r.server.limits.sources, source, ahead)
	limited("GET", "/")
}

// exhaust takes all that is left to a name at a time, and returns how much that was.
func exhaust[Name comparable](rates *gate.Rates[Name], name Name, at time.Time) (n int) {
	for rates.Take(name, at) == 0 {
		n++
	}
	return n
}

// A session has so many requests at a time, and the next is told.
func TestRequestsAtATime(t *testing.T) {
	r := newRig(t)
	c := r.login()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range maxRequests {
		q, err := http.NewRequestWithContext(ctx, "GET", "https://"+r.address+"/v1/wait", nil)
		check(t, err)
		a, err := c.Do(q)
		check(t, err)
		defer a.Body.Close()
	}
	if a := r.ask(c, "GET", "/v1/x", ""); a.status != 429 || a.header.Get("Retry-After") != "1" {
		t.Errorf("one more: %+v", a)
	}
	cancel()
	await.Until(t, "a free slot", func() bool { return r.ask(c, "GET", "/v1/x", "").status == 200 })
}
