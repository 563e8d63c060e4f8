package browser_test

import (
	"fmt"
	"testing"

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
	p.Go("#/capture-start")
	browser.Eval[int](p, "[...document.querySelectorAll('details')].map((d) => d.open = true).length")
	everywhere(t, p, "everything unfolded")
}

// everywhere checks the page in both schemes and three widths.
func everywhere(t *testing.T, p *browser.Page, what string) {
	t.Helper()
	for _, dark := range []bool{false, true} {
		for _, width := range []int64{320, 768, 1280} {
			p.Look(browser.Look{Dark: dark, Width: width})
			p.Accessible(t, fmt.Sprintf("%s, dark %v, %d pixels", what, dark, width), dark)
		}
	}
}
