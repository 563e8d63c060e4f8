package browser_test

import (
	"fmt"
	"net"
	"testing"

	"diagsh/internal/test/browser"
)

// recordWith is whether the records have a row with a text.
func recordWith(text string) string {
	return fmt.Sprintf(`[...document.querySelectorAll('table.records tbody tr')].some((r) => r.innerText.includes(%q))`, text)
}

// The port log is started, seen as it grows, filtered and stopped in its part of the view of the
// network. Who may only read sees it grow, too.
func TestPortLog(t *testing.T) {
	t.Parallel()
	a, network, b := lab(t)
	a.SSH("op", "portlog setup addresses 127.0.0.99") // the kernel tells of the sockets of all tests
	p := b.SignedIn(a, "op", browser.Look{})
	p.Go("#/network/portlog")
	p.WaitText("dl.facts dd", "not started")
	p.Choose(button(p, "Start"))
	p.Wait("the form", "document.querySelector('dialog[open] form [type=submit]:not([disabled])')")
	p.Choose("dialog[open] form [type=submit]")
	p.WaitText("dl.facts dd", "running")
	p.WaitText("table.records td", "start") // which the list waited for

	listen := func(address string) net.Listener {
		var l net.Listener
		network.Do(t, func() {
			var err error
			if l, err = net.Listen("tcp", address); err != nil {
				t.Fatal(err)
			}
		})
		t.Cleanup(func() { l.Close() })
		return l
	}
	first := listen("127.0.0.99:4711")
	p.Wait("the listener", recordWith("127.0.0.99:4711"))
	first.Close()
	p.Wait("its end", fmt.Sprintf(`[...document.querySelectorAll('table.records tbody tr')].some((r) => r.innerText.includes('close') && r.innerText.includes(%q))`, "127.0.0.99:4711"))

	p.Type(labelled(p, "Ports"), "4712")
	p.Choose(button(p, "Apply"))
	p.Wait("only what was asked for", "!("+recordWith("127.0.0.99:4711")+")")
	listen("127.0.0.99:4712")
	p.Wait("another one", recordWith("127.0.0.99:4712"))

	reader := b.SignedIn(a, "ro", browser.Look{})
	reader.Go("#/network/portlog")
	reader.Wait("the records", recordWith("127.0.0.99:4711"))
	if n := browser.Eval[int](reader, "[...document.querySelectorAll('main button')].filter((b) => ['Start', 'Stop', 'Settings'].includes(b.innerText.trim())).length"); n != 0 {
		t.Errorf("who may only read is offered %d acts", n)
	}

	p.Provokes(400, "/v1/run/portlog/show")
	p.Type(labelled(p, "Addresses"), "nonsense")
	p.Choose(button(p, "Apply"))
	p.WaitText("main", "is not an address or a network")
	p.Choose(button(p, "Stop"))
	p.WaitText("dl.facts dd", "stopped")
}
