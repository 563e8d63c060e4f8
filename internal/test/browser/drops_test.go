package browser_test

import (
	"fmt"
	"strings"
	"testing"

	"diagsh/internal/test/browser"
)

// What the kernel drops is shown as it goes on, each table in the place of the one before, with the
// process; and sockets say since when they are and who opened them while somebody watches.
func TestDropsAndSockets(t *testing.T) {
	t.Parallel()
	a, network, b := lab(t)
	p := b.SignedIn(a, "ro", browser.Look{})
	p.Go("#/network/drops")
	p.WaitText(".one-line code", "netstat drops every 2s")
	p.Type(labelled(p, "Every"), "1s")
	p.Choose(button(p, "Start"))
	p.WaitText(".run-state", "Watching")
	p.WaitText("p.none", "No such packet was dropped yet")
	spoken(t, network, "loud", 5002)
	flows := `[...document.querySelectorAll('main table.records tbody tr')].filter((r) => r.innerText.includes('NO_SOCKET') && r.innerText.includes('loud') && r.innerText.includes('127.0.0.1:5002')).length`
	p.Wait("a row for each flow", flows+" === 3")
	spoken(t, network, "loud", 5002)
	p.Wait("the table with the others, without the one before", flows+" === 6")
	everywhere(t, p, "drops")
	p.Look(browser.Look{})
	p.Choose(button(p, "Interrupt"))
	p.WaitText(".run-state", "Interrupted")
	if n := browser.Eval[int](p, flows); n != 6 {
		t.Errorf("after its end %d rows are there", n)
	}
	p.Provokes(404, "/v1/run/netstat/drops")
	p.Type(labelled(p, "Reason"), "NO_SUCH_REASON")
	p.Choose(button(p, "Start"))
	p.WaitText("form .error", "This kernel drops no packet for the reason NO_SUCH_REASON")

	p.Go("#/network/sockets")
	p.WaitText("table.records td", "LISTEN")
	if text := p.Text(); strings.Contains(text, "Opened by") {
		t.Error("columns of the past are there though nobody watches")
	}
	a.SSH("op", "portlog start addresses 127.0.0.99")
	every(p, "1")
	p.WaitText("table.records th", "Since")
	p.WaitText("table.records td", "before 2")
}

// The names that processes give themselves are text wherever they are shown: no markup, nothing that
// turns its direction, and where one was cut off in a character, the rest of it.
func TestNamesOfProcesses(t *testing.T) {
	t.Parallel()
	a, network, b := lab(t)
	const cut = "aaaaaaaaaaaaaa" // the kernel keeps 15 bytes
	a.SSH("op", "packetcapture start named scenario all interfaces lo processes yes filter 'udp port 5002'")
	spoken(t, network, `<img src=x>\xe2\x80\xae`, 5002)
	spoken(t, network, cut+`\xc3\xa9`, 5002)
	captured(t, a, "named", 6)
	p := b.SignedIn(a, "op", browser.Look{})
	look := func(fragment, element string, texts ...string) {
		t.Helper()
		if fragment != "" {
			p.Go(fragment)
		}
		for _, text := range texts {
			p.WaitText(element, text)
		}
		if shown := browser.Eval[string](p, "document.body.innerText + [...document.querySelectorAll('*')].flatMap((e) => [...e.attributes]).filter((a) => ['title', 'aria-label'].includes(a.name)).map((a) => a.value).join()"); strings.Contains(shown, "\u202e") {
			t.Errorf("%s turns the direction of text: %q", element, shown)
		}
		if browser.Eval[bool](p, "Boolean(document.querySelector('img[src=x]'))") {
			t.Errorf("%s has markup of a stranger", element)
		}
	}
	const turned = `<img src=x>\u202e`
	look("#/captures/named/packets/1", "[role=gridcell]", turned, cut)
	look("#/captures/named/packets/4", ".detail-bar", cut)
	look("#/captures/named/talkers", "main th", turned, cut)
	look("#/captures/named/flow/1", "table.records td", turned)
	look("#/captures/named/flow/4", "table.records td", cut)
	// Others have so many sockets that these are soon not among the last.
	p.Go("#/network/portlog")
	p.Type(labelled(p, "Ports"), "5002")
	p.Choose(button(p, "Apply"))
	look("", "table.records td", turned, cut)
	look("#/network/portlog/report", "main form", "Processes")
	p.Type(labelled(p, "Ports"), "5002")
	p.Choose(button(p, "Report"))
	look("", "main td", turned, cut)
	for of, count := range map[string]string{turnedAddress: "3 of 6 packets", "aaaaaaaaaaaaaa%EF%BF%BD": "3 of 6 packets"} {
		look("#/captures/named/packets?process="+of, ".counts", count)
	}
	everywhere(t, p, "packets of a process")
	p.Look(browser.Look{})
	p.Go("#/network/drops")
	p.Choose(button(p, "Start"))
	p.WaitText(".run-state", "Watching")
	spoken(t, network, `<img src=x>\xe2\x80\xae`, 5002)
	p.WaitText("table.records td", turned)
	if browser.Eval[bool](p, fmt.Sprintf("document.body.innerText.includes(%q)", "\u202e")) {
		t.Error("the drops turn the direction of text")
	}
}

// turnedAddress is a name as it stands in an address.
const turnedAddress = "%3Cimg%20src%3Dx%3E%E2%80%AE"
