package browser_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"diagsh/internal/test/browser"
)

// A change is tried with a commit that is taken back by itself: every part of the page counts down,
// and one press of a button confirms it.
func TestCommitIsCountedDownAndConfirmed(t *testing.T) {
	t.Parallel()
	a, _, b := lab(t)
	p := b.SignedIn(a, "admin", browser.Look{})
	p.Go("#/system/configuration")
	p.WaitText("main", "Nothing is pending")
	p.Choose(button(p, "etherconfig multicast reject"))
	p.Choose("dialog[open] button[type=submit]")
	p.WaitText("[aria-label='Pending changes'] code.after", "reject")
	p.Choose(button(p, "Commit"))
	p.Type(labelled(p, "Comment"), "Try it")
	p.Type(labelled(p, "Take back unless confirmed within"), "3")
	p.Choose("dialog[open] button[type=submit]")
	p.WaitText(".countdown", "Try it")
	p.Go("#/network/arp")
	p.WaitText(".countdown strong", "2:")
	first := browser.Eval[string](p, "document.querySelector('.countdown strong').innerText")
	p.Wait("the countdown", fmt.Sprintf("document.querySelector('.countdown strong').innerText !== %q", first))
	p.Choose(button(p, "Confirm now"))
	p.Wait("the end of the countdown", "!document.querySelector('.countdown')")
	if r := a.SSH("admin", "commitdetail --json"); !strings.Contains(r.Out, "Try it") || strings.Contains(r.Out, "confirmUntilTime") {
		t.Errorf("the commit is %s", r.Out)
	}

	p.Go("#/system/configuration")
	p.Choose(button(p, "Roll back to it"))
	p.Choose("dialog[open] button[type=submit]")
	p.WaitText("dialog h2", "Go back to the configuration of commit 0?")
	p.Choose("dialog button.danger")
	p.WaitText("[aria-label='Pending changes'] code.before", "reject")
}

// A commit that nobody confirms is gone from the page when the appliance takes it back.
func TestCommitIsTakenBack(t *testing.T) {
	t.Parallel()
	a, _, b := lab(t)
	p := b.SignedIn(a, "op", browser.Look{})
	p.Go("#/network/arp")
	a.SSH("admin", "etherconfig multicast reject; commit 'Too short' confirm 6s")
	p.WaitText(".countdown", "Too short")
	if browser.Eval[bool](p, "Boolean(document.querySelector('.countdown button'))") {
		t.Error("who may not commit is offered to confirm")
	}
	p.Wait("the end of the countdown", "!document.querySelector('.countdown')")
	if r := a.SSH("admin", "showconfig --json"); strings.Contains(r.Out, "reject") {
		t.Errorf("it holds all the same: %s", r.Out)
	}
}

// A user is made, changed and removed; who may not has no button for it.
func TestUsers(t *testing.T) {
	t.Parallel()
	a, _, b := lab(t)
	p := b.SignedIn(a, "admin", browser.Look{})
	p.Go("#/system/users")
	p.Choose(button(p, "New user"))
	p.Type(labelled(p, "User"), "eve")
	p.Type(labelled(p, "Full name"), "Eve of the lab")
	p.Press(kb.Enter)
	p.WaitText("table.records td", "Eve of the lab")
	r := a.Web("admin").Run("userconfig list", nil)
	if !strings.Contains(string(r.Body), `"user":"eve","fullName":"Eve of the lab","role":"operator"`) {
		t.Errorf("the appliance has %s", r.Body)
	}
	o := b.SignedIn(a, "op", browser.Look{})
	o.Go("#/system")
	o.WaitText(".tabs a", "Sessions")
	if tabs := browser.Eval[string](o, "document.querySelector('.tabs').innerText"); strings.Contains(tabs, "Users") || strings.Contains(tabs, "Audit") {
		t.Errorf("an operator is offered %s", tabs)
	}
}

// The secret of a token is shown once, and works.
func TestTokenIsShownOnce(t *testing.T) {
	t.Parallel()
	a, _, b := lab(t)
	p := b.SignedIn(a, "op", browser.Look{})
	p.Go("#/system/tokens")
	p.Choose(button(p, "New token"))
	p.Type(labelled(p, "Name"), "backup")
	p.Press(kb.Enter)
	p.WaitText(".secret-once code", "dsh_")
	secret := browser.Eval[string](p, "document.querySelector('.secret-once code').innerText")
	p.Press(kb.Escape)
	p.WaitText("table.records td", "backup")
	if browser.Eval[bool](p, fmt.Sprintf("document.documentElement.outerHTML.includes(%q)", secret)) {
		t.Error("the page still has the secret")
	}
	w := a.HTTPS()
	w.Header.Set("Authorization", "Bearer "+secret)
	if r := w.Run("whoami", nil); r.Status != 200 || !strings.Contains(string(r.Body), `"user":"op"`) {
		t.Errorf("the token is answered with %d %s", r.Status, r.Body)
	}
}

// The audit log is read page by page back to its beginning, and searched.
func TestAuditLog(t *testing.T) {
	t.Parallel()
	a, _, b := lab(t)
	w := a.Web("op")
	for n := range 130 {
		w.Run("filter explain", map[string]any{"expression": fmt.Sprintf("port %d", 1000+n)})
	}
	p := b.SignedIn(a, "admin", browser.Look{})
	p.Go("#/system/audit")
	p.WaitText("table.records td", "port 1129")
	p.WaitText("main p[role=status]", "100 lines")
	if browser.Eval[bool](p, "document.querySelector('table.records').innerText.includes('port 1005')") {
		t.Error("all is on one page")
	}
	p.Choose(button(p, "Older"))
	p.WaitText("table.records td", "port 1000")
	counts := browser.Eval[int](p, "[...document.querySelectorAll('table.records tbody tr')].filter((r) => /port 10\\d\\d/.test(r.innerText)).length")
	if counts != 100 {
		t.Errorf("of 100 lines with the ports 1000 to 1099 there are %d", counts)
	}
	p.Type(labelled(p, "Any text"), "port 1042")
	p.Press(kb.Enter)
	p.WaitText("main p[role=status]", "1 lines")
	p.WaitText("table.records td", "port 1042")
}

// A report is made, read in the page as texts and as records, and downloaded.
func TestReports(t *testing.T) {
	t.Parallel()
	a, _, b := lab(t)
	p := b.SignedIn(a, "op", browser.Look{})
	p.Go("#/reports")
	p.Choose(button(p, "New report"))
	p.Choose("dialog[open] button[type=submit]")
	p.WaitText("table.records td", "mx1-report-")
	p.Choose("table.records a.button[href^='#']")
	p.WaitText(".screen", "diagsh version")
	p.Choose("nav[aria-label=Contents] li:nth-child(3) button")
	p.WaitText(".screen", "LISTEN")
	p.Choose(button(p, "As records"))
	p.WaitText("table.records td", "LISTEN")
	name, content := p.Downloaded(func() { p.Choose("h2 a[download]") })
	if !strings.HasPrefix(name, "mx1-report-") || len(content) < 1000 || content[0] != 0x1f || content[1] != 0x8b {
		t.Errorf("%s has %d bytes", name, len(content))
	}
}

// Who is in is seen, and one's own session is named.
func TestSessionsAndStatus(t *testing.T) {
	t.Parallel()
	a, _, b := lab(t)
	p := b.SignedIn(a, "ro", browser.Look{})
	p.Go("#/system/sessions")
	p.WaitText("table.records td", "ro (this session)")
	p.Go("#/system/status")
	p.WaitText("dl.facts dt", "Appliance up")
	p.WaitText("table.records td", "diagsh")
}
