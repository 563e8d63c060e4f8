package browser_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"
	"github.com/pkg/sftp"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/browser"
)

// Wrong passwords are refused in words; after the right one the person is there by name and role.
func TestSignIn(t *testing.T) {
	t.Parallel()
	a, b := bench(t)
	p := b.Page(a, browser.Look{})
	p.SignIn("op", "wrong")
	p.Wait("the refusal", "document.querySelector('.problem[role=alert]')?.innerText.length > 10")
	if value := browser.Eval[string](p, "document.querySelector('input[name=password]').value"); value != "" {
		t.Errorf("the wrong password stays in its field: %q", value)
	}
	p.Type("input[name=password]", appliance.Password("op"))
	p.Press(kb.Enter)
	p.WaitText(".user-menu button", "operator")
	p.Choose(".user-menu button")
	p.TabTo(".user-menu li:last-child button")
	p.Press(kb.Enter)
	p.Wait("the form to sign in", "document.querySelector('input[name=password]')")
	if r := a.Web("admin").Run("who", nil); strings.Contains(string(r.Body), `"user":"op"`) {
		t.Errorf("who after the sign-out: %s", r.Body)
	}
}

// A whole capture by keyboard: its filter is completed, explained, and marked where it is wrong; its
// counters move; it is stopped, downloaded as it is, and deleted.
func TestCaptureByKeyboard(t *testing.T) {
	t.Parallel()
	a, b := bench(t)
	p := b.SignedIn(a, "op", browser.Look{})
	p.Choose("main a[href='#/capture-start']")
	p.WaitText("main h1", "Start Capture")
	p.Settled()
	p.TabTo("input[name=kind]")
	p.Press(kb.ArrowDown, kb.ArrowDown)
	filter := ".filterbox input"
	p.Type(filter, "icmp an")
	p.WaitText(".filterbox [role=option]", "and")
	p.WaitText(".filterbox mark", "an")
	p.Press(kb.ArrowDown, kb.Enter, "host 127.0.0.77")
	p.WaitText(".filterbox .meaning", "127.0.0.77")
	if got := browser.Eval[string](p, "document.querySelector('"+filter+"').value"); got != "icmp and host 127.0.0.77" {
		t.Fatalf("the filter is %q", got)
	}
	p.Press(kb.Enter) // of a field sends its form
	p.WaitText("article.active h3", "Running")
	ping(t, a, 20)
	p.Wait("the counter", "document.querySelector('article.active dd.packets').innerText === '40'")
	p.Choose("article.active button[aria-label^='Stop capture']")
	p.WaitText("td", "A user stopped it")

	p.Wait("the file", "document.querySelector('a[download]')")
	name, content := p.Downloaded(func() { p.Choose("a[download]") })
	client, err := sftp.NewClient(a.Login("op"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	f, err := client.Open("/diagnostic/" + name)
	if err != nil {
		t.Fatal(err)
	}
	same, err := io.ReadAll(f)
	if err != nil || !bytes.Equal(content, same) || len(content) < 1000 {
		t.Errorf("the browser has %d bytes of %s, sftp %d: %v", len(content), name, len(same), err)
	}

	p.TabTo("td input[type=checkbox]")
	p.Press(" ")
	p.Choose("button.danger")
	p.WaitText("dialog li", name)
	p.Press(kb.Escape)
	p.Wait("the dialog is closed", "!document.querySelector('dialog')")
	if r := a.Web("op").Get("/v1/files"); !strings.Contains(string(r.Body), name) {
		t.Errorf("the file went although nobody agreed: %s", r.Body)
	}
	p.Choose("button.danger")
	p.WaitText("dialog li", name)
	p.Choose("dialog button.danger")
	p.WaitText("td", "There are no files")
}

// What others do is seen without reloading: a capture that is started and ended by SSH.
func TestOthersCaptures(t *testing.T) {
	t.Parallel()
	a, b := bench(t)
	p := b.SignedIn(a, "op", browser.Look{})
	a.SSH("admin", "packetcapture start elsewhere interfaces lo filter 'icmp and host 127.0.0.77'")
	p.WaitText("article.active h3", "elsewhere")
	ping(t, a, 10)
	p.Wait("the counter", "document.querySelector('article.active dd.packets').innerText === '20'")
	a.SSH("admin", "packetcapture stop elsewhere")
	p.WaitText("td", "A user stopped it")
	p.WaitText("main th", "mx1-elsewhere-")
	a.SSH("admin", "packetcapture delete elsewhere confirm yes")
	p.WaitText("td", "There are no files")
}

// Who may only read has no button that does anything, and is refused where the buttons would lead.
func TestReadOnlyHasNoButtons(t *testing.T) {
	t.Parallel()
	a, b := bench(t)
	a.SSH("admin", "packetcapture start theirs interfaces lo")
	p := b.SignedIn(a, "ro", browser.Look{})
	p.WaitText("article.active h3", "theirs")
	p.Wait("the tree of commands", "document.querySelector('.main-nav li')")
	if buttons := browser.Eval[string](p, "[...document.querySelectorAll('main button, main a.button, main input')].map((e) => e.innerText).join()"); buttons != "" {
		t.Errorf("the page offers %s", buttons)
	}
	p.Go("#/capture-start")
	p.WaitText("main", "Your role may not do this")
	if r := a.Web("ro").Run("packetcapture start", map[string]any{"name": "x"}); r.Status != 403 {
		t.Errorf("the appliance answers %d %s", r.Status, r.Body)
	}
}

// A filter that is kept stays with its user, and is offered to no other.
func TestSavedFilters(t *testing.T) {
	t.Parallel()
	a, b := bench(t)
	p := b.SignedIn(a, "op", browser.Look{})
	p.Go("#/capture-start?filter=tcp%20port%2025")
	p.Choose(".presets > button")
	p.Wait("what to do with the filter", "[...document.querySelectorAll('.presets li button')].some((e) => e.innerText.startsWith('Save'))")
	p.Press(kb.Tab, kb.Enter)
	p.WaitText("dialog h2", "Save this filter")
	p.Type("dialog input", "Mail of mx1")
	p.Press(kb.Enter)
	p.WaitText(".notice", "Mail of mx1")
	if r := a.SSH("op", "filter list"); !strings.Contains(r.Out, "Mail of mx1  tcp port 25") {
		t.Errorf("by SSH there is %q", r.Out)
	}
	if r := a.SSH("admin", "filter list"); strings.Contains(r.Out, "mx1") {
		t.Errorf("another user has %q", r.Out)
	}
}
