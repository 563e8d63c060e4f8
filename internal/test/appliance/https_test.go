package appliance_test

import (
	"net/http"
	"strings"
	"testing"

	"diagsh/internal/access"
	"diagsh/internal/test/appliance"
	"diagsh/internal/test/await"
)

// sessionsOf are the sessions of a type.
func sessionsOf(t *testing.T, a *appliance.Appliance, kind string) (all []access.Session) {
	t.Helper()
	var list []access.Session
	if err := a.Web("admin").Run("who", nil).JSON(&list); err != nil {
		t.Fatal(err)
	}
	for _, s := range list {
		if s.Type == kind {
			all = append(all, s)
		}
	}
	return all
}

// A person logs in on the page, is who the appliance knows by SSH, and is gone at the logout.
func TestWebSession(t *testing.T) {
	t.Parallel()
	a := start(t, appliance.Options{})
	w := a.HTTPS()
	if r := w.Get("/"); r.Status != 200 || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/html") {
		t.Errorf("the page: %d %s", r.Status, r.Header)
	}
	if r := w.Run("whoami", nil); r.Status != 401 || !strings.Contains(string(r.Body), `"type":"/v1/problems/login"`) {
		t.Errorf("before the login: %d %s", r.Status, r.Body)
	}
	if r := w.Login("op", "wrong"); r.Status != 401 || len(r.Header.Values("Set-Cookie")) != 0 {
		t.Errorf("a wrong password: %d %s", r.Status, r.Header)
	}
	r := w.Login("op", appliance.Password("op"))
	if cookie := r.Header.Get("Set-Cookie"); r.Status != 200 || !strings.HasPrefix(cookie, "__Host-diagsh=") ||
		!strings.HasSuffix(cookie, "; Path=/; HttpOnly; Secure; SameSite=Strict") {
		t.Fatalf("the login: %d %q %s", r.Status, cookie, r.Body)
	}
	var me struct {
		User, Role, Source, Method string
		IdleSeconds                int
	}
	if err := w.Get("/v1/login").JSON(&me); err != nil || me.User != "op" || me.Role != "operator" ||
		me.Source != "127.0.0.1" || me.Method != "password" || me.IdleSeconds != 1800 {
		t.Errorf("who am I: %+v, %v", me, err)
	}
	if r := w.Run("who", nil); !strings.Contains(string(r.Body), `"type":"web"`) {
		t.Errorf("who: %s", r.Body)
	}
	if r := w.Run("userconfig list", nil); r.Status != http.StatusForbidden {
		t.Errorf("what needs a higher role: %d %s", r.Status, r.Body)
	}
	if r := w.Do("DELETE", "/v1/login", nil); r.Status != 204 || r.Header.Get("Clear-Site-Data") == "" {
		t.Errorf("the logout: %d %s", r.Status, r.Header)
	}
	if r := w.Get("/v1/login"); r.Status != 401 {
		t.Errorf("after the logout: %d", r.Status)
	}
	await.Until(t, "the session to end", func() bool { return len(sessionsOf(t, a, "web")) == 1 })
}
