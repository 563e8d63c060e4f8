package appliance_test

import (
	"strings"
	"testing"

	"diagsh/internal/menu"
	"diagsh/internal/test/appliance"
	"diagsh/internal/test/netnstest"
)

// start starts an appliance in a network of its own, where nobody else's packets are captured.
func start(t *testing.T, o appliance.Options) *appliance.Appliance {
	t.Helper()
	o.Network = netnstest.New(t)
	return appliance.Start(t, o)
}

// Every way in leads to the same appliance, as the account that was meant.
func TestWaysIn(t *testing.T) {
	a := start(t, appliance.Options{})
	for _, role := range menu.Roles() {
		user := appliance.User(role)
		want := "User:    " + user + "\nRole:    " + string(role) + "\n"
		if r := a.SSH(user, "whoami"); r.Status != 0 || r.Err != "" || !strings.HasPrefix(r.Out, want) {
			t.Errorf("ssh %s@ whoami: %+v", user, r)
		}
		term := a.Terminal(user, 80, 24)
		if got := term.Says("mx1> ", "whoami"); !strings.HasPrefix(got, want) {
			t.Errorf("on a terminal of %s, whoami says:\n%s", user, got)
		}
		if status, body := a.API(user, "POST", "/v1/run/whoami", ""); status != 200 || !strings.Contains(body, `"user":"`+user+`"`) {
			t.Errorf("the API says to %s: %d %s", user, status, body)
		}
	}
	if r := a.Local("whoami"); r.Status != 0 || !strings.Contains(r.Out, "administrator") {
		t.Errorf("diagsh -c whoami: %+v", r)
	}
}
