package browser_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/browser"
)

// A session in which nothing is done is warned before its end, however often the page asks by itself.
// Who says to be there stays; without a word it leads to the form to sign in, which says why. The test
// waits more than it works, so it leaves its turn to others.
func TestSessionEnds(t *testing.T) {
	t.Parallel()
	b := browser.Open(t)
	a := appliance.Start(t, appliance.Options{Config: "idleTimeout: 24s\n"})
	p := b.SignedIn(a, "op", browser.Look{})
	p.Go("#/network/sockets")
	every(p, "1")
	idleSince := func() string {
		var sessions []struct{ User, IdleSinceTime string }
		if err := json.Unmarshal([]byte(a.SSH("admin", "who --json").Out), &sessions); err != nil {
			t.Fatal(err)
		}
		for _, s := range sessions {
			if s.User == "op" {
				return s.IdleSinceTime
			}
		}
		t.Fatalf("op has no session, of %v", sessions)
		return ""
	}
	countRequests(p)
	before := idleSince()
	p.WaitText("dialog h2", "Are you still there?")
	p.WaitText("dialog p", "This session ends in")
	if asked := browser.Eval[int](p, "window.asked.length"); asked < 2 {
		t.Errorf("the page asked %d times before the warning", asked)
	}
	if said := browser.Eval[string](p, "window.asked.filter((a) => !a.endsWith(' true')).join()"); said != "" {
		t.Errorf("requests of the page itself pass for acts of its user: %s", said)
	}
	if now := idleSince(); now != before {
		t.Errorf("the session is idle since %s, and not any more since %s", now, before)
	}
	p.Accessible(t, "the warning")
	p.Choose("dialog button.primary")
	p.Wait("the dialog is closed", "!document.querySelector('dialog')")
	if now := idleSince(); now <= before {
		t.Errorf("the session is idle since %s, as before", now)
	}

	p.Provokes(401, "/v1/") // what the page asks by itself at the end
	p.Breaks("/v1/events")
	p.WaitText("dialog h2", "Are you still there?")
	p.Wait("the form to sign in", "document.querySelector('input[name=password]')")
	p.WaitText(".notice", "the session has ended")
	if said := browser.Eval[string](p, "document.querySelector('dialog')?.innerText || ''"); said != "" {
		t.Errorf("over the form there is still %q", said)
	}
}

// All tabs of a session know at once that somebody is there, and that it was ended: also one that nobody
// sees, which the appliance tells nothing. The test waits more than it works.
func TestTabsOfOneSession(t *testing.T) {
	t.Parallel()
	b := browser.Open(t)
	a := appliance.Start(t, appliance.Options{Config: "idleTimeout: 20s\n"})
	one := b.SignedIn(a, "op", browser.Look{})
	two := one.Another()
	two.WaitText("dialog h2", "Are you still there?")
	hide(two, true)
	one.WaitText("dialog h2", "Are you still there?")
	one.Choose("dialog button.primary")
	two.Wait("the dialog is closed", "!document.querySelector('dialog')")
	one.Choose(".user-menu button")
	one.Choose(".user-menu li:last-child button")
	two.Wait("the form to sign in", "document.querySelector('input[name=password]')")
	two.WaitText(".notice", "the session has ended")
}

// Who could not sign out is still told what happens.
func TestSignOutFails(t *testing.T) {
	t.Parallel()
	a, b := bench(t)
	p := b.SignedIn(a, "op", browser.Look{})
	browser.Eval[bool](p, "(window.send = window.fetch, window.fetch = (path, o) => (o?.method === 'DELETE' ? Promise.reject(new TypeError('no network')) : window.send(path, o)), true)")
	p.Choose(".user-menu button")
	p.Choose(".user-menu li:last-child button")
	p.WaitText(".notice", "does not answer")
	a.SSH("admin", "packetcapture start elsewhere interfaces lo")
	p.WaitText("article.active h3", "elsewhere")
}

// Figures are by the appliance's clock: that of the browser may be wrong.
func TestWrongClock(t *testing.T) {
	t.Parallel()
	a, b := bench(t)
	a.SSH("admin", "packetcapture start now interfaces lo duration 1h; etherconfig multicast reject; commit 'Try it' confirm 1h")
	p := b.SignedIn(a, "admin", browser.Look{})
	p.Clock(3 * time.Hour)
	p.WaitText("article.active h3", "now")
	fact := func(name string) string {
		return browser.Eval[string](p, "[...document.querySelectorAll('article.active dl div')].find((e) => e.innerText.startsWith('"+name+"')).querySelector('dd').innerText")
	}
	about := regexp.MustCompile(`^(5\d min( \d+ s)?|1 h)$`)
	if left := fact("Time left"); !about.MatchString(left) {
		t.Errorf("of an hour there is left %q", left)
	}
	if ran := fact("Running for"); strings.Contains(ran, "h") || ran == "0 s" {
		t.Errorf("it has just begun and runs for %q", ran)
	}
	p.WaitText(".countdown strong", ":")
	if left := browser.Eval[string](p, "document.querySelector('.countdown strong').innerText"); !regexp.MustCompile(`^(5\d:\d\d|60:00)$`).MatchString(left) {
		t.Errorf("the commit has an hour, and the page says %q", left)
	}
	before := time.Now().UTC().Truncate(time.Second)
	p.Go("#/network/sockets")
	p.WaitText(".refresh", "As of ")
	said := browser.Eval[string](p, "/As of ([0-9:]+)/.exec(document.querySelector('.refresh').innerText)[1]")
	at, err := time.Parse(time.TimeOnly, said)
	clock := time.Date(0, 1, 1, before.Hour(), before.Minute(), before.Second(), 0, time.UTC)
	if apart := (at.Sub(clock) + 24*time.Hour + time.Second) % (24 * time.Hour); err != nil || apart > time.Since(before)+2*time.Second {
		t.Errorf("after %s the table is as of %q", before.Format(time.TimeOnly), said)
	}
}

// A session that ends whatever is done says at which time, for as long as it is not put away.
func TestSessionEndsWhateverIsDone(t *testing.T) {
	t.Parallel()
	b := open(t)
	a := appliance.Start(t, appliance.Options{Config: "longestWebSession: 1m\n"})
	p := b.SignedIn(a, "op", browser.Look{})
	p.WaitText(".notice", "whatever is done")
	said := browser.Eval[string](p, "[...document.querySelectorAll('.notice p')].find((e) => e.innerText.includes('whatever is done')).innerText")
	at, err := time.Parse(time.DateTime, strings.Join(strings.Fields(strings.TrimPrefix(said, "This session ends at "))[:2], " "))
	if left := time.Until(at); err != nil || left > time.Minute || left < 0 || !strings.Contains(said, " UTC,") {
		t.Errorf("a minute after it began it ends, and the page says %q", said)
	}
	if browser.Eval[bool](p, "Boolean(document.querySelector('dialog'))") {
		t.Error("it is asked who is there, although an answer changes nothing")
	}
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
