package browser_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/await"
	"diagsh/internal/test/browser"
	"diagsh/internal/test/netnstest"
)

// spoken has a shell that gave itself a name send three datagrams to a port where nobody waits.
func spoken(t *testing.T, network *netnstest.Namespace, name string, port int) {
	t.Helper()
	script := fmt.Sprintf(`printf %%b '%s' > /proc/$$/comm; for n in 1 2 3; do echo x > /dev/udp/127.0.0.1/%d; done`, name, port)
	network.Do(t, func() {
		if out, err := exec.Command(netnstest.Tool(t, "bash"), "-c", script).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	})
}

// captured waits until a capture has so many packets.
func captured(t *testing.T, a *appliance.Appliance, name string, want int) {
	t.Helper()
	await.Until(t, "the packets of "+name, func() bool {
		var s struct{ PacketsWritten int }
		r := a.SSH("op", "packetcapture status "+name+" --json")
		return json.Unmarshal([]byte(r.Out), &s) == nil && s.PacketsWritten == want
	})
}

// pick chooses a value of a select box, by the name of its argument.
func pick(p *browser.Page, name, value string) {
	p.Wait("the choice "+name, fmt.Sprintf("[...(document.querySelector('[name=%s]')?.options || [])].some((o) => o.value === %q)", name, value))
	browser.Eval[bool](p, fmt.Sprintf(`(() => { const s = document.querySelector('[name=%s]'); s.value = %q; s.dispatchEvent(new Event('change', { bubbles: true })); return true; })()`, name, value))
}

// A form has whatever its command takes: what the menus can say is said there, too.
func TestFormsOfCapturesHaveEveryOption(t *testing.T) {
	t.Parallel()
	a, b := bench(t)
	p := b.SignedIn(a, "op", browser.Look{})
	// These have controls of several parts, or are for programs.
	others := []string{"interfaces", "filter", "filters", "defaults", "azure", "operation", "stop", "kind", "ports", "clients", "servers"}
	for _, form := range [][2]string{{"#/capture-start", "packetcapture start"}, {"#/capture-settings", "packetcapture setup"}} {
		fragment, path := form[0], form[1]
		p.Go(fragment)
		p.Wait("the form", "document.querySelector('main form [name=scenario]')")
		fields := strings.Split(browser.Eval[string](p, "[...document.querySelectorAll('main form [name]')].map((e) => e.name.toLowerCase()).join()"), ",")
		for _, n := range treeOf(t, a) {
			if n.Path != path {
				continue
			}
			for _, parameter := range n.Params {
				if name := strings.ToLower(parameter.Name); !slices.Contains(others, name) && !slices.Contains(fields, name) {
					t.Errorf("%s has no field for %s", fragment, parameter.Name)
				}
			}
		}
	}
	browser.Eval[bool](p, "[...document.querySelectorAll('details')].forEach((d) => { d.open = true; }) || true")
	pick(p, "scenario", "lan")
	p.WaitText("main form .hint", "goes before it")
	pick(p, "drops", "yes")
	p.Type("[name=caseNumber]", "4711")
	p.Choose(button(p, "Save Settings"))
	p.WaitText(".notice", "The settings are saved")
	if r := a.SSH("op", "packetcapture settings --json"); !strings.Contains(r.Out, `"scenario":"lan"`) || !strings.Contains(r.Out, `"drops":true`) || !strings.Contains(r.Out, `"caseNumber":"4711"`) {
		t.Errorf("the settings are %s", r.Out)
	}
	p.Go("#/capture-settings")
	pick(p, "scenario", "NONE")
	p.Choose(button(p, "Save Settings"))
	await.Until(t, "the settings without a scenario", func() bool {
		return !strings.Contains(a.SSH("op", "packetcapture settings --json").Out, `"scenario":"lan"`)
	})

	first := a.SSH("op", "packetcapture settings --json").Out // what is emptied is taken back, whatever that means for it
	a.SSH("op", "packetcapture setup mode ring filebytes 100MB fileseconds 10m keepfiles 3 process curl filter icmp durationseconds 60s packets 5 ringbytes 64MB rings 2 snaplength 99 cpus 0")
	p.Go("#/captures")
	p.Go("#/capture-settings")
	p.Wait("the settings", "document.querySelector('[name=keepFiles]')?.value === '3'")
	browser.Eval[bool](p, `(() => { for (const e of document.querySelectorAll('main form input[name]')) if (!['fileBytes', 'fileSeconds', 'sizeBytes', 'caseNumber', 'kind'].includes(e.name)) { e.value = ''; e.dispatchEvent(new Event('input', { bubbles: true })); }
		document.querySelector('main form input[value=none]').click(); return true; })()`)
	p.Choose(button(p, "Save Settings"))
	p.WaitText(".notice", "The settings are saved")
	a.SSH("op", "packetcapture setup mode single")
	if last := a.SSH("op", "packetcapture settings --json").Out; last != first {
		t.Errorf("the settings are %s, and were %s", last, first)
	}
}

// A capture by a scenario is begun by the form, says what it does, and has its report when it ends, which
// is read part by part and leads to each conversation with what the kernel dropped and the port log has of
// it. So does the list of conversations of the capture.
func TestScenario(t *testing.T) {
	t.Parallel()
	a, network, b := lab(t)
	p := b.SignedIn(a, "op", browser.Look{})
	p.Go("#/capture-start?filter=udp%20port%205002")
	p.Type("[name=name]", "trouble")
	browser.Eval[bool](p, "[...document.querySelectorAll('details')].forEach((d) => { d.open = true; }) || true")
	pick(p, "scenario", "all")
	pick(p, "processes", "yes")
	pick(p, "report", "yes")
	p.Choose(button(p, "Start Capture"))
	p.WaitText("article.active h3", "trouble")
	spoken(t, network, "loud", 5002)
	captured(t, a, "trouble", 3)

	p.Go("#/system/status")
	for _, kind := range []string{"capture", "flows", "drops", "port log"} {
		p.Wait(kind+" among what runs", fmt.Sprintf("[...document.querySelectorAll('[aria-label=\"All that runs\"] tbody tr')].some((r) => r.cells[1].innerText === %q)", kind))
	}
	p.Go("#/captures/trouble")
	for term, text := range map[string]string{"Scenario": "all", "Report": "made when the capture ends", "Processes": "kept beside the file", "Dropped meanwhile, and why": "3 in the file"} {
		p.Wait(term, fmt.Sprintf("[...document.querySelectorAll('dl.details div')].some((d) => d.children[0].innerText === %q && d.children[1].innerText.includes(%q))", term, text))
	}
	p.Choose(button(p, "Stop Capture"))
	p.WaitText("dl.details dd a", "-report.tar.gz") // without a hand that loads the page anew
	p.WaitText("main td", "Dropped packets")
	everywhere(t, p, "a capture with all that is beside it")
	p.Look(browser.Look{})

	p.Go("#/captures/trouble/flows")
	p.Choose("a[aria-label^='All of it: conversation 2,']")
	readConversation(t, p)
	everywhere(t, p, "a conversation")
	p.Look(browser.Look{})

	p.Go("#/captures/trouble")
	p.Choose("dl.details dd a")
	p.WaitText("main nav p", "What changed meanwhile")
	p.Choose(button(p, "Conversations"))
	p.WaitText(".screen", "PROTOCOL")
	everywhere(t, p, "a report on a capture")
	p.Look(browser.Look{})
	p.Choose(button(p, "As records"))
	p.WaitText(".record dt", "Total")
	p.Choose("a[aria-label^='All of it: conversation 2,']")
	p.WaitText("h1", "Conversation 2")
	readConversation(t, p)
	p.Provokes(404, "/v1/")
	p.Go("#/captures/trouble/flow/99")
	p.WaitText(".problem", "has no conversation 99")
	p.Provokes(400, "/v1/")
	p.Go("#/captures/trouble/flow/x")
	p.WaitText(".problem", `"x" is not`)
}

// readConversation waits for a conversation of a datagram that was dropped.
func readConversation(t *testing.T, p *browser.Page) {
	t.Helper()
	for what, about := range map[string]string{"packet": "UDP", "dropped": "NO_SOCKET", "port log: open": "", "port log: close": "2 bytes sent"} {
		p.Wait(what, fmt.Sprintf(`[...document.querySelectorAll('table.records tbody tr')].some((r) => r.cells[1].innerText === %q && r.cells[4].innerText.includes(%q) && r.cells[5].innerText.includes('loud ('))`, what, about))
	}
}

// What is known of a capture's processes and drops is in its summary, which is chosen by a process, and
// in each form of its file.
func TestProcessesInSummaryAndFiles(t *testing.T) {
	t.Parallel()
	a, network, b := lab(t)
	a.SSH("admin", "packetcapture target new vault url https://127.0.0.1:1/")
	a.SSH("op", "packetcapture start owned interfaces lo processes yes drops yes filter 'udp port 5002'")
	spoken(t, network, "one", 5002)
	spoken(t, network, "two", 5002)
	captured(t, a, "owned", 6)
	a.SSH("op", "packetcapture stop owned; packetcapture start plain interfaces lo filter 'udp port 5002'")
	spoken(t, network, "one", 5002)
	captured(t, a, "plain", 3)
	a.SSH("op", "packetcapture stop plain")

	p := b.SignedIn(a, "op", browser.Look{})
	p.Go("#/captures/owned/talkers")
	p.WaitText("main td", "3 packets")
	p.WaitText("main th", "two (")
	p.WaitText("main th", "NO_SOCKET")
	p.Type("form[aria-label='Packets of a process'] input", "one")
	p.Choose("form[aria-label='Packets of a process'] [type=submit]")
	p.Wait("the summary of one", "![...document.querySelectorAll('main th')].some((h) => h.innerText.startsWith('two (')) && document.querySelector('dd.big')?.innerText === '3'")
	p.Choose("main th a[href*='pid=']")
	p.WaitText(".counts", "3 of 6 packets")
	p.Choose("nav[aria-label=Packets] a[href*='talkers']") // whose packets goes along
	p.Wait("the summary of that process", "location.hash.includes('pid=') && document.querySelector('dd.big')?.innerText === '3'")

	const blocks = "As pcapng, processes in Apple's blocks too"
	choose := func(capture string) {
		p.Choose("input[aria-label^='Choose mx1-" + capture + "']:not([aria-label*='.drops.']):not([aria-label$='.flows'])")
		p.Press(" ")
		p.Choose(button(p, "Download File"))
	}
	p.Go("#/captures")
	choose("owned")
	name, content := p.Downloaded(func() { p.Choose(button(p, blocks)) })
	if !strings.HasSuffix(name, ".processes.pcapng") || len(blocksOf(content, 0x80000001)) != 2 {
		t.Errorf("%s has the processes %q", name, blocksOf(content, 0x80000001))
	}
	p.Choose(button(p, "Download File"))
	name, content = p.Downloaded(func() { p.Choose(button(p, "As pcapng, with notes, processes and drops")) })
	if !bytes.Contains(content, []byte("process=two pid=")) || !bytes.Contains(content, []byte("dropped: NO_SOCKET")) || len(blocksOf(content, 0x80000001)) != 0 {
		t.Errorf("%s has not what it is to have", name)
	}

	choose("plain") // together with one that has none
	if offered := browser.Eval[string](p, "[...document.querySelectorAll('.menu li button')].map((b) => b.innerText).join()"); strings.Contains(offered, blocks) {
		t.Errorf("of packets without processes are offered %q", offered)
	}

	p.Go("#/captures/owned")
	p.Choose(button(p, "Make report"))
	p.Wait("the form", "document.querySelector('dialog[open] form [type=submit]:not([disabled])')")
	p.Choose("dialog[open] form [type=submit]")
	p.WaitText("dl.details dd a", "-report.tar.gz")

	p.Go("#/captures/owned") // with its processes it goes to another host, too
	p.Choose(button(p, "Copy to target"))
	p.Wait("the form", "document.querySelector('dialog[open] form [type=submit]:not([disabled])')")
	everywhere(t, p, "a copy to a target")
	p.Look(browser.Look{})
	p.Type(labelled(p, "Target"), "vault")
	answer(p, "Processes", "yes")
	p.WaitText(".one-line code", "packetcapture export name owned target vault processes yes")
	p.Choose("dialog[open] form [type=submit]")
	p.WaitText("[aria-label=Copies] td", ".processes.pcapng")
	copyAct := func(verb string) {
		p.Choose("[aria-label=Copies] button[aria-label^='" + verb + ": copy of'][aria-label*='.processes.pcapng']")
	}
	copyAct("Pause")
	p.WaitText("[aria-label=Copies] td", "paused")
	copyAct("Resume")
	p.Wait("the copy to go on", "![...document.querySelectorAll('[aria-label=Copies] td')].some((d) => d.innerText === 'paused')")
	copyAct("Cancel")
	p.Choose(button(p, "Cancel Copy"))
	p.WaitText("[aria-label=Copies] td", "cancelled")
	copyAct("Try Again")
	p.Wait("the copy to begin anew", "![...document.querySelectorAll('[aria-label=Copies] td')].some((d) => d.innerText === 'cancelled')")
}

// Who may see headers only is not offered what has contents, and files that have none of a packet are not
// said to be of headers. A capture of one process says so.
func TestNoContentsAreOffered(t *testing.T) {
	t.Parallel()
	a, network, b := lab(t)
	a.SSH("op", "packetcapture start trouble scenario lan interfaces lo process loud processes yes report yes filter 'udp port 5002'")
	spoken(t, network, "loud", 5002)
	captured(t, a, "trouble", 3)
	p := b.SignedIn(a, "sup", browser.Look{})
	p.WaitText("article.active", "Only of the process loud")
	p.WaitText("article.active", "By the scenario lan")
	a.SSH("op", "packetcapture stop trouble")
	await.Until(t, "the report", func() bool { return strings.Contains(a.SSH("op", "diagnostic reporting list").Out, "trouble") })
	p.Go("#/captures/trouble/flows")
	p.WaitText("main td a", "Packets")
	if text := p.Text(); strings.Contains(text, "All of it") {
		t.Errorf("a conversation with contents is offered: %s", text)
	}
	for fragment, forbidden := range map[string]string{"#/system/reports": "Read", "#/captures": "headers only"} {
		p.Go(fragment)
		p.WaitText("main table", "trouble")
		if text := browser.Eval[string](p, "document.querySelector('main').innerText"); strings.Contains(text, forbidden) {
			t.Errorf("%s offers or says %q: %s", fragment, forbidden, text)
		}
	}
}

// blocksOf returns the blocks of a type in a file in pcapng.
func blocksOf(content []byte, kind uint32) (blocks [][]byte) {
	for len(content) >= 12 {
		length := binary.LittleEndian.Uint32(content[4:])
		if length < 12 || int(length) > len(content) {
			return blocks
		}
		if binary.LittleEndian.Uint32(content) == kind {
			blocks = append(blocks, content[:length])
		}
		content = content[length:]
	}
	return blocks
}
