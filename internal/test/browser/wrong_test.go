package browser_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"diagsh/internal/test/await"
	"diagsh/internal/test/browser"
)

// said waits until the element that has the focus is described by a text.
func said(p *browser.Page, text string) {
	p.Wait(fmt.Sprintf("%q at the field that has the focus", text), fmt.Sprintf(
		`(document.activeElement.getAttribute('aria-describedby') || '').split(' ').some((id) => document.getElementById(id)?.innerText.startsWith(%q))`, text))
}

// What is typed wrong is said at its field, which has the focus, and no act is without a word.
func TestWrongWords(t *testing.T) {
	t.Parallel()
	a, b := bench(t)
	c := newTape(t, a, "talk.pcap")
	c.open()
	p := b.SignedIn(a, "admin", browser.Look{})
	p.Provokes(400, "/v1/")
	p.Provokes(403, "/v1/run/passwd")
	for _, w := range [][2]string{{"Name", "a/b"}, {"Time", "soon"}, {"Size", "-5"}, {"Packets", "many"}} {
		p.Go("#/captures")
		p.Go("#/capture-start")
		p.Type(labelled(p, w[0]), w[1])
		p.Press(kb.Enter)
		said(p, fmt.Sprintf("%q is not", w[1]))
	}
	p.Go("#/password")
	p.Type("input[name=old]", "wrong")
	p.Type("input[name=fresh]", "a better password")
	p.Type("input[name=again]", "a better password")
	p.Press(kb.Enter)
	said(p, "That is not the present password")

	p.Go("#/captures/talk.pcap/packets")
	p.Type("input[aria-label='Go to packet number']", "x7")
	p.Press(kb.Enter)
	p.WaitText(".notice", `"x7" is not the number of a packet`)

	p.Go("#/system/users") // the act at the end of a long row is in sight, and its form has the focus
	p.Wait("the acts", "document.querySelector('td.actions button')")
	if wide := browser.Eval[string](p, "[...document.querySelectorAll('td.actions button')].filter((b) => b.getBoundingClientRect().right > innerWidth).map((b) => b.innerText).join()"); wide != "" {
		t.Errorf("out of sight are %s", wide)
	}
	p.Choose(button(p, "New user"))
	p.Wait("the focus in the form", "document.activeElement.matches('dialog form input')")
	p.Press("Bad Name!", kb.Enter)
	said(p, `"Bad Name!" is not a user name`)
}

// Addresses that lead nowhere say so, the ways between the parts of a capture lead on and back, and each
// place begins at its heading. Who loads the page anew while a command runs ends it.
func TestWrongWays(t *testing.T) {
	t.Parallel()
	a, b := bench(t)
	c := newTape(t, a, "talk.pcap")
	c.open()
	c.say(0, "hello")
	p := b.SignedIn(a, "admin", browser.Look{})
	p.Provokes(404, "/v1/")
	for fragment, text := range map[string]string{
		"#/captures/nosuch": "no capture and no file of this name", "#/captures/nosuch/packets": `no capture and no file "nosuch"`,
		"#/captures/talk.pcap/follow/abc": `"abc" is not the number of a packet`, "#/captures/talk.pcap/packets/9999": "has no packet 9999",
		"#/network/nosuch": "there is no such part", "#/system/nosuch": "there is no such part", "#/system/reports/nosuch": "There is no report nosuch",
		"#/commands/nosuch": "There is no command nosuch",
	} {
		p.Go(fragment)
		p.WaitText("main", text)
	}

	heading := func(text string) {
		p.Wait("the heading "+text, fmt.Sprintf("document.activeElement.matches('main h1') && document.activeElement.innerText.includes(%q)", text))
	}
	p.Go("#/captures/talk.pcap") // a file that is of no capture is its packets
	p.WaitText(".counts", "4 packets")
	p.Choose("nav[aria-label=Packets] a[href*='/flows']")
	heading("Packets of talk.pcap")
	p.WaitText("main th", "192.0.2.1:40000")
	p.Choose("main a[href*='/follow/']")
	heading("Stream of packet")
	for _, want := range []string{"/flows", "/packets"} {
		browser.Eval[bool](p, "(history.back(), true)")
		p.Wait("the place before", fmt.Sprintf("location.hash.endsWith(%q)", want))
		heading("Packets of talk.pcap")
	}

	p.Go("#/network/ping")
	p.Type(labelled(p, "Host"), "127.0.0.1")
	p.Press(kb.Enter)
	p.WaitText(".run-state", "Running")
	p.Load("#/network/ping", "main form")
	await.Until(t, "the end of the ping", func() bool { return !strings.Contains(a.SSH("admin", "who").Out, "ping") })
}

// A list of packets that is refused has no number of packets, and is refused once.
func TestPacketsAreRefused(t *testing.T) {
	t.Parallel()
	a, b := bench(t)
	c := newTape(t, a, "secret.pcap")
	c.open()
	p := b.SignedIn(a, "ro", browser.Look{})
	p.Provokes(403, "/v1/")
	p.Go("#/captures/secret.pcap/packets/1")
	p.WaitText("main .problem", "may not do this")
	if text := p.Text(); strings.Contains(text, "0 packets") || strings.Contains(text, "of 0") {
		t.Errorf("packets are counted: %s", text)
	}
	if n := browser.Eval[int](p, "document.querySelectorAll('main .problem').length"); n != 1 {
		t.Errorf("the refusal is there %d times", n)
	}
}

// A part of the page that is opened while nobody answers says so, and so does its button: the page stays
// where it is until there is an answer.
func TestPartsWhileNobodyAnswers(t *testing.T) {
	t.Parallel()
	a, b := bench(t)
	p := b.SignedIn(a, "op", browser.Look{})
	p.WaitText("h1", "Packet Capture")
	p.Away(true)
	p.Go("#/network")
	p.WaitText("main p", "cannot be loaded")
	p.Choose("main button")
	p.WaitText(".notices", "does not answer")
	p.WaitText("main p", "cannot be loaded")
	p.Away(false)
	p.Choose("main button")
	p.Wait("the page of the network", "document.querySelector('nav.tabs a[href^=\"#/network\"]')")
}
