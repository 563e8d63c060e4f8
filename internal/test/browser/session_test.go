package browser_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/browser"
)

// A session that ends while nothing is done leads to the form to sign in, which says why.
func TestSessionEnds(t *testing.T) {
	t.Parallel()
	b := open(t)
	a := appliance.Start(t, appliance.Options{Config: "idleTimeout: 4s\n"})
	p := b.SignedIn(a, "op", browser.Look{})
	p.Provokes(401, "/v1/") // what the page asks by itself at the end
	p.Breaks("/v1/events")
	p.Wait("the form to sign in", "document.querySelector('input[name=password]')")
	p.WaitText(".notice", "the session has ended")
}

// The password of the first start is asked to be changed, and the page does that.
func TestFirstPassword(t *testing.T) {
	t.Parallel()
	b := open(t)
	a := appliance.Start(t, appliance.Options{Fresh: true})
	text, err := os.ReadFile(filepath.Join(a.Data, "first-password"))
	if err != nil {
		t.Fatal(err)
	}
	first := strings.TrimSpace(string(text))
	p := b.Page(a, browser.Look{})
	p.SignIn("admin", first)
	p.WaitText(".banner", "Your password is the one of the first start")
	p.Choose(".banner a")
	p.WaitText("main h1", "Change password")
	p.Type("input[name=old]", first)
	p.Type("input[name=fresh]", "a better password")
	p.Type("input[name=again]", "a better passport")
	p.Press(kb.Enter)
	p.WaitText("main form", "The two new passwords differ")
	p.Type("input[name=again]", "a better password")
	p.Press(kb.Enter)
	p.WaitText(".notice", "The password is changed")
	p.Wait("nothing to be done any more", "!document.querySelector('.banner')")
	if r := a.HTTPS().Login("admin", first); r.Status != 401 {
		t.Errorf("the first password is answered %d", r.Status)
	}
	if r := a.HTTPS().Login("admin", "a better password"); r.Status != 200 {
		t.Errorf("the new password is answered %d %s", r.Status, r.Body)
	}
}
