package browser_test

import (
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/browser"
)

// factOf is whether a fact of the port log says a text.
func factOf(name, text string) string {
	return fmt.Sprintf("[...document.querySelectorAll('dl.facts div')].some((d) => d.children[0].innerText === %q && d.children[1].innerText.includes(%q))", name, text)
}

// answer chooses a value of the select box of a label, as soon as it is there.
func answer(p *browser.Page, label, value string) {
	p.Wait("the field "+label, fmt.Sprintf(`(() => { const l = [...(document.querySelector('dialog[open]') || document).querySelectorAll('form.card label[for]')].find((e) => e.textContent === %q);
		const s = l && document.getElementById(l.htmlFor);
		if (!s) return false;
		s.value = %q;
		s.dispatchEvent(new Event('change', { bubbles: true }));
		return true; })()`, label, value))
}

// The forms of the port log take all that selects and bounds it, and its state says what it does. Who
// begins one while it runs is told why that cannot be.
func TestPortLogForms(t *testing.T) {
	t.Parallel()
	a, _, b := lab(t)
	p := b.SignedIn(a, "op", browser.Look{})
	p.Go("#/network/portlog")
	p.WaitText("p.none", "The port log does not run")
	everywhere(t, p, "no port log")
	p.Look(browser.Look{})

	p.Choose(button(p, "Settings"))
	p.Wait("the focus in the form", "document.activeElement.matches('dialog form input')")
	p.Type(labelled(p, "Maximum size"), "64MB")
	p.Choose(button(p, "Save settings"))
	p.WaitText(".notice", "Settings of the port log")
	a.SSH("op", "portlog setup processes curl events close")
	p.Choose(button(p, "Settings")) // a selection that is emptied is taken back, and the line that stands there does the same
	p.Type(labelled(p, "Processes"), "x")
	p.Press(kb.Backspace, kb.Tab)
	p.Wait("the events of now", "document.querySelector('dialog input[value=close]')?.checked")
	p.TabTo("dialog input[value=ALL]")
	p.Press(" ")
	p.WaitText("dialog .one-line code", "portlog setup processes ALL events ALL")
	p.Choose(button(p, "Save settings"))
	p.Wait("the form is gone", "!document.querySelector('dialog')")
	if r := a.SSH("op", "portlog settings"); !strings.Contains(r.Out, "everything") {
		t.Errorf("the settings are %s", r.Out)
	}
	p.Choose(button(p, "Start"))
	p.Wait("the focus in the form", "document.activeElement.matches('dialog form input')") // nothing of it is folded
	everywhere(t, p, "the form that starts a port log")
	p.Look(browser.Look{})
	for label, text := range map[string]string{"Processes": "nobody-at-all,4242", "Users": "root", "Ports": "25,8000-8080", "Addresses": "192.0.2.0/24,::1", "Days": "7"} {
		p.Type(labelled(p, label), text)
	}
	for _, box := range []string{"dialog input[value=close]", "dialog input[value=refused]"} {
		p.TabTo(box)
		p.Press(" ")
	}
	answer(p, "Coalesce", "yes")
	answer(p, "Persistent", "yes")
	browser.Eval[bool](p, "document.querySelector('dialog input[type=radio][value=both]').click() || true")
	p.WaitText("dialog .one-line code", "format both")
	p.Choose("dialog[open] form [type=submit]")
	for name, text := range map[string]string{"State": "running", "Selects": "processes nobody-at-all, 4242; ports 25, 8000-8080; addresses 192.0.2.0/24, ::1; users root; events close, refused",
		"Keeps": "64 MB, 7 days", "Written as": "one line a connection", "After a restart": "goes on"} {
		p.Wait(name, factOf(name, text))
	}
	var s struct {
		Format    string
		Coalesce  bool
		SizeBytes int64
		Days      int
	}
	if r := a.SSH("op", "portlog status --json"); json.Unmarshal([]byte(r.Out), &s) != nil || s.Format != "both" || !s.Coalesce || s.SizeBytes != 64<<20 || s.Days != 7 {
		t.Errorf("the port log is %s", r.Out)
	}

	q := p.Another() // whose page does not know yet that the log ends, and begins again
	q.Go("#/network/portlog")
	q.WaitText("dl.facts dd", "running")
	q.Choose(button(q, "Pause"))
	p.Choose(button(p, "Stop"))
	p.Wait("its end", factOf("State", "stopped by a user"))
	p.Choose(button(p, "Pause"))
	p.Choose(button(p, "Start"))
	p.Wait("the form", "document.querySelector('dialog[open] form [type=submit]:not([disabled])')")
	a.SSH("admin", "portlog start")
	p.Provokes(409, "/v1/")
	p.Choose("dialog[open] form [type=submit]")
	p.WaitText("dialog .problem", "The port log is running, started by admin")
	if row := browser.Eval[string](p, "document.querySelector('dialog .output .row').innerText"); strings.HasSuffix(row, "0") {
		t.Errorf("the run is said to be %q", row) // a number that stands for nothing written
	}
	a.SSH("admin", "portlog stop")
	q.Provokes(409, "/v1/run/portlog/stop")
	q.Choose(button(q, "Stop"))
	q.WaitText(".notice", "is not running")
}

// The records are of the times that are asked for, and lead to the report on the same ones, which keeps
// itself as a page for whoever may.
func TestPortLogReport(t *testing.T) {
	t.Parallel()
	a, network, b := lab(t)
	a.SSH("op", "portlog start addresses 127.0.0.99")
	network.Do(t, func() {
		l, err := net.Listen("tcp", "127.0.0.99:4711")
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
	})
	p := b.SignedIn(a, "op", browser.Look{})
	p.Provokes(400, "/v1/run/portlog/show")
	p.Go("#/network/portlog")
	p.Wait("the listener", recordWith("127.0.0.99:4711"))
	p.Type(labelled(p, "From (UTC)"), "soon")
	p.Press(kb.Enter)
	said(p, `"soon" is not`)
	p.Type(labelled(p, "From (UTC)"), "2026-01-01")
	p.Type(labelled(p, "To (UTC)"), "2026-01-02")
	p.Press(kb.Enter)
	p.WaitText("p.none", "No such record")
	p.WaitText(".run-state", "Done") // a time that is over is not followed
	p.Type(labelled(p, "From (UTC)"), "")
	p.Type(labelled(p, "To (UTC)"), "")
	p.Type(labelled(p, "Ports"), "4711")
	p.Press(kb.Enter)
	p.Wait("the listener", recordWith("127.0.0.99:4711"))
	p.WaitText(".run-state", "Running")
	p.Choose("main form a.button")
	p.WaitText(".one-line code", "portlog report ports 4711")
	p.Type(labelled(p, "Interest"), "127.0.0.99,203.0.113.0/24")
	answer(p, "Page", "yes")
	p.WaitText(".one-line code", "page yes")
	p.Choose(button(p, "Report"))
	p.WaitText("main h2", "Listeners that came or went")
	p.WaitText("main td", "4711/tcp here")
	p.WaitText("main dd", "203.0.113.0/24")
	p.WaitText("main p[role=status] a", ".html")
	everywhere(t, p, "a report on the port log")

	reader := b.SignedIn(a, "ro", browser.Look{})
	reader.Provokes(403, "/v1/")
	reader.Go("#/network/portlog/report?ports=4711")
	answer(reader, "Page", "yes")
	reader.WaitText(".one-line code", "page yes")
	reader.Choose(button(reader, "Report"))
	reader.WaitText("main", "Your role may keep no reports")
}

// A log that is followed is followed again when the appliance answers again, and what had come stays.
// After a restart of the appliance whoever signs in is where they were.
func TestPortLogAfterInterruptions(t *testing.T) {
	t.Parallel()
	a, network, b := lab(t)
	a.SSH("op", "portlog start addresses 127.0.0.99 persistent yes")
	listen := func(port int) {
		network.Do(t, func() {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.99:%d", port))
			if err != nil {
				t.Fatal(err)
			}
			l.Close()
		})
	}
	listen(4711)
	p := b.SignedIn(a, "op", browser.Look{})
	p.Go("#/network/portlog")
	p.Wait("the listener", recordWith("127.0.0.99:4711"))
	p.Ends()
	browser.Eval[bool](p, "(window.broke = false, new MutationObserver(() => { window.broke ||= /Failed/.test(document.querySelector('.run-state')?.innerText); }).observe(document.body, { subtree: true, childList: true, characterData: true }), true)")
	a.Cut()
	p.Wait("the break", "window.broke")
	listen(4713)
	p.Wait("a record of the log that is followed again", recordWith("127.0.0.99:4713"))
	p.WaitText(".run-state", "Running")
	p.Provokes(401, "/v1/")
	a.Kill()
	p.WaitText("main .problem", "not answer")
	p.Wait("what had come", recordWith("127.0.0.99:4711"))
	a.Restart()
	p.SignIn("op", appliance.Password("op"))
	p.Wait("the records", recordWith("127.0.0.99:4711"))
	listen(4712)
	p.Wait("a record of the log that goes on", recordWith("127.0.0.99:4712"))
}
