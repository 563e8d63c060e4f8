package browser_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"
	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/browser"
)

// A tape writes packets of one conversation into a capture file of the appliance.
type tape struct {
	t    *testing.T
	file *pcapgo.Writer
	at   time.Time
	sent [2]uint32 // bytes of TCP that each end has sent
}

// newTape makes a file in the diagnostic directory.
func newTape(t *testing.T, a *appliance.Appliance, name string) *tape {
	t.Helper()
	f, err := os.Create(filepath.Join(a.Data, "diagnostic", name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	w := pcapgo.NewWriterNanos(f)
	if err := w.WriteFileHeader(1<<16, layers.LinkTypeEthernet); err != nil {
		t.Fatal(err)
	}
	return &tape{t: t, file: w, at: time.Date(2026, 3, 1, 10, 15, 0, 123456789, time.UTC)}
}

// write adds a packet of the client, or of the server if from is 1, one millisecond after the one
// before.
func (c *tape) write(from int, l ...gopacket.SerializableLayer) {
	c.t.Helper()
	b := gopacket.NewSerializeBuffer()
	ip := &layers.IPv4{Version: 4, TTL: 64, SrcIP: []byte{192, 0, 2, 1}, DstIP: []byte{198, 51, 100, 2}, Protocol: layers.IPProtocolTCP}
	if from == 1 {
		ip.SrcIP, ip.DstIP = ip.DstIP, ip.SrcIP
	}
	switch h := l[0].(type) {
	case *layers.UDP:
		ip.Protocol = layers.IPProtocolUDP
		h.SetNetworkLayerForChecksum(ip)
	case *layers.TCP:
		h.SetNetworkLayerForChecksum(ip)
	}
	all := append([]gopacket.SerializableLayer{
		&layers.Ethernet{SrcMAC: []byte{2, 0, 0, 0, 0, 1}, DstMAC: []byte{2, 0, 0, 0, 0, 2}, EthernetType: layers.EthernetTypeIPv4}, ip}, l...)
	if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, all...); err != nil {
		c.t.Fatal(err)
	}
	c.at = c.at.Add(time.Millisecond)
	info := gopacket.CaptureInfo{Timestamp: c.at, CaptureLength: len(b.Bytes()), Length: len(b.Bytes())}
	if err := c.file.WritePacket(info, b.Bytes()); err != nil {
		c.t.Fatal(err)
	}
}

// say adds a segment of TCP, from the client or the server.
func (c *tape) say(from int, text string) { c.segment(from, layers.TCP{PSH: true, ACK: true}, text) }

func (c *tape) segment(from int, h layers.TCP, text string) {
	h.SrcPort, h.DstPort = 40000, 80
	if from == 1 {
		h.SrcPort, h.DstPort = h.DstPort, h.SrcPort
	}
	h.Seq, h.Ack, h.Window = c.sent[from], c.sent[1-from], 1000
	c.sent[from] += uint32(len(text))
	if h.SYN || h.FIN {
		c.sent[from]++
	}
	c.write(from, &h, gopacket.Payload(text))
}

// open adds the handshake of TCP.
func (c *tape) open() {
	c.segment(0, layers.TCP{SYN: true}, "")
	c.segment(1, layers.TCP{SYN: true, ACK: true}, "")
	c.segment(0, layers.TCP{ACK: true}, "")
}

// The list, one packet, and its bytes, by keyboard: a field marks its bytes and becomes the filter,
// and the address of what is seen leads there again.
func TestPacketsByKeyboard(t *testing.T) {
	t.Parallel()
	a, b := bench(t)
	c := newTape(t, a, "talk.pcap")
	c.open()
	for n := range 300 {
		c.say(n%2, fmt.Sprintf("line %d\r\n", n))
	}
	p := b.SignedIn(a, "op", browser.Look{})
	p.WaitText("main th", "talk.pcap")
	p.Choose("th a[href*='talk.pcap']")
	p.WaitText(".counts", "303 packets")
	p.TabTo("[role=grid]")
	p.Press(kb.ArrowDown, kb.ArrowDown, kb.PageDown, kb.End)
	p.WaitText(".packet-detail h2", "Packet 303")
	p.Wait("the selected row", "document.getElementById(document.querySelector('[role=grid]').getAttribute('aria-activedescendant'))?.getAttribute('aria-rowindex') === '304'")
	p.Press(kb.Home)
	p.WaitText(".packet-detail h2", "Packet 1")
	p.Press(kb.ArrowDown, kb.ArrowDown, kb.ArrowDown)
	p.WaitText(".packet-detail h2", "Packet 4")
	p.WaitText(".hex", "line 0")
	if got := browser.Eval[string](p, "location.hash"); got != "#/captures/talk.pcap/packets/4" {
		t.Errorf("the address is %s", got)
	}

	// From the list into the tree, and there to the source's address.
	p.Press(kb.Enter)
	p.Wait("the focus in the tree", "document.activeElement.matches('[role=treeitem]')")
	for !browser.Eval[bool](p, "document.activeElement.innerText.includes('192.0.2.1') && document.activeElement.matches('.level-2')") {
		browser.Eval[bool](p, "(window.before = document.activeElement, true)")
		p.Press(kb.ArrowDown)
		p.Wait("the focus on the next field", "document.activeElement !== window.before")
	}
	p.Wait("the bytes of the address", "[...document.querySelectorAll('.hex-digits mark')].map((m) => m.innerText).join(' ') === 'c0 00 02 01'")
	p.Choose("section.packet-detail button.small") // after the tree, as its place in the page is
	p.WaitText(".counts", "of 303 packets")
	if got := browser.Eval[string](p, "location.hash"); !strings.Contains(got, "filter=") || !strings.Contains(got, "192.0.2.1") {
		t.Errorf("the address is %s", got)
	}
	shown := browser.Eval[string](p, "location.hash")

	// The same address in another window.
	q := b.SignedIn(a, "op", browser.Look{})
	q.Go(shown)
	q.WaitText(".packet-detail h2", "Packet 4")
	q.WaitText(".counts", "of 303 packets")
	q.Wait("the row", "document.querySelector('.grid-row.selected')?.innerText.startsWith('4')")
}

// A note at the chosen packet, by keyboard: its row is marked with the words in reach of a screen
// reader, another window has it at once, and it goes along as pcapng. Who sees headers only and who
// may only look are offered none.
func TestNotes(t *testing.T) {
	t.Parallel()
	a, b := bench(t)
	c := newTape(t, a, "noted.pcap")
	c.open()
	c.say(0, "hello")
	const mark = ".grid-row[aria-rowindex='3'] .note-mark[role=img]"
	label := func(text string) string {
		return fmt.Sprintf("document.querySelector(%q)?.getAttribute('aria-label') === %q", mark, text)
	}
	p, q := b.SignedIn(a, "op", browser.Look{}), b.SignedIn(a, "admin", browser.Look{})
	for _, page := range []*browser.Page{p, q} {
		page.Go("#/captures/noted.pcap/packets/2")
		page.WaitText(".packet-detail h2", "Packet 2")
	}
	p.TabTo(".note-only-mark")
	p.Press(" ")
	p.WaitText(".packet-note", "Marked op")
	p.Wait("the marked row", label("Marked"))
	p.Wait("the focus", "document.activeElement.matches('.note-text')")
	p.Press(kb.Enter)
	p.Wait("the field", "document.activeElement.matches('.packet-note input')")
	const text = "<b>late</b> answer"
	p.Press(append(strings.Split(text, ""), kb.Enter)...)
	p.WaitText(".packet-note", "Note: "+text)
	q.WaitText(".packet-note", "Note: "+text)
	for _, page := range []*browser.Page{p, q} {
		page.Wait("the row with the note", label("Note: "+text))
	}
	if n := browser.Eval[int](p, "document.querySelectorAll('.note-mark').length"); n != 1 {
		t.Errorf("%d rows are marked", n)
	}
	everywhere(t, p, "a packet with a note")
	p.Look(browser.Look{})

	// Escape leaves the note as it was.
	p.TabTo(".note-text")
	p.Press(kb.Enter)
	p.Wait("the field", "document.activeElement.matches('.packet-note input')")
	p.Press("x", kb.Escape)
	p.Wait("the focus", "document.activeElement.matches('.note-text')")
	p.WaitText(".packet-note", "Note: "+text)

	r := a.Web("op").Do("GET", "/v1/files/noted.pcap?format=pcapng", nil)
	if r.Status != 200 || !strings.Contains(string(r.Body), text) {
		t.Errorf("the pcapng is %d without the note", r.Status)
	}

	q.TabTo(".note-delete")
	q.Press(" ")
	p.WaitText(".packet-note", "Add a note")
	p.Wait("no mark", "!document.querySelector('.note-mark')")

	// A note has 500 characters, however many units of a browser's text each is.
	p.TabTo(".note-text")
	p.Press(kb.Enter)
	p.Paste("input[name=note]", strings.Repeat("\U0001f426", 501))
	p.WaitText(".packet-note .error", "at most 500 characters, and this has 501")
	everywhere(t, p, "a note that is too long")
	p.Look(browser.Look{})
	p.Press(kb.Enter)
	p.Paste("input[name=note]", strings.Repeat("\U0001f426", 500))
	p.Press(kb.Enter)
	p.WaitText(".packet-note", "Note: "+strings.Repeat("\U0001f426", 500))
	p.Choose(".note-delete")
	p.WaitText(".packet-note", "Add a note")

	s := b.SignedIn(a, "sup", browser.Look{})
	s.Go("#/captures/noted.pcap/packets/2")
	s.WaitText(".packet-detail h2", "Packet 2")
	s.WaitText(".fields", "Transmission Control Protocol")
	if browser.Eval[bool](s, "Boolean(document.querySelector('.packet-note'))") {
		t.Error("who sees headers only is offered a note")
	}
}

// What strangers send is text wherever it is shown.
func TestHostilePackets(t *testing.T) {
	t.Parallel()
	const script = `<script>window.pwned=1</script><img src=x onerror="window.pwned=2">`
	a, b := bench(t)
	c := newTape(t, a, "hostile.pcap")
	c.write(0, &layers.UDP{SrcPort: 40000, DstPort: 53}, &layers.DNS{ID: 1, RD: true, QDCount: 1,
		Questions: []layers.DNSQuestion{{Name: []byte("<script>window.pwned=3</script>.example"), Type: layers.DNSTypeA, Class: layers.DNSClassIN}}})
	c.open()
	c.say(0, "GET /"+script+" HTTP/1.1\r\nHost: "+script+"\r\n\r\n")
	c.say(1, "HTTP/1.1 200 \x1b[31m\x00\u202e"+script+"\r\n\r\n"+script)
	p := b.SignedIn(a, "op", browser.Look{})
	for position := range 6 {
		p.Go(fmt.Sprintf("#/captures/hostile.pcap/packets/%d", position+1))
		p.WaitText(".packet-detail h2", fmt.Sprint("Packet ", position+1))
		browser.Eval[int](p, "[...document.querySelectorAll('.twist.shut')].map((e) => e.click()).length")
		if n := browser.Eval[int](p, "document.querySelectorAll('main script, main img').length"); n > 0 {
			t.Errorf("packet %d made %d elements", position+1, n)
		}
	}
	p.WaitText("[role=grid]", "<script>")
	p.Go("#/captures/hostile.pcap/talkers")
	if browser.Eval[bool](p, "'pwned' in window") {
		t.Error("a packet was run")
	}
}

// What two ends sent each other: both directions and each alone, as text and as digits, with what is
// missing named; and as a file.
func TestFollowStream(t *testing.T) {
	t.Parallel()
	a, b := bench(t)
	c := newTape(t, a, "talk.pcap")
	c.open()
	c.say(0, "GET / HTTP/1.1\r\n\r\n")
	c.say(1, "HTTP/1.1 200 OK\r\n\r\n")
	c.sent[1] += 1000 // not captured
	c.say(1, "the end \x00\xff")
	c.segment(0, layers.TCP{ACK: true}, "")
	p := b.SignedIn(a, "op", browser.Look{})
	p.Go("#/captures/talk.pcap/flows")
	p.WaitText("main th", "192.0.2.1:40000")
	p.Choose("main a[href*='/follow/']")
	p.WaitText("main h1", "Stream of packet")
	p.WaitText(".chunk.side-client", "GET / HTTP/1.1")
	p.WaitText(".chunk.side-server", "200 OK")
	p.WaitText(".gap", "1,000 bytes missing")

	p.TabTo(".follow-bar select")
	p.Press(kb.ArrowDown, kb.ArrowDown)
	p.Wait("the client is left out", "!document.querySelector('.chunk.side-client')")
	p.Press(kb.Tab, kb.ArrowDown)
	p.WaitText(".chunk", "48 54 54 50 2f 31 2e 31")
	name, content := p.Downloaded(func() { p.Choose(".follow-bar button") })
	if want := "HTTP/1.1 200 OK\r\n\r\nthe end \x00\xff"; string(content) != want || !strings.HasSuffix(name, "-server.bin") {
		t.Errorf("the file %s has %q", name, content)
	}
}

// The rate for several filters: a fault is told at the line that has it, and a part of the time is
// seen by keyboard too.
func TestGraph(t *testing.T) {
	t.Parallel()
	a, b := bench(t)
	c := newTape(t, a, "talk.pcap")
	c.open()
	for n := range 400 {
		c.say(n%2, "x")
	}
	p := b.SignedIn(a, "op", browser.Look{})
	p.Provokes(400, "/v1/run/packetcapture/graph") // a filter that is wrong
	p.Go("#/captures/talk.pcap/graph")
	p.Wait("a graph with its description", "document.querySelector('[role=img][aria-label*=\"Rate over time\"] canvas')")
	p.Choose(".card .buttons button:last-child")
	p.Wait("a second line", "document.querySelectorAll('.filterbox input').length === 2")
	p.TabTo(".series:nth-child(2) input")
	p.Press("src host 192.0.2.1 an", kb.Escape, kb.Enter)
	p.WaitText(".series:nth-child(2) mark", "an")
	p.Type(".series:nth-child(2) input", "src host 192.0.2.1")
	p.Press(kb.Escape, kb.Enter)
	p.WaitText("figcaption", "src host 192.0.2.1")
	p.Choose("summary")
	p.WaitText("details td", "packets")
	rows := browser.Eval[int](p, "document.querySelectorAll('details tbody tr').length")
	p.Choose("details tbody tr:nth-child(2) button")
	p.Wait("a part of the time", fmt.Sprintf("location.hash.includes('from=') && document.querySelectorAll('details tbody tr').length !== %d", rows))
}

// Who may see headers only sees the list and the fields of headers, and no bytes or download.
func TestHeadersOnly(t *testing.T) {
	t.Parallel()
	a, b := bench(t)
	c := newTape(t, a, "secret.pcap")
	c.open()
	c.say(0, "GET /private HTTP/1.1\r\nCookie: hidden=1\r\n\r\n")
	p := b.SignedIn(a, "sup", browser.Look{})
	p.WaitText("main th", "secret.pcap")
	if n := browser.Eval[int](p, "document.querySelectorAll(\"a[download]:not([download='diagsh.lua'])\").length"); n > 0 {
		t.Error("a download of packets is offered")
	}
	p.Go("#/captures/secret.pcap/packets/4")
	p.WaitText(".packet-detail h2", "Packet 4")
	p.WaitText(".fields", "Transmission Control Protocol")
	if browser.Eval[bool](p, "Boolean(document.querySelector('.hex'))") {
		t.Error("there is a pane of bytes")
	}
	p.Go("#/captures/secret.pcap/flows")
	p.WaitText("main th", "192.0.2.1:40000")
	p.Go("#/captures/secret.pcap/follow/4")
	p.WaitText("main", "headers of packets only")
	if r := a.Web("sup").Run("packetcapture followstream", map[string]any{"name": "secret.pcap", "position": 4}); r.Status != 403 {
		t.Errorf("the appliance answers %d %s", r.Status, r.Body)
	}
	p.Go("#/captures/secret.pcap/packets/4")
	p.WaitText(".packet-detail h2", "Packet 4")
	if text := p.Text(); strings.Contains(text, "private") || strings.Contains(text, "hidden") {
		t.Errorf("contents are shown: %s", text)
	}
}

// The packets of a capture that runs: Follow keeps the newest in sight, Freeze keeps what is there.
func TestFollowAndFreeze(t *testing.T) {
	t.Parallel()
	a, b := bench(t)
	a.SSH("op", "packetcapture start now interfaces lo filter 'icmp and host 127.0.0.77'")
	ping(t, a, 100)
	p := b.SignedIn(a, "op", browser.Look{})
	p.Go("#/captures/now/packets")
	p.WaitText(".counts", "200 packets, still being captured")
	const follow, freeze = ".packet-bar button[aria-pressed]", ".packet-bar button[aria-pressed]:nth-of-type(3)"
	p.TabTo(follow)
	p.Press(" ")
	p.Wait("the end", "document.querySelector('.grid-row[aria-rowindex=\"201\"]')")
	ping(t, a, 50)
	p.WaitText(".counts", "300 packets")
	p.Wait("the new end", "document.querySelector('.grid-row[aria-rowindex=\"301\"]')")

	p.TabTo(freeze)
	p.Press(" ")
	p.WaitText(".counts", "frozen")
	p.Wait("Follow is off", "document.querySelector('"+follow+"').getAttribute('aria-pressed') === 'false'")
	ping(t, a, 50)
	// An event has told of the new packets, and so the page could have shown them.
	q := b.SignedIn(a, "op", browser.Look{})
	q.Go("#/captures/now/packets")
	q.WaitText(".counts", "400 packets")
	if text := browser.Eval[string](p, "document.querySelector('.counts').innerText"); !strings.HasPrefix(text, "300 packets") {
		t.Errorf("what is frozen says %q", text)
	}
	p.TabTo(freeze)
	p.Press(" ")
	p.WaitText(".counts", "400 packets")
	a.SSH("op", "packetcapture stop now")
	p.Wait("the end of the capture", "document.querySelector('.counts').innerText === '400 packets'")
}

// A list of any length has all its rows in reach, although no element may be so high.
func TestEveryRowIsInReach(t *testing.T) {
	t.Parallel()
	a, b := bench(t)
	p := b.Page(a, browser.Look{})
	for _, length := range []int{1, 10, 1000, 333_333, 333_334, 1_000_000, 50_000_000} {
		wrong := browser.Eval[string](p, fmt.Sprintf(`import('/grid.js').then(({ layout }) => {
			const length = %d, window = 480, l = layout(length, window);
			if (l.height > 8000000) return 'is ' + l.height + ' high';
			const most = Math.max(0, l.height - window);
			if (Math.floor(l.rowAt(most)) + l.fit < length) return 'ends at ' + l.rowAt(most);
			for (let i = 0; i <= 1000; i++) {
				const row = Math.floor((length - 1) * i / 1000), seen = l.rowAt(Math.min(most, l.topOf(row)));
				if (row < seen - 0.01 || row > seen + l.fit) return 'row ' + row + ' is not among those from ' + seen;
			}
			return '';
		})`, length))
		if wrong != "" {
			t.Errorf("a list of %d rows %s", length, wrong)
		}
	}
}
