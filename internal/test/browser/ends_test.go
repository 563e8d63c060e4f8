package browser_test

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"diagsh/internal/test/browser"
)

// Filters by protocol and ends are given in rows of the form. A fault is told at its field, and the page of
// the capture has the packets of each.
func TestFiltersByEnds(t *testing.T) {
	t.Parallel()
	a, b := bench(t)
	p := b.SignedIn(a, "op", browser.Look{})
	p.Go("#/capture-start")
	p.Wait("the form", "document.querySelector('main form [name=name]')")
	p.Type("[name=name]", "ends")
	browser.Eval[bool](p, "[...document.querySelectorAll('details')].forEach((d) => { d.open = true; }) || true")
	field := func(filter int, label string) string {
		find := fmt.Sprintf("[...(document.querySelectorAll('fieldset.record')[%d]?.querySelectorAll('label') || [])].find((l) => l.innerText.trim().startsWith(%q))", filter, label)
		p.Wait(label, find)
		id := browser.Eval[string](p, find+".htmlFor")
		return "[id='" + id + "']"
	}
	p.Choose(button(p, "Add filter"))
	p.Type(field(0, "Protocol"), "TCP")
	p.Type(field(0, "Remote ports"), "70000")
	p.Choose(button(p, "Add filter"))
	p.Type(field(1, "Protocol"), "icmp")
	p.Type(field(1, "Remote addresses"), "127.0.0.77")
	p.Provokes(400, "/v1/")
	p.Choose(button(p, "Start Capture"))
	p.Wait("the fault at its field", "document.activeElement?.getAttribute('aria-invalid') === 'true' && document.activeElement.value === '70000'")
	for range 5 {
		p.Press(kb.Backspace)
	}
	p.Press("2", "5")
	p.Choose(button(p, "Start Capture"))
	p.WaitText("article.active h3", "ends")
	ping(t, a, 3)
	captured(t, a, "ends", 6)
	p.Go("#/captures/ends")
	for _, text := range []string{"TCP, remote port 25: 0 packets", "icmp, remote 127.0.0.77: 6 packets"} {
		p.Wait(text, fmt.Sprintf("[...document.querySelectorAll('dl.details dd')].some((d) => d.innerText.includes(%q))", text))
	}
	everywhere(t, p, "a capture by filters of ends")
}
