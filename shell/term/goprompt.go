package term

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"time"
	"unicode/utf8"

	prompt "github.com/c-bata/go-prompt"
)

const (
	// quiet is how long go-prompt continues to poll after the last key. It can be short: returning
	// to it costs one poll.
	quiet = time.Second

	// keyNothing is a key that go-prompt knows and that does nothing, so that go-prompt calls the
	// exit checker.
	keyNothing = "\x1b[E"

	// keyHelp replaces a question mark that asks for help.
	keyHelp = "\x00?"

	// lineLimit is the longest line in bytes. go-prompt copies the line several times for every
	// key.
	lineLimit = 16 << 10
)

var errLineEnded = errors.New("the line has ended")

// parser is go-prompt's keyboard. It returns the keys of the queue one at a time, each when the
// previous one was handled. So go-prompt, which loses keys when it returns, never holds one that
// was not handled, and the content of the line is known when a key is judged.
//
// go-prompt calls Read in its own goroutine, the other methods in that of ReadLine.
type parser struct {
	editor  *editor
	painted chan struct{} // the last key was handled
	dead    chan struct{} // go-prompt panicked, and its goroutine must end

	ended  bool   // no more keys until the next Setup
	result error  // why; nil after Enter
	text   string // the line at the time of the last key; go-prompt forgets it in most cases
	cursor int
}

func newParser(e *editor) *parser {
	return &parser{editor: e, painted: make(chan struct{}, 1), dead: make(chan struct{})}
}

// Setup begins an Input.
func (p *parser) Setup() error {
	select {
	case <-p.painted:
	default:
	}
	p.ended, p.result = false, nil
	return nil
}

// TearDown ends an Input. The terminal keeps its mode for the whole session.
func (p *parser) TearDown() error { return nil }

// GetWinSize says that there is room for everything: fitting the line to the window is not left to
// go-prompt.
func (p *parser) GetWinSize() *prompt.WinSize {
	return &prompt.WinSize{Row: math.MaxUint16, Col: math.MaxUint16}
}

// Read returns the next key.
func (p *parser) Read() ([]byte, error) {
	if p.ended {
		select {
		case <-p.dead:
			runtime.Goexit()
		default:
		}
		return nil, errLineEnded
	}
	select {
	case <-p.painted:
	case <-p.dead:
		runtime.Goexit()
	}
	p.text, p.cursor = p.editor.text, p.editor.cursor
	return []byte(p.next()), nil
}

// errPaused is the result of an Input that left its line unfinished because no keys came.
var errPaused = errors.New("paused")

func (p *parser) next() string {
	e := p.editor
	for {
		switch err := e.wait(time.Now().Add(quiet)); {
		case err == errTimeout:
			return p.end(errPaused, keyNothing)
		case err != nil:
			return p.end(err, keyInterrupt)
		}
		k, ok := e.keys.take()
		if !ok {
			continue // Ctrl-C dropped it
		}
		e.touched()
		if !k.isText() && k.seq != keyEnter {
			e.tooLong = false
		}
		switch {
		case k.seq == keyEnter && e.tooLong:
			return p.end(&lostLine{fmt.Sprintf("The line is lost: it is longer than %d bytes.", lineLimit)},
				keyInterrupt)
		case k.seq == keyEnter:
			return p.end(nil, keyEnter)
		case k.seq == keyInterrupt:
			return p.end(ErrInterrupted, keyInterrupt)
		case k.seq == e.line.Escape:
			return p.end(ErrEscape, keyInterrupt)
		case k.seq == keyEOF && e.text == "":
			return p.end(ErrEnd, keyInterrupt)
		case k.isText():
			if text := p.run(k); text != "" {
				p.ahead(text)
				return text
			}
			continue
		case e.binds[k.seq] != nil || prompt.GetKey([]byte(k.seq)) != prompt.NotDefined:
			return k.seq
		}
	}
}

// end returns the last key of this Input. The interrupt key empties go-prompt's line.
func (p *parser) end(result error, last string) string {
	p.ended, p.result = true, result
	return last
}

// leave is go-prompt's exit checker, called after most keys.
func (p *parser) leave(string, bool) bool { return p.ended }

// run interprets a run of text. A question mark asks for help if nothing was typed after it yet; in
// a paste or a script it is text.
func (p *parser) run(k key) string {
	if len(p.editor.text)+len(k.seq) > lineLimit {
		p.editor.tooLong = true
		p.editor.screen.bell()
		return ""
	}
	_, more := p.editor.keys.peek()
	switch {
	case k.pasted || more || !strings.HasSuffix(k.seq, "?"):
		return k.seq
	case k.seq == "?":
		return keyHelp
	default:
		p.editor.keys.unread(key{seq: "?"})
		return strings.TrimSuffix(k.seq, "?")
	}
}

// ahead paints what was typed at the end of the line before go-prompt has seen it. go-prompt looks
// for keys every ten milliseconds and then paints the same line. It does not do this for a paste,
// where no user waits for an echo.
func (p *parser) ahead(text string) {
	e := p.editor
	if text != keyHelp && len(text) <= utf8.UTFMax && e.cursor == len(e.text) {
		e.screen.show(line{prompt: e.line.Prompt, text: e.text + text, cursor: e.cursor + len(text)})
	}
}

// console is go-prompt's screen. It uses two things of what go-prompt draws: that a key was
// handled, which ShowCursor ends, and that the screen must be cleared.
type console struct{ editor *editor }

func (c console) ShowCursor() { c.editor.rendered() }

func (c console) EraseScreen() { c.editor.screen.wipe() }

func (console) WriteRaw([]byte)                           {}
func (console) Write([]byte)                              {}
func (console) WriteRawStr(string)                        {}
func (console) WriteStr(string)                           {}
func (console) Flush() error                              { return nil }
func (console) EraseUp()                                  {}
func (console) EraseDown()                                {}
func (console) EraseStartOfLine()                         {}
func (console) EraseEndOfLine()                           {}
func (console) EraseLine()                                {}
func (console) HideCursor()                               {}
func (console) CursorGoTo(int, int)                       {}
func (console) CursorUp(int)                              {}
func (console) CursorDown(int)                            {}
func (console) CursorForward(int)                         {}
func (console) CursorBackward(int)                        {}
func (console) AskForCPR()                                {}
func (console) SaveCursor()                               {}
func (console) UnSaveCursor()                             {}
func (console) ScrollDown()                               {}
func (console) ScrollUp()                                 {}
func (console) SetTitle(string)                           {}
func (console) ClearTitle()                               {}
func (console) SetColor(prompt.Color, prompt.Color, bool) {}
