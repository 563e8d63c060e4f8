package browser_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/await"
	"diagsh/internal/test/browser"
)

const boxField = "dialog input[role=combobox]"

// openBox opens the command box, empty.
func openBox(p *browser.Page) {
	p.Settled()
	p.Chord("k", chromedp.ModifierCtrl)
	p.Wait("the box", "document.activeElement.matches('"+boxField+"')")
}

// What turns the direction of text is shown as what it is, wherever strangers have put it, and text is
// never markup.
func TestTextOfStrangers(t *testing.T) {
	t.Parallel()
	a, b := bench(t)
	const turned = "<img src=x onerror=\"document.title='owned'\"> \u202egnp.exe"
	w := a.Web("admin")
	for path, arguments := range map[string]map[string]any{
		"packetcapture/start": {"name": "turned", "interfaces": []string{"lo"}, "filter": "icmp", "comment": turned, "caseNumber": "c\u202e1"},
		"filter/save":         {"name": "f\u202e1", "expression": "icmp"},
		"userconfig/new":      {"user": "bob", "fullName": turned, "role": "operator", "password": "correct horse bob"},
		"token/new":           {"name": turned[:30] + "\u202e"},
	} {
		if r := w.Run(path, arguments); r.Status != 200 {
			t.Fatalf("%s: %s", path, r.Body)
		}
	}
	ping(t, a, 2)
	p := b.SignedIn(a, "admin", browser.Look{})
	p.Provokes(404, "/v1/")
	seen := func(fragment, text string) {
		t.Helper()
		p.Go(fragment)
		p.WaitText("main", text)
		if shown := p.Text(); strings.Contains(shown, "\u202e") {
			t.Errorf("%s turns the direction of text: %q", fragment, shown)
		}
	}
	seen("#/captures/turned", `\u202egnp.exe`)
	seen("#/system/users", `\u202egnp.exe`)
	seen("#/system/tokens", `\u202e`)
	seen("#/system/audit", `\u202egnp.exe`)
	seen("#/captures/a%E2%80%AEb", `a\u202eb`)
	a.SSH("admin", "packetcapture stop turned")
	seen("#/captures", `\u202egnp.exe`)
	if browser.Eval[bool](p, "document.title.includes('owned') || Boolean(document.querySelector('img[src=x]'))") {
		t.Error("the text of a stranger is markup")
	}
}

// Several lines that are pasted into the command box are several commands, as in the menus.
func TestPastedLines(t *testing.T) {
	t.Parallel()
	a, b := bench(t)
	p := b.SignedIn(a, "admin", browser.Look{})
	openBox(p)
	browser.Eval[bool](p, fmt.Sprintf(`(() => { const data = new DataTransfer(); data.setData('text/plain', 'whoami\r\n\n  version\nwho\n');
		return document.querySelector('%s').dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true })); })()`, boxField))
	p.Wait("the line", "document.querySelector('"+boxField+"').value === 'whoami; version; who'")
	p.Press(kb.Enter)
	p.Wait("three outputs", "document.querySelectorAll('dialog .output').length === 3")
}

// Who signs in after somebody else on the same page gets nothing that the page remembers of the former
// user: no lines, no notices.
func TestNextUser(t *testing.T) {
	t.Parallel()
	a, b := bench(t)
	p := b.SignedIn(a, "op", browser.Look{})
	openBox(p)
	p.Type(boxField, "version")
	p.Press(kb.Enter)
	p.Wait("the output", "document.querySelector('dialog .output')")
	p.Press(kb.Escape)
	p.Wait("the box is closed", "!document.querySelector('dialog')")
	p.Choose(".user-menu button")
	p.Choose(button(p, "Sign out"))
	p.Wait("the form to sign in", "document.querySelector('input[name=password]')")
	p.SignIn("ro", appliance.Password("ro"))
	await.Until(t, "the page of the next user, which is loaded anew", func() bool { return strings.Contains(p.Text(), "ro readonly") })
	openBox(p)
	p.Press(kb.ArrowUp)
	p.Press("x")
	p.Wait("what was typed", "document.querySelector('"+boxField+"').value.endsWith('x')")
	if line := browser.Eval[string](p, "document.querySelector('"+boxField+"').value"); line != "x" {
		t.Errorf("the line of another user is recalled: %q", line)
	}
}
