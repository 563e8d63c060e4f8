package browser_test

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"diagsh/internal/test/browser"
)

// Every page is accessible and as wide as its window, light and dark, on a telephone and a desk.
func TestAccessible(t *testing.T) {
	t.Parallel()
	a, b := bench(t)
	a.SSH("admin", "packetcapture start before interfaces lo filter icmp format pcapng comment 'The path to mx2' case 4711")
	ping(t, a, 5)
	a.SSH("admin", "packetcapture stop before; packetcapture start now interfaces lo filter icmp; packetcapture start later start '2099-01-01 10:00'")
	c := newTape(t, a, "talk.pcap")
	c.open()
	for n := range 60 {
		c.say(n%2, "line\r\n")
	}
	p := b.Page(a, browser.Look{})
	p.Wait("the form to sign in", "document.querySelector('input[name=password]')")
	everywhere(t, p, "sign-in")
	p.SignIn("admin", "correct horse admin")
	for _, fragment := range []string{
		"#/captures", "#/captures/before", "#/capture-start", "#/capture-settings", "#/password", "#/nowhere",
		"#/captures/talk.pcap/packets", "#/captures/talk.pcap/packets/4?filter=tcp", "#/captures/talk.pcap/flows", "#/captures/talk.pcap/follow/4",
		"#/captures/talk.pcap/talkers", "#/captures/talk.pcap/graph?series=tcp&series=",
	} {
		p.Wait("the header", "document.querySelector('header.top')")
		p.Go(fragment)
		everywhere(t, p, fragment)
	}
	p.Go("#/captures")
	openMenus(t, p, 2)
	p.Go("#/captures/talk.pcap/packets")
	openMenus(t, p, 4)
	p.Go("#/capture-start?filter=tcp")
	openMenus(t, p, 3)
	browser.Eval[int](p, "[...document.querySelectorAll('details')].map((d) => d.open = true).length")
	everywhere(t, p, "everything unfolded")
}

// The views of the network are accessible and as wide as their window, and those of commands with what
// these write.
func TestNetworkIsAccessible(t *testing.T) {
	t.Parallel()
	a, _, b := lab(t)
	p := b.SignedIn(a, "admin", browser.Look{})
	everyPart(t, p, "#/network")
	for _, fragment := range []string{"#/commands", "#/commands/netstat", "#/commands/packetcapture/setup", "#/support-request"} {
		p.Go(fragment)
		everywhere(t, p, fragment)
	}
	p.Look(browser.Look{})
	p.Go("#/commands/ping?host=127.0.0.1&count=2")
	p.Choose(button(p, "Run"))
	p.WaitText("table.records td", "statistics")
	everywhere(t, p, "an output")
	p.Look(browser.Look{})
	p.Chord("k", chromedp.ModifierCtrl)
	p.Wait("the box", "document.querySelector('dialog input[role=combobox]')")
	p.Type("dialog input[role=combobox]", "version; version; commitdetail --json")
	p.Press(kb.Enter)
	p.Wait("three outputs", "document.querySelectorAll('dialog .output').length === 3 && document.querySelector('dialog .record')")
	p.Press("p")
	p.WaitText("dialog [role=option]", "ping")
	everywhere(t, p, "the command box")
}

// The views of the system are accessible and as wide as their window.
func TestSystemIsAccessible(t *testing.T) {
	t.Parallel()
	a, _, b := lab(t)
	a.SSH("admin", "diagnostic reporting new; etherconfig multicast reject; commit first confirm 1h; etherconfig loopback enable 10.77.77.1; certificate request mx1.example")
	p := b.SignedIn(a, "admin", browser.Look{})
	everyPart(t, p, "#/system")
	p.Look(browser.Look{})
	p.Go("#/system/reports")
	p.Choose("table.records a.button[href^='#']")
	p.WaitText(".screen", "diagsh version")
	everywhere(t, p, "a report")
	p.Look(browser.Look{})
	p.Go("#/system/users")
	p.Choose(button(p, "New user"))
	p.Settled()
	everywhere(t, p, "a form in a dialog")
}

// everyPart checks all parts of a view, as its tabs lead to them.
func everyPart(t *testing.T, p *browser.Page, view string) {
	t.Helper()
	p.Go(view)
	p.Wait("its parts", "document.querySelectorAll('.tabs a').length > 5")
	for _, fragment := range browser.Eval[[]string](p, "[...document.querySelectorAll('.tabs a')].map((a) => a.getAttribute('href'))") {
		p.Go(fragment)
		everywhere(t, p, fragment)
	}
}

// openMenus checks the page with each of its menus open, of which there are so many.
func openMenus(t *testing.T, p *browser.Page, count int) {
	t.Helper()
	p.Look(browser.Look{})
	const buttons = ".menu > button"
	p.Wait("the menus", fmt.Sprintf("document.querySelectorAll('%s').length === %d", buttons, count))
	for i := range count {
		label := browser.Eval[string](p, fmt.Sprintf("(document.querySelectorAll('%s')[%d].dataset.menu = 'm%[2]d', document.querySelectorAll('%[1]s')[%[2]d].innerText)", buttons, i))
		p.Choose(fmt.Sprintf("[data-menu=m%d]", i))
		p.Wait("the menu "+label, "document.querySelector('.menu > ul:not([hidden]) li')")
		everywhere(t, p, "the menu "+label)
		p.Look(browser.Look{})
		p.Press(kb.Escape)
		p.Wait("the menu is closed", "!document.querySelector('.menu > ul:not([hidden])')")
	}
}

// everywhere checks the page in both schemes and three widths.
func everywhere(t *testing.T, p *browser.Page, what string) {
	t.Helper()
	for _, width := range []int64{320, 768, 1280} {
		for _, dark := range []bool{false, true} {
			p.Look(browser.Look{Dark: dark, Width: width})
			p.Accessible(t, fmt.Sprintf("%s, dark %v, %d pixels", what, dark, width))
		}
	}
}
