package https

import (
	"strings"
	"testing"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// azureSettings is who the appliance of a rig is to clients of Azure.
var azureSettings = access.Azure{Subscription: "7a1f0e2c-9f4b-4d3e-8a55-0c6f5d1b2e90", ResourceGroup: "lab", WatcherGroup: "NetworkWatcherRG",
	Watcher: "NetworkWatcher_lab", Location: "lab", Machine: "mx1"}

const form = "grant_type=client_credentials&scope=https%3A%2F%2Fmx1%2F%2F.default&client_id="

// A client of Azure logs in by its name and secret, and comes by what it gets.
func TestClientOfAzure(t *testing.T) {
	r := newRig(t)
	c := r.client()
	got := r.ask(c, "POST", "/adfs/oauth2/token", form+"op&client_secret=right")
	if got.status != 200 || !strings.Contains(got.body, `"access_token":"good.pass.op"`) || got.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("the login: %+v", got)
	}
	if login := <-r.appliance.closed; !strings.HasPrefix(login, "op") {
		t.Errorf("the login %s has ended", login)
	}
	list := "/subscriptions/" + azureSettings.Subscription + "/providers/Microsoft.Network/networkWatchers?api-version=2022-01-01"
	for range 2 {
		if got = r.ask(c, "GET", list, "", "Authorization", "Bearer good.pass.op"); got.status != 200 || !strings.Contains(got.body, `"NetworkWatcher_lab"`) {
			t.Errorf("the watchers: %+v", got)
		}
	}
	if got.header.Get("Content-Security-Policy") != apiPolicy || got.header.Get("Cache-Control") != "no-cache" {
		t.Errorf("headers: %v", got.header)
	}
	r.appliance.mu.Lock()
	kinds, logins := strings.Join(r.appliance.kinds, " "), r.appliance.logins
	r.appliance.mu.Unlock()
	if kinds != "azure" {
		t.Errorf("the sessions are %s: one is enough for two requests", kinds)
	}
	if want := (access.Credentials{User: "op", Password: "right", Source: "127.0.0.1"}); len(logins) != 2 || logins[0].User != want.User ||
		logins[0].Password != want.Password || logins[0].Source != want.Source || logins[1].Token != "good.pass.op" {
		t.Errorf("the logins are %+v", logins)
	}
	// The same token on the API's own paths is another session, of which the appliance decides.
	r.ask(c, "GET", "/v1/x", "", "Authorization", "Bearer good.pass.op")
	r.appliance.mu.Lock()
	defer r.appliance.mu.Unlock()
	if kinds := strings.Join(r.appliance.kinds, " "); kinds != "azure api" {
		t.Errorf("the sessions are %s", kinds)
	}
}

func TestTokenOfClientOfAzure(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct{ path, body, header, value string }{
		{"/adfs/oauth2/token", form + "token%3Aci&client_secret=good1", "", ""},
		{"/any-tenant/oauth2/v2.0/token", form + "token%3Aci&client_secret=good1", "", ""},
		{"/metadata/identity/oauth2/token", "resource=x", "X-IDENTITY-HEADER", "good1"},
		{"/metadata/identity/oauth2/token", "resource=x", "Authorization", "Basic dG9rZW46Z29vZDE="},
	} {
		header := []string{"Content-Type", "application/x-www-form-urlencoded"}
		if c.header != "" {
			header = append(header, c.header, c.value)
		}
		got := r.ask(r.client(), "POST", c.path, c.body, header...)
		if got.status != 200 || !strings.Contains(got.body, `"good.pass.`) {
			t.Errorf("%+v: %+v", c, got)
		}
		r.appliance.mu.Lock()
		last := r.appliance.logins[len(r.appliance.logins)-1]
		r.appliance.mu.Unlock()
		if last.Token != "good1" || last.Password != "" {
			t.Errorf("%+v: %+v", c, last)
		}
	}
}

// What is refused is told in the form of each, and never as what a client repeats.
func TestRefusedClientsOfAzure(t *testing.T) {
	r := newRig(t)
	c := r.login() // a cookie lets nobody in there
	list := "/subscriptions/" + azureSettings.Subscription + "/providers/Microsoft.Network/networkWatchers?api-version=2022-01-01"
	for _, q := range []struct {
		method, path, body, token string
		status                    int
		want                      string
	}{
		{"GET", list, "", "", 401, "AuthenticationFailed"},
		{"GET", list, "", "Bearer bad", 401, "AuthenticationFailed"},
		{"POST", "/adfs/oauth2/token", form + "op&client_secret=wrong", "", 401, "invalid_client"},
		{"POST", "/adfs/oauth2/token", form + "token%3Aci&client_secret=bad", "", 401, "invalid_client"},
		{"POST", "/adfs/oauth2/token", form + "locked&client_secret=right", "", 400, "temporarily_unavailable"},
		{"POST", "/adfs/oauth2/token", form + "op", "", 401, "invalid_client"},
		{"POST", "/adfs/oauth2/token", form + "op&client_secret=" + strings.Repeat("x", 5000), "", 401, "invalid_client"},
		{"POST", "/adfs/oauth2/token", "grant_type=password&username=op&password=right", "", 400, "unsupported_grant_type"},
		{"POST", "/adfs/oauth2/token", "%zz", "", 400, "invalid_request"},
		{"GET", "/adfs/oauth2/token", "", "", 405, "MethodNotAllowed"},
		{"GET", "/adfs/adfs/v2.0/authorize", "", "Bearer bad", 404, "ResourceNotFound"},
		{"GET", "/metadata/identity/oauth2/token?resource=x", "", "", 401, "invalid_client"},
	} {
		header := []string{"Content-Type", "application/x-www-form-urlencoded"}
		if q.token != "" {
			header = append(header, "Authorization", q.token)
		}
		got := r.ask(c, q.method, q.path, q.body, header...)
		if got.status != q.status || !strings.Contains(got.body, `"`+q.want+`"`) || strings.Contains(got.body, "\x1b") {
			t.Errorf("%s %s %s: %d %s; want %d %s", q.method, q.path, menu.Bounded(q.body, 90), got.status, got.body, q.status, q.want)
		}
	}
}

// An appliance that is none of Azure's has no such paths.
func TestNoAzure(t *testing.T) {
	r := newRig(t)
	r.server.azure = nil
	for _, path := range []string{"/subscriptions?api-version=2022-01-01", "/metadata/endpoints?api-version=2015-01-01",
		"/adfs/.well-known/openid-configuration"} {
		if got := r.ask(r.client(), "GET", path, ""); got.status != 404 || strings.Contains(got.body, "subscription") {
			t.Errorf("%s: %+v", path, got)
		}
	}
	// The page and the API are where they were.
	if got := newRig(t).ask(r.client(), "GET", "/v1/login/methods", ""); got.status != 200 || !strings.Contains(got.body, "methods") {
		t.Errorf("the ways to sign in: %+v", got)
	}
}
