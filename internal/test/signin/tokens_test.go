package signin_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"diagsh/internal/access"
	"diagsh/internal/menu"
	"diagsh/internal/test/appliance"
	"diagsh/internal/test/await"
)

// A program sends requests from an address of this machine, with a token or without.
type program struct {
	t      testing.TB
	client *http.Client
	url    string
	token  string
}

func newProgram(t testing.TB, a *appliance.Appliance, source, token string) *program {
	t.Helper()
	d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}}
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: a.TLS(), DialContext: d.DialContext}
	t.Cleanup(transport.CloseIdleConnections)
	return &program{t, &http.Client{Transport: transport}, a.URL(), token}
}

func (p *program) do(method, path, body string) (int, string) {
	p.t.Helper()
	q, err := http.NewRequest(method, p.url+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+p.token)
	if body == "" {
		q.Body, q.ContentLength = nil, 0
	} else {
		q.Header.Set("Content-Type", "application/json")
	}
	answer, err := p.client.Do(q)
	if err != nil {
		p.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		p.t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer.StatusCode, string(text)
}

// newToken makes a token of a user by SSH.
func newToken(t testing.TB, a *appliance.Appliance, user, words string) (id, secret string) {
	t.Helper()
	r := a.SSH(user, "token new "+words+" --json")
	var made struct{ Token, Secret string }
	if r.Status != 0 || json.Unmarshal([]byte(r.Out), &made) != nil || !strings.HasPrefix(made.Secret, "dsh_"+made.Token+"_") {
		t.Fatalf("%s makes no token %s: %+v", user, words, r)
	}
	return made.Token, made.Secret
}

// Every role of an account, every role of a token, what it is bound to, and where it is used: what both
// roles, the paths and the networks allow works, by commands, resources and files alike, and nothing
// else. Each refusal is in the audit log with the token.
func TestTokens(t *testing.T) {
	t.Parallel()
	a := appliance.Start(t, appliance.Options{Config: "limits:\n  sessionsPerUser: 64\n"})
	if r := a.SSH("op", "packetcapture start full interface lo; packetcapture stop full"); r.Status != 0 {
		t.Fatalf("%+v", r)
	}
	file := ""
	for _, f := range strings.Fields(a.SSH("op", "packetcapture list --json").Out) {
		if i := strings.Index(f, "mx1-full-"); i >= 0 {
			file = f[i : strings.Index(f[i:], ".pcap")+i+len(".pcap")]
		}
	}
	acts := []struct {
		method, path, body string
		role               menu.Role
		payload            bool   // it has packet contents
		below              string // the path that allows it
	}{
		{"POST", "/v1/run/netstat/routes", "{}", menu.ReadOnly, false, "netstat"},
		{"POST", "/v1/run/NETSTAT/routes", "{}", menu.ReadOnly, false, "netstat"},
		{"GET", "/v1/captures", "", menu.ReadOnly, false, "packetcapture"},
		{"POST", "/v1/ask/packetcapture/start", `{"mode":0}`, menu.Operator, false, "packetcapture"},
		{"POST", "/v1/run/packetcapture/show", `{"name":"` + file + `"}`, menu.Operator, true, "packetcapture"},
		{"GET", "/v1/accounts", "", menu.Administrator, false, "userconfig"},
		{"POST", "/v1/run/userconfig/list", "{}", menu.Administrator, false, "userconfig"},
		{"GET", "/v1/files", "", menu.ReadOnly, false, "files"},
		{"GET", "/v1/files/" + file, "", menu.Operator, true, "files"},
	}
	source := 1
	for _, account := range menu.Roles() {
		for _, ceiling := range menu.Roles() {
			role := access.LesserRole(account, ceiling)
			if role != ceiling {
				if r := a.SSH(appliance.User(account), "token new x role "+string(ceiling)); r.Status == 0 {
					t.Errorf("an account %s makes a token %s", account, ceiling)
				}
				continue
			}
			for _, paths := range []string{"", "netstat", "packetcapture,files", "userconfig,nslookup"} {
				source++
				from := fmt.Sprintf("127.0.1.%d", source)
				words := fmt.Sprintf("'%s %s' role %s sources %s", ceiling, paths, ceiling, from)
				if paths != "" {
					words += " paths " + paths
				}
				id, secret := newToken(t, a, appliance.User(account), words)
				p := newProgram(t, a, from, secret)
				refused := 0
				for _, act := range acts {
					may := role.Includes(act.role) && !(act.payload && role == menu.Support) &&
						(paths == "" || slices.Contains(strings.Split(paths, ","), act.below))
					status, text := p.do(act.method, act.path, act.body)
					if want := http.StatusOK; may && status != want || !may && status != http.StatusForbidden {
						t.Errorf("an account %s by a token %s for %q: %s %s: %d %.300s", account, ceiling, paths, act.method, act.path, status, text)
					}
					if !may {
						refused++
					}
				}
				lines := 0
				for _, e := range a.Audit() {
					if e.Token == id && e.Act == access.ActRefused {
						lines++
					}
				}
				if lines != refused {
					t.Errorf("an account %s by a token %s for %q: %d refusals left %d lines in the audit log", account, ceiling, paths, refused, lines)
				}
				if paths == "" {
					if status, text := newProgram(t, a, fmt.Sprintf("127.0.2.%d", source), secret).do("GET", "/v1/session", ""); status != http.StatusUnauthorized {
						t.Errorf("a token %s from elsewhere: %d %s", ceiling, status, text)
					}
				}
			}
		}
	}
}

// A token makes no token, shows in who, and its deletion ends what runs by it at once; so does that of
// its account.
func TestEndOfTokens(t *testing.T) {
	t.Parallel()
	a := appliance.Start(t, appliance.Options{})
	for _, one := range [][2]string{{"the token", "token delete stream confirm yes"}, {"the account", "userconfig delete op confirm yes"}} {
		what, end := one[0], one[1]
		id, secret := newToken(t, a, "op", "stream")
		p := newProgram(t, a, "127.0.0.1", secret)
		if status, text := p.do("POST", "/v1/run/token/new", `{"name":"more"}`); status != http.StatusForbidden || !strings.Contains(text, "A token cannot make tokens") {
			t.Errorf("a token makes a token: %d %s", status, text)
		}
		if status, text := p.do("POST", "/v1/run/whoami", "{}"); status != http.StatusOK || !strings.Contains(text, `"token":"`+id+`"`) {
			t.Errorf("a token is %d %s", status, text)
		}
		if r := a.SSH("admin", "who --json"); !strings.Contains(r.Out, `"token":"`+id+`"`) {
			t.Errorf("who does not show the token: %+v", r)
		}
		if r := a.SSH("admin", "token list --json"); !strings.Contains(r.Out, `"lastFrom":"127.0.0.1"`) {
			t.Errorf("the list does not show its use: %+v", r)
		}
		ended := make(chan error, 1)
		go func() {
			q, _ := http.NewRequest("POST", p.url+"/v1/run/ping", strings.NewReader(`{"host":"127.0.0.1","count":1000}`))
			q.Header.Set("Authorization", "Bearer "+p.token)
			q.Header.Set("Content-Type", "application/json")
			answer, err := p.client.Do(q)
			if err == nil {
				_, err = io.Copy(io.Discard, answer.Body)
			}
			ended <- err
		}()
		await.Until(t, "the ping", func() bool { return strings.Contains(a.SSH("admin", "who").Out, "ping") })
		if r := a.SSH("admin", end); r.Status != 0 {
			t.Fatalf("%s: %+v", end, r)
		}
		if err := <-ended; err == nil {
			t.Errorf("after %s was deleted its stream ended as if it were whole", what)
		}
		if status, text := p.do("GET", "/v1/session", ""); status != http.StatusUnauthorized {
			t.Errorf("after %s was deleted: %d %s", what, status, text)
		}
	}
}

// The password of an account opens more than a token of it may, so a token cannot change it, not even
// by the present one.
func TestTokenChangesNoPassword(t *testing.T) {
	t.Parallel()
	a := appliance.Start(t, appliance.Options{})
	_, secret := newToken(t, a, "op", "name ci")
	status, answer := newProgram(t, a, "127.0.0.1", secret).do("POST", "/v1/run/passwd",
		fmt.Sprintf(`{"old":%q,"new":"another correct horse"}`, appliance.Password("op")))
	if status != http.StatusForbidden || !strings.Contains(answer, "A token cannot") {
		t.Errorf("%d %s", status, answer)
	}
}
