package signin_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oauth2-proxy/mockoidc"
	"golang.org/x/crypto/ssh"

	"diagsh/internal/access"
	"diagsh/internal/test/appliance"
	"diagsh/internal/test/await"
	"diagsh/internal/test/signin"
)

// A bed is an appliance with a directory, a server of RADIUS and a provider.
type bed struct {
	*appliance.Appliance
	directory *signin.Directory
	provider  *signin.Provider
}

func newBed(t *testing.T) *bed {
	t.Helper()
	ca := signin.NewCA(t)
	b := &bed{directory: signin.NewDirectory(t, ca), provider: signin.NewProvider(t, ca)}
	radius := signin.NewRADIUS(t, true)
	dir := t.TempDir()
	secret := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	b.Appliance = appliance.Start(t, appliance.Options{Config: fmt.Sprintf(`signIn:
  ldap:
    servers: [%s]
    caFile: %s
    bindDN: cn=searcher,dc=example,dc=net
    secretFile: %s
    base: ou=people,dc=example,dc=net
    filter: (uid={user})
    groupBase: ou=groups,dc=example,dc=net
    groupFilter: (member={dn})
    roles: {"cn=netops,ou=groups,dc=example,dc=net": operator, "cn=viewers,ou=groups,dc=example,dc=net": readonly}
  radius:
    servers: ["%s"]
    secretFile: %s
    roles: {netops: operator}
  oidc:
    issuer: %s
    caFile: %s
    clientID: %s
    secretFile: %s
    redirectURL: https://mx1.example.net/v1/login/oidc/callback
    roles: {netops: operator, admins: administrator}
`, b.directory.LDAPS, ca.File, secret("ldap", "searcher"), radius.Address, secret("radius", radius.Secret),
		b.provider.Issuer(), ca.File, b.provider.ClientID, secret("oidc", b.provider.ClientSecret))})
	return b
}

// enters reports whether a user comes in by SSH, and how long that takes.
func (b *bed) enters(user, password string) (*ssh.Client, time.Duration, error) {
	began := time.Now()
	c, err := b.LoginBy(user, ssh.Password(password))
	return c, time.Since(began), err
}

// refusal returns the newest refusal of the audit log.
func (b *bed) refusal() (last access.Event) {
	for _, e := range b.Audit() {
		if e.Act == access.ActRefused {
			last = e
		}
	}
	return last
}

// says runs a line in a login.
func says(t *testing.T, c *ssh.Client, line string) string {
	t.Helper()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	out, _ := s.CombinedOutput(line)
	return string(out)
}

// People of real servers come in by SSH and by HTTPS with the roles of their groups, and nobody else
// does; accounts of the appliance come in whatever becomes of the servers.
func TestSignIn(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	jane, _, err := b.enters("jane", "jane-secret")
	if err != nil {
		t.Fatalf("jane: %v\n%s", err, b.Log())
	}
	var who struct{ User, Role string }
	if out := says(t, jane, "whoami --json"); json.Unmarshal([]byte(out), &who) != nil || who.User != "jane" || who.Role != "operator" {
		t.Errorf("jane is %s", out)
	}
	for line, want := range map[string]string{
		"userconfig list": "The role operator may not do this", "token new ci": "jane has no account here",
		"passwd old jane-secret new 'battery staple 9'": "jane has no account here", "packetcapture start janes interface lo": "started",
	} {
		if out := says(t, jane, line); !strings.Contains(out, want) {
			t.Errorf("%s of jane says %q", line, out)
		}
	}
	if out := says(t, jane, "who --json"); !strings.Contains(out, `"user":"jane","role":"operator"`) {
		t.Errorf("who: %s", out)
	}
	if r := b.SSH("admin", "last --json"); !strings.Contains(r.Out, `"user":"jane","source":"127.0.0.1","method":"ldap"`) {
		t.Errorf("last: %+v", r)
	}
	for _, c := range []struct{ user, password, reason string }{
		{"jane", "wrong", "Invalid Credentials"},
		{"otto", "otto-secret", "none of the groups has a role: cn=cooks"},
		{"nobody2", "x", "there is no such user below"},
		{"admin", "admin-secret", "the password is not the user's"}, // the directory's admin is somebody else
	} {
		if _, _, err := b.enters(c.user, c.password); err == nil {
			t.Errorf("%s comes in with %q", c.user, c.password)
		}
		if e := b.refusal(); e.User != c.user || !strings.Contains(e.Message, c.reason) {
			t.Errorf("%s is refused as %+v; want %s", c.user, e, c.reason)
		}
	}
	b.web(t)
	b.tested(t)
	b.away(t)
}

// web signs people in by HTTPS, by password and by the provider.
func (b *bed) web(t *testing.T) {
	t.Helper()
	if r := b.HTTPS().Login("rita", "rita-secret"); r.Status != http.StatusOK || !strings.Contains(string(r.Body), `"role":"readonly"`) {
		t.Errorf("rita by HTTPS: %d %s", r.Status, r.Body)
	}
	browse := func(name string, groups ...string) (*appliance.Web, appliance.Answer) {
		w := b.HTTPS()
		w.Client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		if r := w.Get("/v1/login/methods"); !strings.Contains(string(r.Body), `"address":"/v1/login/oidc"`) {
			t.Fatalf("the page is offered %s", r.Body)
		}
		begun := w.Get("/v1/login/oidc")
		if begun.Status != http.StatusSeeOther {
			t.Fatalf("the sign-in begins with %d %s", begun.Status, begun.Body)
		}
		back := b.provider.Authorize(begun.Header.Get("Location"), signin.User{MockUser: mockoidc.MockUser{Subject: name, PreferredUsername: name, Groups: groups}})
		return w, w.Get(back.RequestURI())
	}
	w, r := browse("paula", "netops")
	if r.Status != http.StatusSeeOther || r.Header.Get("Location") != "/" {
		t.Fatalf("paula is sent to %s with %d: %+v", r.Header.Get("Location"), r.Status, b.refusal())
	}
	if r := w.Get("/v1/login"); !strings.Contains(string(r.Body), `"user":"paula","role":"operator"`) || !strings.Contains(string(r.Body), `"method":"oidc"`) {
		t.Errorf("paula is %d %s", r.Status, r.Body)
	}
	if r := w.Run("userconfig list", nil); r.Status != http.StatusForbidden {
		t.Errorf("an operator lists accounts: %d", r.Status)
	}
	for name, c := range map[string]struct{ group, reason string }{
		"paul": {"cooks", "oidc: none of the groups has a role: cooks"}, "admin": {"admins", "oidc: an account of the appliance has this name"},
	} {
		w, r := browse(name, c.group)
		if r.Header.Get("Location") != "/?signin=denied" || w.Get("/v1/login").Status != http.StatusUnauthorized {
			t.Errorf("%s is sent to %s", name, r.Header.Get("Location"))
		}
		if e := b.refusal(); e.Message != "Login refused: "+c.reason {
			t.Errorf("%s is refused as %+v", name, e)
		}
	}
}

// tested has an administrator ask the servers.
func (b *bed) tested(t *testing.T) {
	t.Helper()
	for line, want := range map[string]string{
		"userconfig signin test ldap jane":                        "Role:   operator\nResult: ok",
		"userconfig signin test ldap otto":                        "Result: none of the groups has a role: cn=cooks",
		"userconfig signin test radius jane password jane-secret": "Access-Accept: Hello jane",
		"userconfig signin test oidc":                             "Result: ok",
		"userconfig signin show":                                  "netops",
		"userconfig signin test ldap jane password wrong":         "Invalid Credentials",
	} {
		r := b.SSH("admin", line)
		if r.Status != 0 || !strings.Contains(r.Out, want) {
			t.Errorf("%s: %+v", line, r)
		}
		if strings.Contains(r.Out, "jane-secret") || strings.Contains(r.Out, "searcher\n") {
			t.Errorf("%s shows a secret: %s", line, r.Out)
		}
	}
	r := b.SSH("admin", "auditlog path 'userconfig signin test' count 20")
	if !strings.Contains(r.Out, "password ******") || strings.Contains(r.Out, "jane-secret") {
		t.Errorf("the audit log says %+v", r)
	}
}

// away takes the directory away: accounts come in as fast as ever, whom RADIUS knows comes in by it, and
// everybody else is told why not.
func (b *bed) away(t *testing.T) {
	t.Helper()
	b.directory.Stop()
	// What listens there now says nothing, so that every question to it takes the whole timeout.
	silent, err := net.Listen("tcp", strings.Replace(b.directory.LDAPS, "ldaps://localhost", "127.0.0.1", 1))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan time.Duration, 1)
	go func() {
		_, took, _ := b.enters("nobody3", "x")
		done <- took
	}()
	_, own, err := b.enters("op", appliance.Password("op"))
	if err != nil {
		t.Errorf("an account does not come in while the directory is silent: %v", err)
	}
	if others := <-done; others < 5*time.Second || own > others-2*time.Second {
		t.Errorf("an account waits %v while the directory is silent, others %v", own, others)
	}
	silent.Close()
	if _, _, err := b.enters("rita", "rita-secret"); err == nil {
		t.Error("rita comes in without her directory")
	}
	if e := b.refusal(); !strings.Contains(e.Message, "connection refused") || !strings.Contains(e.Message, "radius: ") {
		t.Errorf("rita is refused as %+v", e)
	}
	brief, _, err := b.enters("brief", "brief-secret")
	if err != nil {
		t.Fatalf("brief: %v", err)
	}
	if out := says(t, brief, "whoami"); !strings.Contains(out, "operator") {
		t.Errorf("brief is %s", out)
	}
	// The server gave two seconds.
	await.Until(t, "the end of brief's login", func() bool { return b.Logouts("brief") > 0 })
}
