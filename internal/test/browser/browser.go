// Package browser is the test bench of the page: Chromium without a window, which acts on the real
// program. What the page's policy refuses, and every error of the page, fails the test.
package browser

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/await"
	"diagsh/internal/test/netnstest"
)

// A Browser is one process of Chromium, whose pages know nothing of each other. Tests share it.
type Browser struct {
	t   testing.TB
	ctx context.Context
}

var (
	process = sync.OnceValues(func() (context.Context, error) {
		program, err := exec.LookPath("chromium")
		if err != nil {
			return nil, err
		}
		allocator, free := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
			chromedp.ExecPath(program),
			chromedp.NoSandbox,        // which root cannot have
			chromedp.IgnoreCertErrors, // the appliance made its certificate itself
			chromedp.Flag("font-render-hinting", "none"),
		)...)
		ctx, end := chromedp.NewContext(allocator)
		endProcess = func() { end(); free() }
		return ctx, chromedp.Do(ctx)
	})
	endProcess = func() {}
)

// Open returns the browser for a test, whose pages there end with it. It starts it for the first one.
func Open(t testing.TB) *Browser {
	t.Helper()
	netnstest.Tool(t, "chromium")
	ctx, err := process()
	if err != nil {
		t.Fatal("start the browser: ", err)
	}
	return &Browser{t: t, ctx: ctx}
}

// Close ends the browser after all tests.
func Close() { endProcess() }

// A Look is how a page is shown; its zero value is light and 1280 pixels wide.
type Look struct {
	Dark   bool
	Width  int64
	Height int64
}

// A Page is a window of a person who is not signed in yet.
type Page struct {
	t         testing.TB
	ctx       context.Context
	url       string
	downloads string

	mu       sync.Mutex
	wrong    []complaint
	provoked []provocation
}

// A complaint is what the browser has to say against a page.
type complaint struct {
	text string
	url  string // of what it is about, if it is an answer
}

// reportPolicy makes what the policy refuses an error of the console.
const reportPolicy = `document.addEventListener('securitypolicyviolation', (e) =>
	console.error('policy: ' + e.violatedDirective + ' ' + e.blockedURI + ' ' + e.sourceFile + ':' + e.lineNumber + ' ' + e.sample));`

// Page opens the page of an appliance. At the end of the test nothing may have gone wrong in it.
func (b *Browser) Page(a *appliance.Appliance, look Look) *Page {
	b.t.Helper()
	p := b.window(a, look)
	p.do(chromedp.Navigate(p.url + "/"))
	return p
}

// Another opens another tab of the same browser, in which the same person is signed in.
func (p *Page) Another() *Page {
	p.t.Helper()
	q := &Page{t: p.t, url: p.url, downloads: p.downloads}
	q.open(p.ctx)
	q.do(chromedp.Navigate(q.url + "/"))
	q.Settled()
	return q
}

// SignedIn is Page for a user of the bench who has signed in already.
func (b *Browser) SignedIn(a *appliance.Appliance, user string, look Look) *Page {
	b.t.Helper()
	p := b.window(a, look)
	login := a.HTTPS().Login(user, appliance.Password(user))
	cookie, err := http.ParseSetCookie(login.Header.Get("Set-Cookie"))
	if err != nil {
		b.t.Fatalf("sign in as %s: %d %s", user, login.Status, login.Body)
	}
	p.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, network.SetCookie, network.SetCookieParams{Name: cookie.Name, Value: cookie.Value, URL: p.url + "/",
			Path: cookie.Path, Secure: &cookie.Secure, HTTPOnly: &cookie.HttpOnly, SameSite: network.CookieSameSiteStrict})
		return err
	}), chromedp.Navigate(p.url+"/"))
	p.WaitText(".user-menu button", user)
	p.Settled()
	return p
}

// window opens an empty window that is meant for the page of an appliance.
func (b *Browser) window(a *appliance.Appliance, look Look) *Page {
	b.t.Helper()
	p := &Page{t: b.t, url: a.Outside(), downloads: b.t.TempDir()}
	p.Provokes(400, "/v1/run/filter/explain") // half of a filter, where the rest is typed slowly
	p.open(b.ctx, chromedp.WithNewBrowserContext())
	p.Look(look)
	return p
}

// open opens the page's window, and listens to what goes wrong in it.
func (p *Page) open(in context.Context, options ...chromedp.ContextOption) {
	p.t.Helper()
	ctx, end := chromedp.NewContext(in, append(options, chromedp.WithListener(p.heard))...)
	p.t.Cleanup(end)
	p.ctx = ctx
	p.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		if _, err := cdp.Call(ctx, t, log.Enable, cdp.Empty{}); err != nil {
			return err
		}
		if _, err := cdp.Call(ctx, t, performance.Enable, performance.EnableParams{TimeDomain: performance.EnableTimeDomainThreadTicks}); err != nil {
			return err
		}
		_, err := cdp.Call(ctx, t, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: reportPolicy})
		return err
	}))
	p.t.Cleanup(func() {
		if wrong := p.unprovoked(); len(wrong) > 0 {
			p.t.Errorf("the browser complained:\n%s", strings.Join(wrong, "\n"))
		}
	})
}

// Provokes says that a test has the appliance answer with a status that is no success to requests of a
// path, by its beginning. Every other one is a fault of the page.
func (p *Page) Provokes(status int, path string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.provoked = append(p.provoked, provocation{fmt.Sprintf("the server responded with a status of %d ", status), p.url + path})
}

// Breaks says that a test has the appliance break an answer to a request of a path off.
func (p *Page) Breaks(path string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.provoked = append(p.provoked, provocation{"Failed to load resource: net::ERR_HTTP2_PROTOCOL_ERROR", p.url + path})
}

// Ends says that a test ends the appliance: what the page asks for breaks off, or finds nobody.
func (p *Page) Ends() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.provoked = append(p.provoked, provocation{"Failed to load resource: net::ERR_", p.url})
}

// Away has nothing that the page asks for arrive, or all of it again.
func (p *Page) Away(away bool) {
	p.mu.Lock()
	p.provoked = append(p.provoked, provocation{"Failed to load resource: net::ERR_INTERNET_DISCONNECTED", p.url})
	p.mu.Unlock()
	p.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{
			MatchedNetworkConditions: []*network.Conditions{{Offline: away, DownloadThroughput: -1, UploadThroughput: -1}},
		})
		return err
	}))
}

// A provocation is an entry of the console that a test wants.
type provocation struct{ text, url string }

// unprovoked returns what the browser complained of and no test wanted.
func (p *Page) unprovoked() (wrong []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.wrong {
		if !slices.ContainsFunc(p.provoked, func(w provocation) bool {
			return strings.Contains(c.text, w.text) && strings.HasPrefix(c.url, w.url)
		}) {
			wrong = append(wrong, c.text+" "+c.url)
		}
	}
	return wrong
}

// heard notes what the browser complains of.
func (p *Page) heard(event any) {
	text, url := "", ""
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		if e.Type != runtime.ConsoleAPICalledTypeError && e.Type != runtime.ConsoleAPICalledTypeWarning {
			return
		}
		for _, arg := range e.Args {
			text += fmt.Sprint(string(arg.Value), " ", arg.Description, " ")
		}
	case *runtime.EventExceptionThrown:
		text = e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			text += " " + e.ExceptionDetails.Exception.Description
		}
	case *log.EventEntryAdded:
		if e.Entry.Level != log.EntryLevelError && e.Entry.Level != log.EntryLevelWarning {
			return
		}
		text, url = fmt.Sprint(e.Entry.Source, ": ", e.Entry.Text), e.Entry.URL
	default:
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wrong = append(p.wrong, complaint{text, url})
}

func (p *Page) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, await.Patience)
	defer cancel()
	if p.ctx.Err() == nil && chromedp.FromContext(p.ctx).Target == nil {
		ctx = p.ctx // the first act opens the tab, which ends with its context
	}
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.t.Fatal(err)
	}
}

// Look changes how the page is shown.
func (p *Page) Look(look Look) {
	p.t.Helper()
	scheme := "light"
	if look.Dark {
		scheme = "dark"
	}
	width, height := look.Width, look.Height
	if width == 0 {
		width = 1280
	}
	if height == 0 {
		height = 860
	}
	p.do(chromedp.EmulateViewport(width, height), chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}})
		return err
	}))
}

// Eval returns the value of an expression of JavaScript, a promise's after it is kept.
func Eval[T any](p *Page, expression string) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, await.Patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// Wait returns when an expression of JavaScript holds, also where the page is loaded anew meanwhile.
func (p *Page) Wait(what, expression string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, await.Patience)
	defer cancel()
	// Asked at each frame: the page changes by events of its own.
	script := fmt.Sprintf("new Promise((done) => { const look = () => { (%s) ? done(true) : requestAnimationFrame(look); }; look(); })", expression)
	for {
		_, err := chromedp.Run(ctx, chromedp.Evaluate[bool](script, chromedp.EvalAwaitPromise))
		if err == nil {
			return
		}
		if ctx.Err() != nil || !strings.Contains(err.Error(), "navigated") {
			p.t.Fatalf("waiting for %s: %v\n%s", what, err, p.Text())
		}
	}
}

// Text returns what is to be read on the page.
func (p *Page) Text() string {
	p.t.Helper()
	text, err := chromedp.Run(p.ctx, chromedp.Evaluate[string]("document.body.innerText"))
	if err != nil {
		return err.Error()
	}
	return text
}

// WaitText returns when a text is to be read in an element.
func (p *Page) WaitText(selector, text string) {
	p.t.Helper()
	p.Wait(fmt.Sprintf("%q in %s", text, selector), fmt.Sprintf("[...document.querySelectorAll(%s)].some((e) => e.innerText.includes(%s))", quote(selector), quote(text)))
}

func quote(text string) string {
	quoted, _ := json.Marshal(text)
	return string(quoted)
}

// Clock sets the clock of the page's browser forward, and loads the page anew.
func (p *Page) Clock(forward time.Duration) {
	p.t.Helper()
	source := fmt.Sprintf(`{ const there = Date; Date = class extends there { constructor(...a) { a.length ? super(...a) : super(there.now() + %[1]d); } static now() { return there.now() + %[1]d; } }; }`, forward.Milliseconds())
	p.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: source})
		return err
	}), chromedp.Reload())
	p.Settled()
}

// Go shows the part of the page at a fragment, such as #/captures, and returns when it is there.
func (p *Page) Go(fragment string) {
	p.t.Helper()
	Eval[string](p, "location.hash = "+quote(fragment))
	p.Settled()
}

// Settled returns when the page has its heading and loads nothing more that it says.
func (p *Page) Settled() {
	p.t.Helper()
	p.Wait("the page", "document.querySelector('main h1') && !document.querySelector('main .loading')")
}

// Downloaded returns the file that the browser saves after do.
func (p *Page) Downloaded(do func()) (name string, content []byte) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, await.Patience)
	defer cancel()
	c := chromedp.FromContext(p.ctx)
	if _, err := cdp.Call(ctx, c.Browser, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior: browser.SetDownloadBehaviorBehaviorAllowAndName, BrowserContextID: c.BrowserContextID, DownloadPath: p.downloads, EventsEnabled: new(true),
	}); err != nil {
		p.t.Fatal(err)
	}
	begins := chromedp.BrowserEvents(ctx, browser.DownloadWillBegin)
	progress := chromedp.BrowserEvents(ctx, browser.DownloadProgress)
	do()
	id := ""
	for e, err := range begins {
		if err != nil {
			p.t.Fatal("waiting for a download: ", err)
		}
		if string(e.FrameID) != string(c.Target.TargetID) {
			continue // of another page: the events are those of the whole browser
		}
		id, name = e.GUID, e.SuggestedFilename
		break
	}
	for e, err := range progress {
		if err == nil && e.GUID == id && e.State == browser.DownloadProgressStateCanceled {
			err = errors.New("the browser gave it up")
		}
		if err != nil {
			p.t.Fatalf("waiting for the download of %s: %v", name, err)
		}
		if e.GUID == id && e.State == browser.DownloadProgressStateCompleted {
			break
		}
	}
	content, err := os.ReadFile(filepath.Join(p.downloads, id))
	if err != nil {
		p.t.Fatal(err)
	}
	return name, content
}

// Certificate returns what the browser was shown as the certificate of the page, in DER.
func (p *Page) Certificate() []byte {
	p.t.Helper()
	r, err := chromedp.Run(p.ctx, func(ctx context.Context, t *chromedp.Target) (network.GetCertificateResult, error) {
		return cdp.Call(ctx, t, network.GetCertificate, network.GetCertificateParams{Origin: p.url})
	})
	if err != nil || len(r.TableNames) == 0 {
		p.t.Fatalf("the browser has %d certificates: %v", len(r.TableNames), err)
	}
	der, err := base64.StdEncoding.DecodeString(r.TableNames[0])
	if err != nil {
		p.t.Fatal(err)
	}
	return der
}

// Picture returns the page as it is seen, as PNG.
func (p *Page) Picture() []byte {
	p.t.Helper()
	picture, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.t.Fatal(err)
	}
	return picture
}

// Load loads the page anew at a fragment, and returns when an element is drawn that a selector means.
// window.seenAt is when that was, in milliseconds since the load began.
func (p *Page) Load(fragment, selector string) {
	p.t.Helper()
	script := "(() => { const look = () => { if (document.querySelector(" + quote(selector) +
		")) requestAnimationFrame(() => { window.seenAt = performance.now(); }); else requestAnimationFrame(look); }; look(); })();"
	ctx, cancel := context.WithTimeout(p.ctx, await.Patience)
	defer cancel()
	added, err := chromedp.Run(ctx, func(ctx context.Context, t *chromedp.Target) (cdppage.AddScriptToEvaluateOnNewDocumentResult, error) {
		return cdp.Call(ctx, t, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: script})
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.do(chromedp.Navigate("about:blank"), chromedp.Navigate(p.url+"/"+fragment))
	p.Wait(selector, "window.seenAt")
	p.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, cdppage.RemoveScriptToEvaluateOnNewDocument,
			cdppage.RemoveScriptToEvaluateOnNewDocumentParams(added))
		return err
	}))
}

// Busy returns the processor time of the page's main thread since the last load began, which other
// processes do not lengthen.
func (p *Page) Busy() time.Duration {
	p.t.Helper()
	m, err := chromedp.Run(p.ctx, func(ctx context.Context, t *chromedp.Target) (performance.GetMetricsResult, error) {
		return cdp.Call(ctx, t, performance.GetMetrics, cdp.Empty{})
	})
	if err != nil {
		p.t.Fatal(err)
	}
	for _, metric := range m.Metrics {
		if metric.Name == "TaskDuration" {
			return time.Duration(metric.Value * float64(time.Second))
		}
	}
	p.t.Fatal("the browser does not say how busy it was")
	return 0
}

// Since returns an expression of JavaScript, which is in milliseconds, as a duration.
func (p *Page) Since(expression string) time.Duration {
	p.t.Helper()
	return time.Duration(Eval[float64](p, expression) * float64(time.Millisecond))
}
