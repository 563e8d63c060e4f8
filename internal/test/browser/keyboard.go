package browser

import (
	"context"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// Press presses keys, one after the other: those of the package kb, or characters.
func (p *Page) Press(keys ...string) {
	p.t.Helper()
	for _, key := range keys {
		if key == kb.Enter {
			p.do(chromedp.Func(enter))
			continue
		}
		p.do(chromedp.KeyEvent(key))
	}
}

// Chord presses a key together with others, such as chromedp.ModifierCtrl.
func (p *Page) Chord(key string, modifiers ...chromedp.Modifier) {
	p.t.Helper()
	p.do(chromedp.KeyEvent(key, chromedp.KeyModifiers(modifiers...)))
}

// enter presses the key as a keyboard does: what hears it go down can keep it from sending a form.
// chromedp sends its character as an event of its own, which nothing can keep back.
func enter(ctx context.Context, t *chromedp.Target) error {
	key := input.DispatchKeyEventParams{Key: "Enter", Code: "Enter", WindowsVirtualKeyCode: 13, NativeVirtualKeyCode: 13}
	down, up := key, key
	down.Type, down.Text, up.Type = input.DispatchKeyEventTypeKeyDown, "\r", input.DispatchKeyEventTypeKeyUp
	if _, err := cdp.Call(ctx, t, input.DispatchKeyEvent, down); err != nil {
		return err
	}
	_, err := cdp.Call(ctx, t, input.DispatchKeyEvent, up)
	return err
}

// mostTabs is how often Tab is pressed at most on the way to an element.
const mostTabs = 150

// TabTo presses Tab until the focus is on an element that a selector means.
func (p *Page) TabTo(selector string) {
	p.t.Helper()
	p.Wait(selector, "document.querySelector("+quote(selector)+")")
	for range mostTabs {
		if Eval[bool](p, "Boolean(document.activeElement && document.activeElement.matches("+quote(selector)+"))") {
			return
		}
		p.Press(kb.Tab)
	}
	p.t.Fatalf("Tab does not lead to %s; the focus is on %s", selector, Eval[string](p, "document.activeElement.outerHTML.slice(0, 200)"))
}

// Type goes to a field by Tab and types into it, instead of what is there.
func (p *Page) Type(selector, text string) {
	p.t.Helper()
	p.TabTo(selector)
	p.do(chromedp.KeyEvent("a", chromedp.KeyModifiers(chromedp.ModifierCtrl)))
	p.Press(kb.Delete, text)
}

// Paste goes to a field by Tab and puts a text there at once, of any number of lines, instead of what
// is there.
func (p *Page) Paste(selector, text string) {
	p.t.Helper()
	p.TabTo(selector)
	p.Chord("a", chromedp.ModifierCtrl)
	p.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, input.InsertText, input.InsertTextParams{Text: text})
		return err
	}))
}

// Choose goes to a button or link by Tab and presses Enter.
func (p *Page) Choose(selector string) {
	p.t.Helper()
	p.TabTo(selector)
	p.Press(kb.Enter)
}

// SignIn signs in by keyboard.
func (p *Page) SignIn(user, password string) {
	p.t.Helper()
	p.Wait("the form to sign in", "document.querySelector('input[name=password]')")
	p.Type("input[name=user]", user)
	p.Type("input[name=password]", password)
	p.Press(kb.Enter)
}
