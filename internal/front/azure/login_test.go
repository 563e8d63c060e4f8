package azure

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"diagsh/internal/access"
)

// shown returns a server that lets everybody in, and what was shown to it last.
func shown() (*Server, *access.Credentials) {
	s, last := serverOf(nil), new(access.Credentials)
	s.login = func(_ context.Context, _ *http.Request, c access.Credentials, client string) (access.Pass, error) {
		*last = c
		return access.Pass{Text: "a.b.c", Client: client, Expires: time.Now().Add(time.Hour)}, nil
	}
	return s, last
}

func document(t *testing.T, w *httptest.ResponseRecorder, status int) map[string]any {
	t.Helper()
	var d map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil || w.Code != status {
		t.Fatalf("%d %s; want %d", w.Code, w.Body, status)
	}
	return d
}

// The documents that clients read before a login have the members that those clients need.
func TestMetadata(t *testing.T) {
	s, _ := shown()
	const at = "https://mx1.lab.example:8443/"
	old := document(t, ask(s, "GET", "/metadata/endpoints?api-version=2015-01-01", ""), 200)
	if _, named := old["name"]; named || old["graphEndpoint"] != at || old["galleryEndpoint"] != at || old["portalEndpoint"] != at {
		t.Errorf("2015: %v", old)
	}
	now := document(t, ask(s, "GET", "/metadata/endpoints?api-version=2022-09-01", ""), 200)
	login := now["authentication"].(map[string]any)
	if now["name"] == "" || now["graphAudience"] != at || now["resourceManager"] != at || now["suffixes"] == nil ||
		login["loginEndpoint"] != at+"adfs" || login["identityProvider"] != "ADFS" || login["tenant"] != "adfs" {
		t.Errorf("2022: %v", now)
	}
	for _, tenant := range []string{"", "lab/", "lab/v2.0/"} { // az asks with the tenant first, and gives up if there is none
		adfs := document(t, ask(s, "GET", "/adfs/"+tenant+".well-known/openid-configuration", ""), 200)
		if adfs["token_endpoint"] != at+"adfs/oauth2/token" || adfs["authorization_endpoint"] == nil || adfs["issuer"] == nil {
			t.Errorf("adfs: %v", adfs)
		}
	}
	other := document(t, ask(s, "GET", "/"+settings.Subscription+"/v2.0/.well-known/openid-configuration", ""), 200)
	if other["token_endpoint"] != at+settings.Subscription+"/oauth2/v2.0/token" {
		t.Errorf("a tenant's: %v", other)
	}
}

func TestToken(t *testing.T) {
	s, last := shown()
	got := document(t, ask(s, "POST", "/adfs/oauth2/token", "grant_type=client_credentials&client_id=ops&client_secret=a%26b&claims=%7B%7D"), 200)
	if seconds := got["expires_in"].(float64); got["access_token"] != "a.b.c" || got["token_type"] != "Bearer" || seconds < 3590 || seconds > 3600 {
		t.Errorf("%v", got)
	}
	if last.User != "ops" || last.Password != "a&b" || last.Token != "" {
		t.Errorf("it showed %+v", last)
	}
	r := httptest.NewRequest("POST", "/adfs/oauth2/token", strings.NewReader("grant_type=client_credentials"))
	r.SetBasicAuth(url.QueryEscape("token:my ci"), url.QueryEscape("dsh_1+2"))
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Code != 200 || last.User != "my ci" || last.Token != "dsh_1+2" || last.Password != "" {
		t.Errorf("%d: it showed %+v", w.Code, last)
	}
}

// What is no login is told in the form of OAuth, whatever is wrong with it.
func TestWrongForms(t *testing.T) {
	const named = "grant_type=client_credentials&client_secret=x&client_id="
	for _, of := range []struct {
		name, body, encoding string
		status               int
		want                 string
	}{
		{"too long", named + strings.Repeat("a", maxForm), "", 400, "invalid_request"},
		{"compressed", named + "ops", "gzip", 400, "invalid_request"},
		{"no form", named + "%zz", "", 400, "invalid_request"},
		{"another way", "grant_type=password&client_id=ops&client_secret=x", "", 400, "unsupported_grant_type"},
		{"no client", named, "", 401, "invalid_client"},
		{"a token without a name", named + "token:", "", 401, "invalid_client"},
	} {
		s, last := shown()
		r := httptest.NewRequest("POST", "/adfs/oauth2/token", strings.NewReader(of.body))
		r.Header.Set("Content-Encoding", of.encoding)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if got := document(t, w, of.status); got["error"] != of.want || got["error_description"] == "" || last.Password != "" || last.Token != "" {
			t.Errorf("%s: %v, and %+v was tried", of.name, got, *last)
		}
	}
}

// A client that does not say by which name it came is told the address.
func TestMetadataWithoutHost(t *testing.T) {
	s, _ := shown()
	r := httptest.NewRequest("GET", "/metadata/endpoints?api-version=2022-09-01", nil)
	r.Host, r.Proto, r.ProtoMajor, r.ProtoMinor = "", "HTTP/1.0", 1, 0
	r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv6loopback, Port: 8443}))
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if got := document(t, w, 200); got["resourceManager"] != "https://[::1]:8443/" {
		t.Errorf("it names %v", got["resourceManager"])
	}
}

// What a client gets as the machine's own identity has numbers as texts.
func TestIdentity(t *testing.T) {
	s, last := shown()
	r := httptest.NewRequest("GET", "/metadata/identity/oauth2/token?api-version=2019-08-01&resource=https%3A%2F%2Fmx1%2F", nil)
	r.Header.Set("X-IDENTITY-HEADER", "dsh_secret")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	got := document(t, w, 200)
	if last.Token != "dsh_secret" || got["resource"] != "https://mx1/" || got["access_token"] != "a.b.c" || got["token_type"] != "Bearer" {
		t.Errorf("%v for %+v", got, last)
	}
	for _, name := range []string{"expires_on", "expires_in", "client_id"} {
		if text, ok := got[name].(string); !ok || text == "" {
			t.Errorf("%s is %v", name, got[name])
		}
	}
}

// A fault of the appliance says nothing of itself.
func TestFaultAtLogin(t *testing.T) {
	s, _ := shown()
	s.login = func(context.Context, *http.Request, access.Credentials, string) (access.Pass, error) {
		return access.Pass{}, errors.New("open /var/lib/diagsh/x: input/output error")
	}
	w := ask(s, "POST", "/adfs/oauth2/token", "grant_type=client_credentials&client_id=ops&client_secret=x")
	if document(t, w, 500); strings.Contains(w.Body.String(), "/var") {
		t.Errorf("it says %s", w.Body)
	}
}

// FuzzForm sends any form to a login: it never crashes, and nothing comes in without a name and a secret.
func FuzzForm(f *testing.F) {
	f.Add("grant_type=client_credentials&client_id=ops&client_secret=x", "Basic b3BzOng=")
	f.Add("grant_type=client_credentials&client_id=token:&client_secret=%00", "")
	f.Add("%", "Bearer x")
	s, last := shown()
	f.Fuzz(func(t *testing.T, form, header string) {
		for _, path := range []string{"/adfs/oauth2/token", "/metadata/identity/oauth2/token"} {
			*last = access.Credentials{}
			r := httptest.NewRequest("POST", path, strings.NewReader(form))
			r.Header.Set("Authorization", header)
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			if w.Code == 200 && last.Token == "" && (last.User == "" || last.Password == "") || w.Code >= 500 {
				t.Errorf("%q %q: %d for %+v", form, header, w.Code, *last)
			}
		}
	})
}
