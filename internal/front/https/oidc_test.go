package https

import (
	"net/http"
	"strings"
	"testing"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// A browser is sent to the provider with a cookie, and what it brings back reaches the appliance with
// that cookie. Then it has a session, and the cookie is gone. Whatever fails sends it back to the page.
func TestSignInByProvider(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c := r.client()
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if a := r.ask(c, "GET", "/v1/login/oidc", ""); a.status != http.StatusSeeOther || a.header.Get("Location") != "/?signin=unavailable" {
		t.Errorf("without a provider: %d, to %s", a.status, a.header.Get("Location"))
	}
	r.appliance.mu.Lock()
	r.appliance.provider = "https://login.example.net/"
	r.appliance.mu.Unlock()
	if a := r.ask(c, "GET", "/v1/login/methods", ""); !strings.Contains(a.body, `{"kind":"oidc","name":"Staff","address":"/v1/login/oidc"}`) {
		t.Errorf("the page is offered %s", a.body)
	}
	begin := func() answer { return r.ask(c, "GET", "/v1/login/oidc", "") }
	a := begin()
	if a.status != http.StatusSeeOther || a.header.Get("Location") != "https://login.example.net/?for=127.0.0.1" ||
		a.header.Get("Set-Cookie") != "__Host-diagsh-signin=bound; Path=/; Max-Age=600; HttpOnly; Secure; SameSite=Lax" {
		t.Errorf("the browser is sent by %d %v", a.status, a.header)
	}
	for query, want := range map[string]string{
		"state=s&code=wrong":          "/?signin=denied",
		"state=s&error=access_denied": "/?signin=denied",
		"":                            "/?signin=denied",
		"state=" + strings.Repeat("s", maxCallback+1):                 "/?signin=denied",
		"state=s&code=good&error=" + strings.Repeat("<", maxCallback): "/?signin=denied",
		"state=s&code=silent":                                         "/?signin=unavailable",
		"state=s&code=good&code=other&state=other&x=y":                "/",
	} {
		begin()
		a := r.ask(c, "GET", "/v1/login/oidc/callback?"+query, "")
		if a.status != http.StatusSeeOther || a.header.Get("Location") != want {
			t.Errorf("%.60q: %d to %s; want %s", query, a.status, a.header.Get("Location"), want)
		}
		cookies := strings.Join(a.header.Values("Set-Cookie"), "\n")
		if !strings.Contains(cookies, "__Host-diagsh-signin=; ") || strings.Contains(cookies, "__Host-diagsh=") != (want == "/") {
			t.Errorf("%.60q: the cookies are\n%s", query, cookies)
		}
	}
	r.appliance.mu.Lock()
	defer r.appliance.mu.Unlock()
	for _, o := range r.appliance.logins {
		if o.Callback == nil || o.Callback.Binding != "bound" || o.Source != "127.0.0.1" || o.User != "" {
			t.Errorf("the appliance is asked about %+v, %+v", o, o.Callback)
		}
		if o.Callback.Code == "good" && o.Callback.State != "s" {
			t.Errorf("of two values not the first counts: %+v", o.Callback)
		}
	}
	if n := len(r.appliance.logins); n != 5 {
		t.Errorf("the appliance is asked %d times; want 5", n)
	}
}

// callback is a login of the fake appliance by what a browser brings back.
func (c *fakeClient) callback(o access.Callback) (user string, err error) {
	switch o.Code {
	case "good":
		return "staff", nil
	case "silent":
		return "", menu.Errorf(menu.State, "The servers do not answer")
	}
	return "", menu.Errorf(menu.Denied, "The provider's answer does not let you in")
}
