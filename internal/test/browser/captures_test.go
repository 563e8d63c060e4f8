package browser_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"diagsh/internal/access"
	"diagsh/internal/test/browser"
)

// Who may only read has no button that does anything, and is refused where the buttons would lead.
func TestReadOnlyHasNoButtons(t *testing.T) {
	t.Parallel()
	a, b := bench(t)
	a.SSH("admin", "packetcapture start theirs interfaces lo")
	p := b.SignedIn(a, "ro", browser.Look{})
	p.WaitText("article.active h3", "theirs")
	p.Wait("the tree of commands", "document.querySelector('.main-nav li')")
	if buttons := browser.Eval[string](p, "[...document.querySelectorAll('main button, main a.button, main input')].map((e) => e.innerText).join()"); buttons != "" {
		t.Errorf("the page offers %s", buttons)
	}
	p.Go("#/capture-start")
	p.WaitText("main", "Your role may not do this")
	if r := a.Web("ro").Run("packetcapture start", map[string]any{"name": "x"}); r.Status != 403 {
		t.Errorf("the appliance answers %d %s", r.Status, r.Body)
	}
	if !slices.ContainsFunc(a.Audit(), func(e access.Event) bool {
		return e.Act == access.ActRefused && e.User == "ro" && e.Path == "packetcapture start" && e.Session != ""
	}) {
		t.Error("the audit log does not have the refusal")
	}
}

// A filter that is kept stays with its user, and is offered to no other.
func TestSavedFilters(t *testing.T) {
	t.Parallel()
	a, b := bench(t)
	p := b.SignedIn(a, "op", browser.Look{})
	p.Go("#/capture-start?filter=tcp%20port%2025")
	p.Choose(".presets > button")
	p.Wait("what to do with the filter", "[...document.querySelectorAll('.presets li button')].some((e) => e.innerText.startsWith('Save'))")
	p.Press(kb.Tab, kb.Enter)
	p.WaitText("dialog h2", "Save this filter")
	p.Type("dialog input", "Mail of mx1")
	p.Press(kb.Enter)
	p.WaitText(".notice", "Mail of mx1")
	if r := a.SSH("op", "filter list"); !strings.Contains(r.Out, "Mail of mx1  tcp port 25") {
		t.Errorf("by SSH there is %q", r.Out)
	}
	if r := a.SSH("admin", "filter list"); strings.Contains(r.Out, "mx1") {
		t.Errorf("another user has %q", r.Out)
	}
}
