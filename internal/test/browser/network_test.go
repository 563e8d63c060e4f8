package browser_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"diagsh/internal/test/browser"
)

// What comes and goes in a table is marked in words, and a table that is paused stays as it is.
func TestLiveTableMarksChanges(t *testing.T) {
	t.Parallel()
	a, network, b := lab(t)
	p := b.SignedIn(a, "ro", browser.Look{})
	p.Go("#/network/sockets")
	every(p, "1")
	p.WaitText("table.records td", "LISTEN")
	var l net.Listener
	network.Do(t, func() {
		var err error
		if l, err = net.Listen("tcp", "127.0.0.53:4711"); err != nil {
			t.Error(err)
		}
	})
	p.Wait("the new row", row("new", "127.0.0.53:4711"))
	l.Close()
	p.Wait("the row that is gone", row("gone", "127.0.0.53:4711"))
	p.Wait("the table without it", "!document.querySelector('main').innerText.includes('127.0.0.53:4711')")
	p.Type("main input[type=search]", "LISTEN")
	p.WaitText("main p[role=status]", "rows")

	// Requests of the page itself say so, so that the session can still end.
	countRequests(p)
	p.Wait("two refreshes", "window.asked.length >= 2")
	if said := browser.Eval[string](p, "window.asked.filter((a) => !a.endsWith(' true')).join()"); said != "" {
		t.Errorf("requests of the page itself pass for acts of its user: %s", said)
	}
	p.Choose(button(p, "Pause"))
	p.WaitText(".refresh", "paused")
	p.Choose(button(p, "Refresh now"))
	p.Wait("the act of the user", "window.asked.some((a) => a.includes('netstat/sockets') && a.endsWith('person'))")
}

// countRequests has the page note its requests in window.asked, each with whether it is its user's.
func countRequests(p *browser.Page) {
	browser.Eval[bool](p, `(window.asked = [], window.send = window.fetch, window.fetch = (path, o) => { window.asked.push(path + ' ' + (o?.headers?.['Diagsh-Background'] || 'person')); return window.send(path, o); }, true)`)
}

// every sets the interval of a live table.
func every(p *browser.Page, seconds string) {
	p.Wait("the control of the interval", "document.querySelector('.refresh select')")
	browser.Eval[bool](p, fmt.Sprintf(`(() => { const s = document.querySelector('.refresh select'); s.value = %q; s.dispatchEvent(new Event('change')); return true; })()`, seconds))
}

func row(mark, text string) string {
	return fmt.Sprintf(`[...document.querySelectorAll('table.records tr')].some((r) => r.querySelector('.mark')?.innerText === %q && r.innerText.includes(%q))`, mark, text)
}

// hide has the page believe that nobody sees it, or that somebody does again.
func hide(p *browser.Page, hidden bool) {
	browser.Eval[bool](p, fmt.Sprintf(`(Object.defineProperty(document, 'hidden', { configurable: true, value: %v }), document.dispatchEvent(new Event('visibilitychange')), true)`, hidden))
}

// A tab that nobody sees asks nothing.
func TestHiddenTabAsksNothing(t *testing.T) {
	t.Parallel()
	a, _, b := lab(t)
	p := b.SignedIn(a, "ro", browser.Look{})
	p.Go("#/network/services")
	every(p, "1")
	p.WaitText("table.records td", "diagsh")
	hide(p, true)
	browser.Eval[bool](p, `(window.asked = 0, window.send = window.fetch, window.fetch = (...a) => { window.asked++; return window.send(...a); }, true)`)
	// Three intervals of the view, in which nothing may come.
	if n := browser.Eval[int](p, "new Promise((done) => setTimeout(() => done(window.asked), 3000))"); n != 0 {
		t.Errorf("the hidden tab sent %d requests", n)
	}
	hide(p, false)
	p.Wait("a request, now that it is seen", "window.asked > 0")
}

// Interfaces have their rates as numbers and as a graph, and the graph is redrawn for the dark.
func TestInterfacesHaveRates(t *testing.T) {
	t.Parallel()
	a, _, b := lab(t)
	p := b.SignedIn(a, "ro", browser.Look{})
	p.Go("#/network/interfaces")
	every(p, "1")
	p.Wait("the graph", "document.querySelector('article[aria-label=lo] .plot[role=img] canvas')")
	ping(t, a, 300)
	p.Wait("the rate", "/bit\\/s/.test(document.querySelector('article[aria-label=lo] .plot').ariaLabel) && !/now 0 bit/.test(document.querySelector('article[aria-label=lo] .plot').ariaLabel)")
	browser.Eval[bool](p, "(window.before = document.querySelector('article[aria-label=lo] canvas'), true)")
	p.Look(browser.Look{Dark: true})
	p.Wait("another drawing", "document.querySelector('article[aria-label=lo] canvas') !== window.before")
}

// Ping, traceroute, a look-up and a conversation with a mail server are shown as they come.
func TestProbes(t *testing.T) {
	t.Parallel()
	a, network, b := lab(t, "mail.example. 60 IN A 127.0.0.5", "mail.example. 60 IN TXT \"<script>alert(1)</script>\"")
	p := b.SignedIn(a, "op", browser.Look{})
	p.Go("#/network/ping?")
	p.Type(labelled(p, "Host"), "mail.example")
	p.Press(kb.Enter)
	p.Wait("the graph of round trips", "document.querySelector('.plot[role=img]')?.ariaLabel.includes('Average')")
	p.Choose(button(p, "Interrupt"))
	p.WaitText("dl.facts dt", "Deviation")

	p.Go("#/network/traceroute")
	p.Type(labelled(p, "Host"), "mail.example")
	p.Press(kb.Enter)
	p.WaitText("table.records td", "127.0.0.5")
	p.Choose(button(p, "Interrupt"))
	p.WaitText(".run-state", "Interrupted")

	p.Go("#/network/dns")
	p.WaitText("table.records td", "127.0.0.1")
	p.Type(labelled(p, "Name"), "mail.example")
	p.Type(labelled(p, "Type"), "TXT")
	p.Press(kb.Enter)
	p.WaitText("table.records td", "<script>alert(1)</script>")

	network.Serve(t, "127.0.0.5:25", mailServer)
	p.Go("#/network/smtp")
	p.Type(labelled(p, "Host"), "mail.example")
	p.Press(kb.Enter)
	p.WaitText(".conversation .reply", "220 mx of \\x1b[31m<b>the lab</b>")
	p.WaitText(".run-state", "Done")
}

// mailServer greets with what a terminal or a browser would take for more than text.
func mailServer(c net.Conn) {
	fmt.Fprint(c, "220 mx of \x1b[31m<b>the lab</b>\r\n")
	buffer := make([]byte, 512)
	for {
		n, err := c.Read(buffer)
		switch {
		case err == io.EOF || err != nil:
			return
		case strings.HasPrefix(strings.ToUpper(string(buffer[:n])), "QUIT"):
			fmt.Fprint(c, "221 bye\r\n")
			return
		}
		fmt.Fprint(c, "250 ok\r\n")
	}
}

// Texts that strangers chose are texts: no element comes of them, nothing runs, and nothing in them
// is hidden.
func TestHostileTexts(t *testing.T) {
	t.Parallel()
	const markup = `<img src=x onerror=alert(1)><script>document.title="had"</script>`
	a, network, b := lab(t)
	network.Serve(t, "127.0.0.1:2525", func(c net.Conn) { io.WriteString(c, markup+"\x1b[2J\u202e\r\n"); io.Copy(io.Discard, c) })
	a.SSH("admin", "packetcapture start hostile interfaces lo comment '"+markup+"'; packetcapture stop hostile")
	a.SSH("admin", "userconfig new mallory fullname '"+markup+"' role readonly password 'Tr0ubador&3 sings'")
	a.SSH("admin", "etherconfig multicast reject; commit '"+markup+"'")
	p := b.SignedIn(a, "admin", browser.Look{})
	for fragment, where := range map[string]string{
		"#/system/users": "table.records td", "#/system/audit": "table.records td", "#/system/configuration": "main li",
	} {
		p.Go(fragment)
		p.WaitText(where, markup)
	}
	for _, path := range []string{"packetcapture list", "userconfig list", "commitdetail"} {
		p.Go(fragmentOf(path))
		p.Choose(button(p, "Run"))
		p.WaitText(".output", markup)
	}
	p.Go("#/commands/telnet?host=127.0.0.1&port=2525&timeout=2s")
	p.TabTo(".command form > div.row input[type=checkbox]") // as on the screen
	p.Press(" ")
	p.Choose(button(p, "Run"))
	p.WaitText(".screen", markup+`\x1b[2J\u202e`)
	p.Choose(button(p, "Interrupt"))
	if got := browser.Eval[string](p, "[...document.querySelectorAll('#app img:not(.brand img), #app script')].map((e) => e.outerHTML).join()"); got != "" {
		t.Errorf("the page has %s", got)
	}
}
