package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

const (
	paintMost  = 300 * time.Millisecond
	assetsMost = 200_000 // bytes

	// assetsFolder has the files of the page, in the tree that the bench runs in.
	assetsFolder = "assets/page"
)

// seen notes when the captures of the start page are drawn.
const seen = `(() => {
	const look = () => requestAnimationFrame(document.querySelector('main tbody tr:not(.empty)') ? () => { window.seenAt = performance.now(); } : look);
	look();
})();`

// A loading is how long a page took since its load began.
type loading struct {
	Paint float64 `json:"paint"` // until something was painted, milliseconds
	Rows  float64 `json:"rows"`  // until its captures were drawn
	Bytes int     `json:"bytes"` // that its files had on the line
}

// paint measures in Chromium how soon the start page of a person who is signed in is there: with
// nothing in the browser's memory, and again.
func (w *webBench) paint(ctx context.Context) ([]figure, error) {
	program, err := exec.LookPath("chromium")
	if err != nil {
		return nil, err
	}
	allocator, free := chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program),
		chromedp.NoSandbox,        // which root cannot have
		chromedp.IgnoreCertErrors, // the appliance made its certificate itself
	)...)
	defer free()
	tab, end := chromedp.NewContext(allocator)
	defer end()
	signIn, err := json.Marshal(map[string]string{"user": user, "password": webPassword})
	if err != nil {
		return nil, err
	}
	if err := chromedp.Do(tab, chromedp.Func(addScript), chromedp.Navigate(w.server.page+"/")); err != nil {
		return nil, err
	}
	status, err := chromedp.Run(tab, chromedp.Evaluate[int](fmt.Sprintf(
		"fetch('/v1/login', {method: 'POST', headers: {'Content-Type': 'application/json'}, body: %q}).then((r) => r.status)",
		signIn), chromedp.EvalAwaitPromise))
	if err != nil || status != http.StatusOK {
		return nil, errors.Join(fmt.Errorf("sign in by the browser: status %d", status), err)
	}
	var figures []figure
	for _, kept := range []bool{false, true} {
		what := "HTTPS: start page, signed in, in Chromium, "
		if kept {
			what += "opened again"
		} else {
			what += "for the first time"
		}
		taken, err := w.loads(tab, kept, what)
		if err != nil {
			return nil, err
		}
		figures = append(figures, taken...)
	}
	return figures, nil
}

// loads loads the start page several times.
func (w *webBench) loads(tab context.Context, kept bool, what string) ([]figure, error) {
	if err := chromedp.Do(tab, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, network.SetCacheDisabled, network.SetCacheDisabledParams{CacheDisabled: !kept})
		return err
	})); err != nil {
		return nil, err
	}
	var paints, rows []time.Duration
	bytes := 0
	for n := range w.often(9) + 1 {
		l, err := w.load(tab)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			continue // the browser's own start, and what it keeps
		}
		paints, rows = append(paints, since(l.Paint)), append(rows, since(l.Rows))
		bytes = l.Bytes
	}
	ours := spread(paints)
	if !kept {
		ours += fmt.Sprintf(", %d bytes of files", bytes)
	}
	return []figure{
		{what: what + ": first paint", ours: ours, peer: "-", goal: "at most 300 ms", met: median(paints) <= paintMost},
		{what: what + ": its captures are drawn", ours: spread(rows), peer: "-"},
	}, nil
}

// load loads the start page and returns when its captures are drawn.
func (w *webBench) load(tab context.Context) (l loading, err error) {
	ctx, cancel := context.WithTimeout(tab, patience)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank"), chromedp.Navigate(w.server.page+"/#/captures")); err != nil {
		return l, err
	}
	if _, err := chromedp.Run(ctx, chromedp.Poll[bool]("Boolean(window.seenAt)", chromedp.WithPollingTimeout(patience))); err != nil {
		return l, fmt.Errorf("the captures of the start page: %w", err)
	}
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`JSON.stringify({
		paint: performance.getEntriesByName('first-contentful-paint')[0].startTime, rows: window.seenAt,
		bytes: performance.getEntries().filter((e) => ['navigation', 'resource'].includes(e.entryType) && !e.name.includes('/v1/'))
			.reduce((sum, e) => sum + e.encodedBodySize, 0)})`))
	if err != nil {
		return l, err
	}
	return l, json.Unmarshal([]byte(text), &l)
}

func addScript(ctx context.Context, t *chromedp.Target) error {
	if _, err := cdp.Call(ctx, t, network.Enable, network.EnableParams{}); err != nil {
		return err
	}
	_, err := cdp.Call(ctx, t, cdppage.AddScriptToEvaluateOnNewDocument,
		cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: seen})
	return err
}

// since returns milliseconds as a duration.
func since(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }

// assets sums up what all files of the page have on the line.
func (w *webBench) assets(ctx context.Context) ([]figure, error) {
	v, err := w.signIn(ctx)
	if err != nil {
		return nil, err
	}
	defer v.close()
	files, plain, packed := 0, 0, 0
	err = fs.WalkDir(os.DirFS(assetsFolder), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		here, err := os.ReadFile(assetsFolder + "/" + name)
		if err != nil {
			return err
		}
		n, err := v.onTheLine(ctx, "/"+name)
		files, plain, packed = files+1, plain+len(here), packed+n
		return err
	})
	if err != nil {
		return nil, err
	}
	return []figure{{
		what: fmt.Sprintf("HTTPS: all %d files of the page, compressed", files),
		ours: fmt.Sprintf("%d bytes (plain %d)", packed, plain), peer: "-", goal: "at most 200 kB", met: packed <= assetsMost,
	}}, nil
}

// onTheLine returns the size of a file as a browser gets it.
func (v *visitor) onTheLine(ctx context.Context, path string) (int, error) {
	q, err := http.NewRequestWithContext(ctx, "GET", v.page+path, nil)
	if err != nil {
		return 0, err
	}
	q.Header.Set("Accept-Encoding", "gzip, deflate, br, zstd") // as Chromium; then the client leaves it packed
	r, err := v.client.Do(q)
	if err != nil {
		return 0, err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err == nil && r.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, r.Status)
	}
	return len(body), err
}
