package term

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ErrPagerQuit is what a Pager's Write returns after the user quit.
var ErrPagerQuit = errors.New("the reader quit")

// heldLimit is how many bytes a search skips before the oldest are forgotten.
const heldLimit = 1 << 20

const stopLine = "-- more -- (space: page, Enter: line, /: search, G: all, q: quit)"

// Pager shows the output of one command a page at a time. It is for one goroutine.
//
// At a stop, space shows the next page, Enter the next line, G or End the rest, / searches for a
// line with some text (ignoring case, unless typed with capitals), n for the next such line, and q
// ends. Text that waits in one piece, pasted or sent by a script, is for the next prompt: no user
// is at the pager then, and the output continues without a stop.
type Pager struct {
	t     *Terminal
	ctx   context.Context // of the command
	free  bool            // no more stops
	ended error           // what every further Write returns

	scrub scrubber
	rows  rowCounter

	sought    string
	searching bool
	held      []byte // skipped by the search
	skipped   int    // lines of it that were forgotten
}

// Page returns a pager for the output of the command that runs now. Close it when the output is
// complete.
func (t *Terminal) Page() *Pager {
	width, height := t.pageSize()
	return &Pager{
		t:    t,
		ctx:  t.runningContext(),
		free: t.pagerOff.Load(),
		rows: newRowCounter(width, height),
	}
}

// SetLength sets after how many rows every later Page stops: 0 is never, less than 0 is when the
// window is full, the default.
func (t *Terminal) SetLength(rows int) {
	t.pagerOff.Store(rows == 0)
	t.length.Store(int32(max(0, rows)))
}

// pageSize is Size, with the length that was set.
func (t *Terminal) pageSize() (width, height int) {
	width, height = t.Size()
	if rows := t.length.Load(); rows > 0 {
		height = int(rows)
	}
	return width, height
}

// Write shows output and returns when all of it was seen. Its errors are ErrPagerQuit, always from
// then on; ErrInterrupted, once: later output is the command's last and is shown without stops; and
// ErrIdle or io.EOF.
func (p *Pager) Write(b []byte) (int, error) {
	if p.ended != nil {
		return 0, p.ended
	}
	if err := p.show(p.scrub.clean(nil, b)); err != nil {
		return 0, err
	}
	return len(b), nil
}

// WriteString is Write for a string.
func (p *Pager) WriteString(s string) (int, error) { return p.Write([]byte(s)) }

// Close shows the rest. That the user quits here is not an error, since the output is complete.
func (p *Pager) Close() error {
	if p.ended != nil {
		return nil
	}
	err := p.show(p.scrub.flush(nil))
	if err == nil && p.searching {
		err = p.notFound()
	}
	if err == ErrPagerQuit {
		return nil
	}
	return err
}

// show passes safe text on, and stops when the window is full.
func (p *Pager) show(text []byte) error {
	for len(text) > 0 {
		if p.searching {
			if text = p.seek(text); p.searching {
				return nil
			}
		}
		n := len(text)
		if !p.free {
			p.rows.resize(p.t.pageSize())
			n = p.rows.fill(text)
		}
		if n > 0 {
			if _, err := p.t.Write(text[:n]); err != nil {
				return err
			}
		}
		if text = text[n:]; len(text) > 0 {
			if err := p.stop(); err != nil {
				return err
			}
		}
	}
	return nil
}

// stop waits for the user.
func (p *Pager) stop() error {
	defer p.t.screen.clear()
	status := stopLine
	for {
		if p.ctx.Err() != nil {
			p.free = true // last output
			return nil
		}
		if p.forNextPrompt() {
			p.page()
			return nil
		}
		p.t.screen.show(line{text: status, fixed: true})
		if err := p.t.keys.wait(p.ctx, p.t.idleDeadline()); err != nil {
			return p.end(idle(err))
		}
		if p.forNextPrompt() {
			continue
		}
		k, _ := p.t.keys.takeRune()
		switch k {
		case " ", "f", "\x06", "\x1b[6~":
			p.page()
			return nil
		case keyEnter, "j", "\x1b[B", "\x1bOB":
			p.rows.left = 1
			return nil
		case "G", "\x1b[F", "\x1bOF", "\x1b[4~", "\x1b[8~":
			p.free = true
			return nil
		case "q", "Q":
			return p.end(ErrPagerQuit)
		case keyInterrupt:
			return p.end(ErrInterrupted)
		case "/":
			sought, err := p.ask()
			if err != nil {
				return p.end(err)
			}
			if sought != "" {
				p.sought = sought
				p.searching = true
				return nil
			}
		case "n":
			if p.sought != "" {
				p.searching = true
				return nil
			}
			status = "nothing was searched for yet; / searches"
		default:
			p.t.screen.bell()
		}
	}
}

// page allows a windowful, of the window's current size.
func (p *Pager) page() {
	p.rows.resize(p.t.pageSize())
	p.rows.page()
}

// end makes the pager useless for its command, or transparent if the command is to end by itself.
func (p *Pager) end(err error) error {
	if err == ErrInterrupted {
		p.free = true
	} else {
		p.ended = err
	}
	return err
}

// forNextPrompt reports whether the waiting input is text that came in one piece and is neither a
// search nor one key held down.
func (p *Pager) forNextPrompt() bool {
	k, ok := p.t.keys.peek()
	return ok && k.isText() && k.seq[0] != '/' && strings.Trim(k.seq, k.seq[:1]) != ""
}

// ask reads what to search for. "" means that the user changed their mind, or pressed Enter without
// an earlier search.
func (p *Pager) ask() (string, error) {
	text := ""
	for {
		p.t.screen.show(line{prompt: "/", text: text, cursor: len(text)})
		if err := p.t.keys.wait(p.ctx, p.t.idleDeadline()); err != nil {
			return "", idle(err)
		}
		k, _ := p.t.keys.takeRune()
		switch {
		case k == "":
		case k == keyInterrupt:
			return "", ErrInterrupted
		case k == keyEnter && text == "":
			return p.sought, nil
		case k == keyEnter:
			return text, nil
		case k == keyLeave || text == "" && (k == keyBackspace || k == keyCtrlH):
			return "", nil
		case k == keyBackspace || k == keyCtrlH:
			_, size := utf8.DecodeLastRuneInString(text)
			text = text[:len(text)-size]
		case k == keyKillLine:
			text = ""
		case (key{seq: k}).isText() && len(text) < lineLimit:
			text += k
		}
	}
}

// seek skips lines up to one with the searched text, and returns what is to be shown from there on.
// It holds half a line at the end until its rest comes.
func (p *Pager) seek(text []byte) []byte {
	start := bytes.LastIndexByte(p.held, '\n') + 1 // of the line being held
	p.held = append(p.held, text...)
	for {
		n := bytes.IndexByte(p.held[start:], '\n')
		if n < 0 {
			p.forget()
			return nil
		}
		if p.matches(p.held[start : start+n]) {
			return p.found(start)
		}
		start += n + 1
	}
}

// matches ignores case if the searched text is in lower case.
func (p *Pager) matches(row []byte) bool {
	if strings.IndexFunc(p.sought, unicode.IsUpper) < 0 {
		row = bytes.ToLower(row)
	}
	return bytes.Contains(row, []byte(p.sought))
}

// found ends the search at the line that begins at start.
func (p *Pager) found(start int) []byte {
	rest := p.held[start:]
	if start > 0 || p.skipped > 0 {
		rest = append([]byte("... skipping\n"), rest...)
	}
	p.searching, p.held, p.skipped = false, nil, 0
	p.page()
	return rest
}

// forget drops the oldest of many skipped lines.
func (p *Pager) forget() {
	if len(p.held) <= heldLimit {
		return
	}
	cut := len(p.held) - heldLimit/2
	if n := bytes.IndexByte(p.held[cut:], '\n'); n >= 0 {
		cut += n + 1
	}
	p.skipped += bytes.Count(p.held[:cut], []byte("\n"))
	p.held = bytes.Clone(p.held[cut:])
}

// notFound ends a search that reached the end of the output, and shows what it skipped.
func (p *Pager) notFound() error {
	rest := p.held
	if p.matches(rest[bytes.LastIndexByte(rest, '\n')+1:]) { // the last line, which has no end
		return p.show(p.found(bytes.LastIndexByte(rest, '\n') + 1))
	}
	notice := "(not found: " + p.sought + ")\n"
	if p.skipped > 0 {
		notice = "(not found: " + p.sought + "; the first of the lines searched are not shown)\n"
	}
	p.searching, p.held, p.skipped = false, nil, 0
	p.page()
	return p.show(append([]byte(notice), rest...))
}

// rowCounter counts output in rows of a window.
type rowCounter struct {
	width, height int
	x             int
	fresh         bool // the cursor is at the start of a row that was not counted yet
	left          int  // rows that may still begin
}

func newRowCounter(width, height int) rowCounter {
	c := rowCounter{width: width, height: height, fresh: true}
	c.page()
	return c
}

// page allows a windowful, less the row of the stop.
func (c *rowCounter) page() { c.left = max(c.height-1, 1) }

func (c *rowCounter) resize(width, height int) {
	if height < c.height {
		c.left = min(c.left, max(height-1, 1))
	}
	c.width, c.height = width, height
}

// fill returns how much of text there is room for.
func (c *rowCounter) fill(text []byte) int {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		w := widths.RuneWidth(r)
		if c.fresh || r != '\n' && w > 0 && c.x+w > c.width {
			if c.left == 0 {
				c.fresh = true // the stop begins a row of its own, and the text continues in it
				return i
			}
			c.left--
			c.x, c.fresh = 0, false
		}
		switch r {
		case '\n':
			c.fresh = true
		case '\t':
			c.x = min((c.x/8+1)*8, c.width-1)
		default:
			c.x += w
		}
		i += size
	}
	return len(text)
}

var _ io.Writer = (*Pager)(nil)
