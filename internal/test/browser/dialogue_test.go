package browser_test

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"
	"github.com/pkg/sftp"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/browser"
	"diagsh/internal/test/netnstest"
)

// A whole case by keyboard, from a wrong password to the deleted file: a capture is started, seen,
// stopped, looked into and taken along. What others do meanwhile by SSH is seen without reloading.
func TestDialogue(t *testing.T) {
	t.Parallel()
	a, network, b := lab(t)
	network.Serve(t, "127.0.0.77:2525", func(c net.Conn) {
		fmt.Fprint(c, "220 mx2 here\r\n")
		io.Copy(c, c)
	})
	p := b.Page(a, browser.Look{})
	p.Provokes(401, "/v1/login")
	p.SignIn("op", "wrong")
	p.Wait("the refusal", "document.querySelector('.problem[role=alert]')?.innerText.length > 10")
	if value := browser.Eval[string](p, "document.querySelector('input[name=password]').value"); value != "" {
		t.Errorf("the wrong password stays in its field: %q", value)
	}
	p.Type("input[name=password]", appliance.Password("op"))
	p.Press(kb.Enter)
	p.WaitText(".user-menu button", "operator")

	startByKeyboard(t, p)
	p.WaitText("article.active h3", "Running")
	talk(t, network, 3)
	p.Wait("the counter", "Number(document.querySelector('article.active dd.packets').innerText) >= 9")
	othersCapture(t, a, p)
	p.Choose("article.active button[aria-label^='Stop capture']")
	p.WaitText("td", "A user stopped it")
	p.Wait("the file", "document.querySelector('td a[download]')")
	file := browser.Eval[string](p, "document.querySelector('td a[download]').download")

	p.Choose("th a[href*='" + file + "']")
	p.WaitText(".counts", " packets")
	packetsByKeyboard(t, p)
	p.Choose(".crumbs a")
	p.WaitText("main th", file)
	downloads(t, a, p, file)
	deleteByKeyboard(t, a, p, file)

	before := a.Logouts("op")
	p.Choose(".user-menu button")
	p.TabTo(".user-menu li:last-child button")
	p.Press(kb.Enter)
	p.Wait("the form to sign in", "document.querySelector('input[name=password]')")
	a.WaitLogouts("op", before+1)
}

// startByKeyboard starts a capture: its filter is completed, explained, and marked where it is wrong.
func startByKeyboard(t *testing.T, p *browser.Page) {
	t.Helper()
	p.Choose("main a[href='#/capture-start']")
	p.WaitText("main h1", "Start Capture")
	p.Settled()
	p.TabTo("input[name=kind]")
	p.Press(kb.ArrowDown, kb.ArrowDown)
	const filter = ".filterbox input"
	p.Type(filter, "tcp an")
	p.WaitText(".filterbox [role=option]", "and")
	p.WaitText(".filterbox mark", "an")
	holdAnswers(p, "/v1/assist")
	p.Press("d", kb.ArrowDown, kb.Enter, "host 127.0.0.77") // what is offered was asked for before the "d"
	releaseAnswers(p)
	p.WaitText(".filterbox .meaning", "127.0.0.77")
	if got := browser.Eval[string](p, "document.querySelector('"+filter+"').value"); got != "tcp and host 127.0.0.77" {
		t.Fatalf("the filter is %q", got)
	}
	p.Press(kb.Enter) // of a field sends its form
}

// talk has so many conversations of one line each with the server of TestDialogue.
func talk(t *testing.T, network *netnstest.Namespace, count int) {
	t.Helper()
	network.Do(t, func() {
		for range count {
			c, err := net.Dial("tcp", "127.0.0.77:2525")
			if err != nil {
				t.Error(err)
				return
			}
			fmt.Fprint(c, "EHLO mx1.example.org\r\n")
			c.(*net.TCPConn).CloseWrite()
			if said, err := io.ReadAll(c); err != nil || !strings.Contains(string(said), "EHLO") {
				t.Errorf("the server says %q, %v", said, err)
			}
			c.Close()
		}
	})
}

// othersCapture starts, stops and deletes a capture by SSH, and sees each on the page.
func othersCapture(t *testing.T, a *appliance.Appliance, p *browser.Page) {
	t.Helper()
	a.SSH("admin", "packetcapture start elsewhere interfaces lo filter 'icmp and host 127.0.0.77'")
	p.WaitText("article.active h3", "elsewhere")
	ping(t, a, 10)
	p.Wait("the counter", "[...document.querySelectorAll('article.active')].find((e) => e.innerText.includes('elsewhere')).querySelector('dd.packets').innerText === '20'")
	a.SSH("admin", "packetcapture stop elsewhere")
	p.WaitText("main th", "mx1-elsewhere-")
	p.WaitText("td", "A user stopped it")
	a.SSH("admin", "packetcapture delete elsewhere confirm yes")
	p.Wait("the file is gone", "!document.querySelector('main').innerText.includes('elsewhere')")
}

// packetsByKeyboard filters the packets, looks at the bytes of one, and follows its stream.
func packetsByKeyboard(t *testing.T, p *browser.Page) {
	t.Helper()
	p.Type(".packet-bar .filterbox input", "tcp[13] & 8 != 0 and dst port 2525") // what clients say
	p.Press(kb.Escape, kb.Enter)
	p.WaitText(".counts", "3 of ")
	p.TabTo("[role=grid]")
	p.Press(kb.ArrowDown)
	p.WaitText(".packet-detail h2", "Packet ")
	p.WaitText(".hex", "EHLO mx1")
	p.Choose(".packet-detail a[href*='/follow/']")
	p.WaitText(".chunk.side-client", "EHLO mx1.example.org")
	p.WaitText(".chunk.side-server", "220 mx2 here")
}

// downloads compares what the browser saves with what other ways give: sftp, and the API.
func downloads(t *testing.T, a *appliance.Appliance, p *browser.Page, file string) {
	t.Helper()
	name, content := p.Downloaded(func() { p.Choose("td a[download]") })
	client, err := sftp.NewClient(a.Login("op"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	f, err := client.Open("/diagnostic/" + file)
	if err != nil {
		t.Fatal(err)
	}
	same, err := io.ReadAll(f)
	if err != nil || name != file || !bytes.Equal(content, same) || len(content) < 1000 {
		t.Errorf("the browser has %d bytes of %s, sftp %d: %v", len(content), name, len(same), err)
	}
	p.TabTo("td input[type=checkbox]")
	p.Press(" ")
	w := a.Web("op")
	for item, format := range []string{"", "?format=pcap", "?format=pcapng"} {
		_, content := p.Downloaded(func() { downloadAs(p, item) })
		r := w.Get("/v1/files/" + file + format)
		if r.Status != 200 || !bytes.Equal(content, r.Body) {
			t.Errorf("of %s%s the browser has %d bytes, the API answers %d with %d", file, format, len(content), r.Status, len(r.Body))
		}
	}
	name, content = p.Downloaded(func() { downloadAs(p, 3) })
	zipped, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil || !strings.HasSuffix(name, ".zip") {
		t.Fatalf("%s: %v", name, err)
	}
	inside, err := zipped.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	if unpacked, err := io.ReadAll(inside); err != nil || !bytes.Equal(unpacked, same) {
		t.Errorf("the zip has %d bytes of %s: %v", len(unpacked), file, err)
	}
}

// downloadAs chooses an item of the menu of downloads.
func downloadAs(p *browser.Page, item int) {
	p.Choose("[aria-label='Chosen files'] .menu > button")
	p.Choose(fmt.Sprintf("[aria-label='Chosen files'] li:nth-child(%d) button", item+1))
}

// deleteByKeyboard deletes the file that is chosen, after a question that names it.
func deleteByKeyboard(t *testing.T, a *appliance.Appliance, p *browser.Page, file string) {
	t.Helper()
	p.Choose("button.danger")
	p.WaitText("dialog li", file)
	p.Press(kb.Escape)
	p.Wait("the dialog is closed", "!document.querySelector('dialog')")
	if r := a.Web("op").Get("/v1/files"); !strings.Contains(string(r.Body), file) {
		t.Errorf("the file went although nobody agreed: %s", r.Body)
	}
	p.Choose("button.danger")
	p.WaitText("dialog li", file)
	p.Choose("dialog button.danger")
	p.WaitText("td", "There are no files")
}
