package directories

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/oauth2-proxy/mockoidc"

	"diagsh/internal/access"
	"diagsh/internal/daemon/settings"
	"diagsh/internal/menu"
	"diagsh/internal/test/signin"
)

func oidcOf(t *testing.T, p *signin.Provider, ca *signin.CA) settings.OIDC {
	return settings.OIDC{Server: settings.Server{Timeout: 3 * time.Second, CA: read(t, ca.File), Secret: menu.Secret(p.ClientSecret),
		Roles: settings.Roles{"netops": menu.Operator, "admins": menu.Administrator}},
		Issuer: p.Issuer(), ClientID: p.ClientID, RedirectURL: "https://mx1.example.net/v1/login/oidc/callback",
		Scopes: []string{"openid", "profile", "groups", "email"}, UserClaim: "preferred_username", RolesClaim: "groups", Label: "Staff"}
}

func someone(name string, groups ...string) signin.User {
	return signin.User{MockUser: mockoidc.MockUser{Subject: "4711", PreferredUsername: name, Email: name + "@example.net", Groups: groups}}
}

// begin begins a sign-in.
func begin(t *testing.T, d *Directories) access.Redirect {
	t.Helper()
	to, err := d.BeginSignIn(t.Context(), "192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// signedIn is what comes of a whole sign-in.
func signedIn(t *testing.T, d *Directories, p *signin.Provider, user signin.User, want outcome) access.Person {
	t.Helper()
	to := begin(t, d)
	query := p.Authorize(to.URL, user).Query()
	return ended(t, d, access.Callback{State: query.Get("state"), Code: query.Get("code"), Binding: to.Binding}, want)
}

func ended(t *testing.T, d *Directories, c access.Callback, want outcome) access.Person {
	t.Helper()
	p, err := d.EndSignIn(t.Context(), c)
	if got := outcomeOf(t, p, err, want); got != want {
		t.Errorf("it ends with %+v; want %+v", got, want)
	}
	return p
}

func TestOIDC(t *testing.T) {
	ca := signin.NewCA(t)
	p := signin.NewProvider(t, ca)
	d := open(t, settings.SignIn{OIDC: oidcOf(t, p, ca)})
	if ways := d.SignInWays(); len(ways) != 1 || ways[0].Name != "Staff" || ways[0].Address != "/v1/login/oidc" {
		t.Errorf("the ways are %+v", ways)
	}
	to, err := url.Parse(begin(t, d).URL)
	if err != nil {
		t.Fatal(err)
	}
	if q := to.Query(); q.Get("code_challenge_method") != "S256" || q.Get("nonce") == "" || len(q.Get("state")) < 20 || q.Get("response_type") != "code" {
		t.Errorf("the browser is sent to %s", to)
	}
	jane := signedIn(t, d, p, someone("Jane", "cooks", "netops"), outcome{role: menu.Operator})
	if jane.User != "jane" || jane.ID != "4711" || jane.FullName != "Jane Example" || jane.Method != access.OIDC || fmt.Sprint(jane.Groups) != "[netops]" {
		t.Errorf("jane is %+v", jane)
	}
	signedIn(t, d, p, someone("jane", "netops", "admins"), outcome{role: menu.Administrator})
	signedIn(t, d, p, someone("otto", "cooks"), outcome{reason: "none of the groups has a role: cooks", noRole: true})
	signedIn(t, d, p, someone("otto"), outcome{reason: "in no group", noRole: true})
	for _, name := range []string{"jane@example.net", "", "../x", strings.Repeat("x", 33), "jane\n"} {
		signedIn(t, d, p, someone(name, "netops"), outcome{reason: "cannot be a user name here"})
	}
	for what, c := range map[string]struct {
		reason string
		change func(jwt.MapClaims)
	}{
		"for another sign-in": {"is of another sign-in", func(c jwt.MapClaims) { c["nonce"] = "x" }},
		"without a nonce":     {"is of another sign-in", func(c jwt.MapClaims) { delete(c, "nonce") }},
		"for another client":  {"expected audience", func(c jwt.MapClaims) { c["aud"] = "another" }},
		"of another issuer":   {"issued by a different provider", func(c jwt.MapClaims) { c["iss"] = "https://elsewhere.example" }},
		"that has expired":    {"token is expired", func(c jwt.MapClaims) { c["exp"] = time.Now().Add(-time.Hour).Unix() }},
		"with a name that is no text": {"which is to be the user name, is not there",
			func(c jwt.MapClaims) { c["preferred_username"] = []string{"jane"} }},
	} {
		t.Log(what)
		user := someone("jane", "netops")
		user.Change = c.change
		signedIn(t, d, p, user, outcome{reason: c.reason})
	}
	byMail := oidcOf(t, p, ca)
	byMail.UserClaim, byMail.UserSuffix, byMail.RolesClaim = "email", "@Example.net", "realm_access.roles"
	d = open(t, settings.SignIn{OIDC: byMail})
	user := someone("Jane.Doe")
	user.Change = func(c jwt.MapClaims) { c["realm_access"] = map[string]any{"roles": []any{"netops", 5, "x"}} }
	if p := signedIn(t, d, p, user, outcome{role: menu.Operator}); p.User != "jane.doe" {
		t.Errorf("the user is %q", p.User)
	}
	user.Email = "jane@elsewhere.example"
	signedIn(t, d, p, user, outcome{reason: "cannot be a user name here"})
	if got, err := d.TestSignIn(t.Context(), access.OIDC, "", ""); err != nil || got.Result != "ok" || len(got.Steps) != 4 {
		t.Errorf("a test says %+v, %v", got, err)
	}
}

// A sign-in ends once, in the browser that began it, by the code that the provider gave for it.
func TestSignInThatIsNotOnesOwn(t *testing.T) {
	ca := signin.NewCA(t)
	p := signin.NewProvider(t, ca)
	d := open(t, settings.SignIn{OIDC: oidcOf(t, p, ca)})
	bring := func(user string) access.Callback {
		to := begin(t, d)
		q := p.Authorize(to.URL, someone(user, "netops")).Query()
		return access.Callback{State: q.Get("state"), Code: q.Get("code"), Binding: to.Binding}
	}
	own, others := bring("jane"), bring("otto")
	mixed := bring("rita")
	mixed.Code = others.Code // of a sign-in with another verifier
	ended(t, d, mixed, outcome{reason: "does not take the code"})
	stolen := others
	stolen.Binding = own.Binding
	ended(t, d, stolen, outcome{reason: "not the one that began"})
	ended(t, d, others, outcome{reason: "no sign-in that began here"}) // the attempt has used it up
	ended(t, d, own, outcome{role: menu.Operator})
	ended(t, d, own, outcome{reason: "no sign-in that began here"})
	ended(t, d, access.Callback{}, outcome{reason: "no sign-in that began here"})
	to := begin(t, d)
	refused, _ := url.Parse(to.URL)
	ended(t, d, access.Callback{State: refused.Query().Get("state"), Fault: "access_denied", Binding: to.Binding}, outcome{reason: "the provider says: access_denied"})

	// One source cannot use up the places of others.
	first := begin(t, d)
	for range 3 * maxSignInsSource {
		if _, err := d.BeginSignIn(t.Context(), "198.51.100.1"); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(d.provider.begun); n > maxSignInsSource+2 {
		t.Errorf("%d sign-ins are on their way", n)
	}
	q := p.Authorize(first.URL, someone("jane", "netops")).Query()
	ended(t, d, access.Callback{State: q.Get("state"), Code: q.Get("code"), Binding: first.Binding}, outcome{role: menu.Operator})
}

// A provider that is away, or not who it is to be, lets nobody in.
func TestProviderThatCannotBeBelieved(t *testing.T) {
	ca := signin.NewCA(t)
	p := signin.NewProvider(t, ca)
	d := open(t, settings.SignIn{OIDC: oidcOf(t, p, ca)})
	to := begin(t, d)
	q := p.Authorize(to.URL, someone("jane", "netops")).Query()
	p.Shutdown()
	ended(t, d, access.Callback{State: q.Get("state"), Code: q.Get("code"), Binding: to.Binding},
		outcome{reason: "the exchange of the code failed", unanswered: true})

	other := oidcOf(t, signin.NewProvider(t, ca), signin.NewCA(t))
	away := oidcOf(t, p, ca)
	noCA := oidcOf(t, p, ca)
	noCA.CA = []byte("x")
	off := oidcOf(t, p, ca)
	off.Off = "the secretFile cannot be read"
	for _, c := range []settings.OIDC{other, away, noCA, off, hostile(t, ca, "huge"), hostile(t, ca, "elsewhere"), hostile(t, ca, "plain"), hostile(t, ca, "issuer")} {
		d := open(t, settings.SignIn{OIDC: c})
		_, err := d.BeginSignIn(t.Context(), "192.0.2.1")
		if e, ok := errors.AsType[*menu.Error](err); c.Issuer != "" && (!ok || e.Code != menu.State) && !strings.HasSuffix(c.Issuer, "/plain") {
			t.Errorf("%s: %v", c.Issuer, err)
		}
		if got, err := d.TestSignIn(t.Context(), access.OIDC, "", ""); err != nil || got.Result == "ok" && !strings.HasSuffix(c.Issuer, "/plain") {
			t.Errorf("%s: a test says %+v, %v", c.Issuer, got, err)
		}
		if strings.HasSuffix(c.Issuer, "/plain") { // found, and then it is not spoken with
			to := begin(t, d)
			state, _ := url.Parse(to.URL)
			ended(t, d, access.Callback{State: state.Query().Get("state"), Code: "x", Binding: to.Binding},
				outcome{reason: "an address without TLS", unanswered: true})
		}
	}
}

// hostile is a provider that does something wrong.
func hostile(t *testing.T, ca *signin.CA, what string) settings.OIDC {
	t.Helper()
	certificate, key := ca.Pair(t)
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	var issuer string
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		said := map[string]string{"issuer": issuer, "authorization_endpoint": issuer + "/auth", "token_endpoint": issuer + "/token", "jwks_uri": issuer + "/keys"}
		switch what {
		case "huge":
			said["padding"] = strings.Repeat("x", 2*maxProviderAnswer)
		case "elsewhere":
			http.Redirect(w, r, issuer+"/other", http.StatusFound)
			return
		case "plain":
			said["token_endpoint"] = strings.Replace(issuer, "https", "http", 1) + "/token"
		case "issuer":
			said["issuer"] = "https://elsewhere.example"
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(said)
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	server.StartTLS()
	t.Cleanup(server.Close)
	issuer = strings.Replace(server.URL, "127.0.0.1", "localhost", 1) + "/" + what
	return settings.OIDC{Server: settings.Server{Timeout: 3 * time.Second, CA: read(t, ca.File), Roles: settings.Roles{"a": menu.Operator}},
		Issuer: issuer, ClientID: "diagsh", RedirectURL: "https://mx1.example.net/v1/login/oidc/callback", Scopes: []string{"openid"},
		UserClaim: "preferred_username", RolesClaim: "groups"}
}
