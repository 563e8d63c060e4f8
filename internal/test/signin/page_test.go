package signin_test

import (
	"testing"

	"github.com/oauth2-proxy/mockoidc"

	"diagsh/internal/test/browser"
	"diagsh/internal/test/signin"
)

// The page offers the provider beside the password. Who comes back from it is signed in, and whom it has
// no role for is told so.
func TestSignInOnThePage(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.provider.SendTo("https://mx1.example.net", b.Outside())
	p := browser.Open(t).Page(b.Appliance, browser.Look{})
	leave := "a.button[href='/v1/login/oidc']"
	p.WaitText(leave, "Single sign-on")
	b.provider.Expect(signin.User{MockUser: mockoidc.MockUser{Subject: "1", PreferredUsername: "paul", Groups: []string{"cooks"}}})
	p.Choose(leave)
	p.WaitText(".problem[role=alert]", "You were not let in")
	if said := browser.Eval[string](p, "location.search"); said != "" {
		t.Errorf("the address still says %s", said)
	}
	b.provider.Expect(signin.User{MockUser: mockoidc.MockUser{Subject: "2", PreferredUsername: "paula", Groups: []string{"netops"}}})
	p.Choose(leave)
	p.WaitText(".user-menu button", "paula")
	p.WaitText(".user-menu button", "operator")
}
