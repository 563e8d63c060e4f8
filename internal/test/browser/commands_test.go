package browser_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"diagsh/internal/menu"
	"diagsh/internal/test/appliance"
	"diagsh/internal/test/await"
	"diagsh/internal/test/browser"
	"diagsh/internal/test/nameserver"
	"diagsh/internal/test/netnstest"
)

// A lab is an appliance in a network of its own, with a name server, and a browser outside of it.
func lab(t *testing.T, zone ...string) (*appliance.Appliance, *netnstest.Namespace, *browser.Browser) {
	t.Helper()
	b := open(t)
	network := netnstest.New(t)
	network.Veth(t, "eth0", "eth1")
	nameserver.Start(t, network, zone...)
	a := appliance.Start(t, appliance.Options{Network: network, Files: map[string]string{"/etc/resolv.conf": nameserver.ResolvConf}})
	return a, network, b
}

func treeOf(t *testing.T, a *appliance.Appliance) (nodes []menu.Node) {
	t.Helper()
	if err := a.Web("admin").Get("/v1/tree").JSON(&nodes); err != nil {
		t.Fatal(err)
	}
	return nodes
}

func fragmentOf(path string) string { return "#/commands/" + strings.ReplaceAll(path, " ", "/") }

// labelled returns a selector of the control that a label or legend is for, when it is there.
func labelled(p *browser.Page, label string) string {
	quoted, _ := json.Marshal(label)
	find := fmt.Sprintf(`[...document.querySelectorAll('dialog[open]')].concat(document.querySelector('main')).reverse().slice(-1).flatMap((top) =>
		[...top.querySelectorAll('label[for]')]).find((l) => l.innerText.replace(/ \(required\)$/, '') === %s)`, quoted)
	p.Wait("the field "+label, find)
	return browser.Eval[string](p, "'[id=\"' + "+find+".htmlFor + '\"]'")
}

// button returns a selector of a button by its text, in the topmost dialog if there is one.
func button(p *browser.Page, text string) string {
	quoted, _ := json.Marshal(text)
	find := fmt.Sprintf(`[...([...document.querySelectorAll('dialog[open]')].pop() || document).querySelectorAll('button')].find((b) => b.innerText.trim() === %s && !b.disabled)`, quoted)
	p.Wait("the button "+text, find)
	return browser.Eval[string](p, find+".setAttribute('data-chosen', "+string(quoted)+"), '[data-chosen='+JSON.stringify("+string(quoted)+")+']'")
}

// Every menu and command of the tree has its place, and every argument a control in its form.
func TestEveryCommandHasAForm(t *testing.T) {
	t.Parallel()
	a, _, b := lab(t)
	p := b.SignedIn(a, "admin", browser.Look{})
	for path, status := range map[string]int{
		"/v1/menu/diagnostic/raid": 501, "/v1/ask/diagnostic/raid/": 501, "/v1/ask/diagnostic/services/restart": 501, // not on this machine
		"/v1/ask/etherconfig/vlan/": 409, "/v1/ask/commit": 409, "/v1/ask/clearchanges": 409, "/v1/ask/rollbackconfig": 409, // nothing there yet
	} {
		p.Provokes(status, path)
	}
	commands := 0
	for _, n := range treeOf(t, a) {
		p.Go(fragmentOf(n.Path))
		p.WaitText("main h1", n.Path)
		if n.Kind == "menu" {
			continue
		}
		commands++
		p.Wait("the form of "+n.Path, "document.querySelector('main form[aria-label]')?.ariaLabel === "+fmt.Sprintf("%q", n.Path))
		shown := browser.Eval[[]string](p, `[...document.querySelectorAll('main form .field > label, main form .field > legend')].map((l) => l.textContent.replace(/ \(required\)$/, ''))`)
		for _, arg := range n.Params {
			// What a dialogue asks for may have no part in it as things stand, and a confirmation is a dialog.
			if arg.Ask == "" && arg.Type != "confirm" && !slices.Contains(shown, arg.Label) {
				t.Errorf("the form of %s has no field %q for %s, but %q", n.Path, arg.Label, arg.Name, shown)
			}
		}
	}
	if commands < 90 {
		t.Errorf("there are %d commands", commands)
	}
}

// A command of each shape, by keyboard: its output comes, a wrong argument is marked at its field.
func TestCommandsByKeyboard(t *testing.T) {
	t.Parallel()
	a, network, b := lab(t)
	p := b.SignedIn(a, "admin", browser.Look{})
	p.Provokes(400, "/v1/ask/ping") // a count of 0

	p.Go(fragmentOf("userconfig list")) // a table
	p.Choose(button(p, "Run"))
	p.WaitText("table.records td", "sup")

	p.Go(fragmentOf("version")) // an object
	p.Choose(button(p, "Run"))
	p.WaitText(".record dd", "diagsh")

	p.Go(fragmentOf("ping")) // a stream, which an interrupt ends with its statistics
	p.Type(labelled(p, "Host"), "127.0.0.1")
	p.Press(kb.Enter)
	p.WaitText("table.records td", "reply")
	p.Choose(button(p, "Interrupt"))
	p.WaitText("table.records td", "statistics")
	p.WaitText(".run-state", "Interrupted")
	p.WaitText(".one-line code", "ping host 127.0.0.1")

	p.Go(fragmentOf("packetcapture start")) // what no dialogue asks for is completed as Tab does
	p.Type(labelled(p, "Interfaces"), "l")
	p.WaitText("[role=option]", "lo")
	p.Press(kb.ArrowDown, kb.Enter)
	p.WaitText(".one-line code", "interfaces lo")

	p.Go("#/commands/ping?host=127.0.0.1&count=0")
	p.Choose(button(p, "Run"))
	p.Wait("the error at its field", "document.activeElement.getAttribute('aria-invalid') === 'true'")
	if said := browser.Eval[string](p, "document.getElementById(document.activeElement.getAttribute('aria-describedby').split(' ').pop()).innerText"); !strings.Contains(said, "from 1 to 1000000") {
		t.Errorf("at the field there is %q", said)
	}

	p.Go("#/commands/packetcapture/stream?packets=4&filter=icmp") // bytes
	p.TabTo("input[type=checkbox][value=lo]")
	p.Press(" ")
	p.Choose(button(p, "Run"))
	p.WaitText(".run-state", "Running")
	await.Until(t, "the end of the stream", func() bool { // it listens a little after it says that it runs
		ping(t, a, 5)
		return browser.Eval[bool](p, "document.querySelector('.run-state').innerText.includes('Done')")
	})
	if _, content := p.Downloaded(func() { p.Choose(button(p, "Save as file")) }); !bytes.HasPrefix(content, []byte{0x4d, 0x3c, 0xb2, 0xa1}) && !bytes.HasPrefix(content, []byte{0x0a, 0x0d, 0x0d, 0x0a}) {
		t.Errorf("what was saved begins with % x", content[:min(len(content), 16)])
	}

	network.Serve(t, "127.0.0.1:2525", func(c net.Conn) { // a conversation
		fmt.Fprint(c, "220 mx2 here\r\n")
		lines := bufio.NewScanner(c)
		for lines.Scan() {
			fmt.Fprintf(c, "you said %s\r\n", strings.TrimSpace(lines.Text()))
		}
	})
	p.Go("#/commands/telnet?host=127.0.0.1&port=2525")
	p.TabTo(".command form > div.row input[type=checkbox]") // as on the screen
	p.Press(" ")
	p.Choose(button(p, "Run"))
	p.WaitText(".screen", "220 mx2 here")
	p.Type(".say input", "EHLO page")
	p.Press(kb.Enter)
	p.WaitText(".screen", "you said EHLO page")
	p.Choose(button(p, "Interrupt"))
	p.WaitText(".run-state", "after")
}

// What cannot be taken back is asked in a dialog that names it; without the answer nothing happens.
func TestConfirmationNamesWhatGoes(t *testing.T) {
	t.Parallel()
	a, _, b := lab(t)
	p := b.SignedIn(a, "admin", browser.Look{})
	p.Provokes(404, "/v1/ask/userconfig/delete") // of a user who is gone
	p.Go("#/commands/userconfig/delete?user=sup")
	p.Choose(button(p, "Run"))
	p.WaitText("dialog h2", "Delete the user sup?")
	p.Press(kb.Escape)
	p.Wait("the dialog is closed", "!document.querySelector('dialog')")
	if r := a.Web("admin").Run("userconfig list", nil); !strings.Contains(string(r.Body), `"sup"`) {
		t.Fatalf("the user went although nobody agreed: %s", r.Body)
	}
	p.Choose(button(p, "Run"))
	p.WaitText("dialog h2", "Delete the user sup?")
	p.Choose("dialog button.danger")
	p.WaitText(".run-state", "Done")
	if r := a.Web("admin").Run("userconfig list", nil); strings.Contains(string(r.Body), `"sup"`) {
		t.Errorf("the user is still there: %s", r.Body)
	}
}

// A form shows what the dialogue asks with the answers so far, and sends only what belongs to it.
func TestFormFollowsTheDialogue(t *testing.T) {
	t.Parallel()
	a, _, b := lab(t)
	p := b.SignedIn(a, "op", browser.Look{})
	p.Go(fragmentOf("packetcapture setup"))
	field := func(label string) string {
		return fmt.Sprintf(`[...document.querySelectorAll('main .field > label')].some((l) => l.textContent === %q)`, label)
	}
	p.Wait("the dialogue without a predefined filter", "!("+field("Ports")+") && document.querySelector('option[value=PREDEFINED]')")
	choose := func(value string) {
		browser.Eval[bool](p, fmt.Sprintf(`(() => { const s = document.querySelector('option[value=%[1]s]').parentElement; s.value = '%[1]s'; s.dispatchEvent(new Event('change', { bubbles: true })); return true; })()`, value))
	}
	choose("PREDEFINED")
	p.Wait("the ports", field("Ports"))
	p.Type(labelled(p, "Ports"), "25")
	p.WaitText(".one-line code", "ports 25")
	choose("CUSTOM")
	p.Wait("the ports are gone", "!("+field("Ports")+")")
	p.WaitText(".one-line code", "kind CUSTOM")
	if line := browser.Eval[string](p, "document.querySelector('.one-line code').innerText"); strings.Contains(line, "ports") {
		t.Errorf("the line has what is no longer asked: %s", line)
	}
	p.Type(labelled(p, "Filter"), "tcp port")
	p.WaitText(".explained", "port")
	p.Press(" 25")
	p.WaitText(".explained", "TCP")
	p.Choose(button(p, "Run"))
	p.WaitText(".run-state", "Done")
	if r := a.SSH("op", "filter explain 'tcp port 25'; packetcapture start x interfaces lo --json"); !strings.Contains(r.Out, `"filter":"tcp port 25"`) {
		t.Errorf("a capture does not start with the filter: %s", r.Out)
	}
}

// A secret is in its field alone: after it is sent the page has it nowhere, and two that differ are
// not sent.
func TestSecretsAreForgotten(t *testing.T) {
	t.Parallel()
	a, _, b := lab(t)
	p := b.SignedIn(a, "admin", browser.Look{})
	p.Go("#/commands/userconfig/password?user=sup")
	p.Wait("both fields", "document.querySelectorAll('main input[type=password]').length === 2")
	p.Type(labelled(p, "Password"), "Tr0ubador&3 sings")
	p.Type(labelled(p, "Password, once more"), "another one")
	p.Press(kb.Enter)
	p.WaitText(".error", "differ")
	p.Type(labelled(p, "Password, once more"), "Tr0ubador&3 sings")
	p.Press(kb.Enter)
	p.WaitText(".run-state", "Done")
	p.Wait("the fields are empty", "[...document.querySelectorAll('main input[type=password]')].every((i) => i.value === '')")
	if html := browser.Eval[string](p, "document.documentElement.outerHTML + JSON.stringify(localStorage) + JSON.stringify(sessionStorage)"); strings.Contains(html, "Tr0ubador") {
		t.Error("the secret is still in the page")
	}
	if r := a.HTTPS().Login("sup", "Tr0ubador&3 sings"); r.Status != 200 {
		t.Errorf("the new password is answered with %d %s", r.Status, r.Body)
	}
}

// holdAnswers has the page wait for each answer to requests of a path, by its beginning, until
// releaseAnswers.
func holdAnswers(p *browser.Page, path string) {
	browser.Eval[bool](p, fmt.Sprintf(`(window.send = window.fetch, window.fetch = (to, o) => to.startsWith(%q) ? new Promise((answer) => {
		(window.held ||= []).push(() => answer(window.send(to, o))); }) : window.send(to, o), true)`, path))
}

func releaseAnswers(p *browser.Page) {
	browser.Eval[bool](p, "(window.fetch = window.send, (window.held || []).splice(0).forEach((go) => go()), true)")
}

// The command box takes lines as the menus do: completed, several at once, interrupted by Ctrl-C,
// and again from the history.
func TestCommandBox(t *testing.T) {
	t.Parallel()
	a, _, b := lab(t)
	p := b.SignedIn(a, "op", browser.Look{})
	p.Provokes(400, "/v1/parse") // a line that is not whole yet
	ctrl := func(key string) { p.Chord(key, chromedp.ModifierCtrl) }
	box := "dialog input[role=combobox]"
	ctrl("k")
	p.Wait("the box", "document.activeElement?.matches("+fmt.Sprintf("%q", box)+")")
	line := func(want string) {
		p.Wait("the line "+want, fmt.Sprintf("document.querySelector(%q).value === %q", box, want))
	}
	p.Press("trac", kb.Tab) // before anything is offered
	line("traceroute ")
	p.Type(box, "trac")
	p.Wait("what begins with it", "[...document.querySelectorAll('dialog [role=option] span:first-child')].map((o) => o.innerText).join() === 'traceroute,traceroute6'")
	holdAnswers(p, "/v1/complete")
	p.Press("er", kb.Tab) // what is offered was asked for before
	line("traceroute ")
	releaseAnswers(p)
	p.Type(box, "")
	p.Wait("all commands", "document.querySelector('dialog [role=option]')?.innerText.startsWith('packetcapture')")
	holdAnswers(p, "/v1/complete")
	p.Press("trac", kb.Tab) // what is offered was asked for something else
	releaseAnswers(p)
	line("traceroute ")
	p.Type(box, "whoami; ping 127.0.0.1 count 2; nosuch")
	p.Press(kb.Enter)
	p.WaitText("dialog .problem", "Nothing was run")
	p.Type(box, "whoami; ping 127.0.0.1")
	p.Press(kb.Enter)
	p.WaitText("dialog .screen", "operator")
	p.WaitText("dialog .screen", "64 bytes from 127.0.0.1")
	ctrl("c")
	p.WaitText("dialog .screen", "packets transmitted")
	p.Press(kb.ArrowUp)
	line("whoami; ping 127.0.0.1")
	if r := a.SSH("admin", "auditlog path ping count 5"); !strings.Contains(r.Out, "ping host 127.0.0.1: ok") {
		t.Errorf("the audit log has %s", r.Out)
	}
	p.Type(box, "help traceroute")
	p.Press(kb.Enter)
	p.WaitText("dialog .screen", "Display the network route")
	p.Press(kb.Escape)
	p.Wait("the box is closed", "!document.querySelector('dialog')")
}

// Who may not run a command gets no form, and the menus do not list it.
func TestFormsKeepToTheRole(t *testing.T) {
	t.Parallel()
	a, _, b := lab(t)
	p := b.SignedIn(a, "ro", browser.Look{})
	p.Go("#/commands")
	p.WaitText(".menu-items a", "netstat")
	if listed := browser.Eval[string](p, "document.querySelector('main').innerText"); strings.Contains(listed, "userconfig") || strings.Contains(listed, "traceroute") {
		t.Errorf("the menu lists %s", listed)
	}
	p.Go(fragmentOf("userconfig new"))
	p.WaitText("main", "This needs the role administrator")
	if browser.Eval[bool](p, "Boolean(document.querySelector('main form'))") {
		t.Error("there is a form all the same")
	}
}
