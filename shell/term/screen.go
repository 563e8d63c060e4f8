package term

import (
	"bytes"
	"io"
	"strconv"
	"strings"
	"sync"
)

// screen is everything that is shown: output, which scrolls away, and below it at most one line
// that is repainted in place (a prompt with its text, progress, the pager's stop). All positions
// are relative to that line, because its place on the screen cannot be known.
type screen struct {
	mu   sync.Mutex
	out  io.Writer
	size func() (width, height int)

	buf     []byte // assembled for one write to the terminal
	scrub   scrubber
	midLine bool // the output so far did not end with a newline

	shown *frame // of the line below the output; nil if there is none
	line  line
	// the cursor is after the last column of the row above the one that shown has it in: the next
	// character begins that one
	ahead  bool
	dumb   bool // the terminal has no abilities
	row    dumbRow
	sticky bool // the line returns below new output; others are cleared by it
}

// write appends to the output.
func (s *screen) write(p []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	// The line stays unchanged until output is complete enough to be shown.
	safe := s.scrub.clean(nil, p)
	if len(safe) == 0 {
		return nil
	}
	s.output(safe)
	return s.flush()
}

// output appends what is safe to show.
func (s *screen) output(safe []byte) {
	again := s.shown != nil && s.sticky
	s.erase()
	s.buf = append(s.buf, safe...)
	s.midLine = safe[len(safe)-1] != '\n'
	if again {
		s.paint(s.line)
	}
}

// show paints a line below the output or updates the one there. It stays until it is kept or
// cleared.
func (s *screen) show(l line) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sticky = true
	s.paint(l)
	s.flush()
}

// status shows rows that the next output replaces; "" clears them.
func (s *screen) status(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dumb || s.shown != nil && s.sticky {
		return
	}
	s.sticky = false
	if text == "" {
		s.erase()
	} else {
		s.paint(line{text: text, fixed: true})
	}
	s.flush()
}

// keep turns the line into output.
func (s *screen) keep(l line) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leave(l)
	s.flush()
}

// above turns the line into output, shows an answer below it, and paints the line again below that.
func (s *screen) above(answer string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	again := s.line
	s.leave(again)
	var scrub scrubber
	safe := scrub.flush(scrub.clean(nil, []byte(answer)))
	s.buf = append(s.buf, bytes.TrimRight(safe, "\n")...)
	s.buf = append(s.buf, '\n')
	s.paint(again)
	s.flush()
}

// leave paints a line for the last time; what follows begins in the row below it.
func (s *screen) leave(l line) {
	l.cursor = len(l.text)
	s.paint(l)
	if s.dumb {
		s.buf = append(s.buf, '\n')
		s.shown, s.midLine = nil, false
		return
	}
	if s.shown.top > 0 {
		// Only its end is on the screen. Write all of it, as it will be read when scrolling back.
		s.erase()
		s.buf = append(s.buf, l.prompt+l.text...)
	}
	if s.shown == nil || s.shown.x > 0 || s.shown.y == 0 || s.ahead {
		s.buf = append(s.buf, '\n')
	}
	s.shown, s.ahead, s.midLine = nil, false, false
}

// clear removes the line.
func (s *screen) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	s.flush()
}

// wipe empties the whole window; a line that stays moves to its first row.
func (s *screen) wipe() {
	s.mu.Lock()
	defer s.mu.Unlock()
	again := s.shown != nil && s.sticky
	if s.dumb {
		s.buf = append(s.buf, '\n')
	} else {
		s.buf = append(s.buf, "\x1b[H\x1b[2J"...)
	}
	s.shown, s.ahead, s.midLine = nil, false, false
	if again {
		s.paint(s.line)
	}
	s.flush()
}

func (s *screen) bell() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buf = append(s.buf, '\a')
	s.flush()
}

// resized repaints the line for a new size of the window.
func (s *screen) resized() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shown == nil {
		return
	}
	s.paint(s.line)
	s.flush()
}

// lift is erase for a line that was painted in a window of another size. Some terminals break the
// rows anew, some do not. It moves up by the smaller count: a piece of the old line may stay above
// the new one, but no output is lost.
func (s *screen) lift(width, height int) {
	before := s.line
	if !before.fixed {
		before.text = before.text[:before.cursor]
	}
	up := min(s.cursor().y, lay(before, width, height).y, height-1)
	s.buf = append(s.buf, '\r')
	s.move(-up, 'A', 'B')
	s.buf = append(s.buf, "\x1b[J"...)
	s.shown, s.ahead = nil, false
}

func (s *screen) flush() error {
	if len(s.buf) == 0 {
		return nil
	}
	_, err := s.out.Write(s.buf)
	s.buf = s.buf[:0]
	if cap(s.buf) > 64<<10 {
		s.buf = nil // one long output must not stay in memory for the whole session
	}
	return err
}

// erase removes the line and leaves the cursor where it began.
func (s *screen) erase() {
	if s.shown == nil {
		return
	}
	if s.dumb {
		s.eraseDumb()
		return
	}
	b := s.cursor()
	b.moveTo(0, 0)
	s.buf = append(s.buf, "\x1b[J"...)
	s.shown, s.ahead = nil, false
}

// cursor returns a brush at the cursor.
func (s *screen) cursor() brush {
	b := brush{screen: s, width: s.shown.width, x: s.shown.x, y: s.shown.y}
	if s.ahead {
		b.x, b.y, b.full = s.shown.width, s.shown.y-1, true
	}
	return b
}

// beginRow begins a row for a line, after output that did not end with one.
func (s *screen) beginRow() {
	if s.scrub.rest != nil {
		s.buf = s.scrub.flush(s.buf)
		s.midLine = true
	}
	if s.midLine {
		s.buf = append(s.buf, '\n')
		s.midLine = false
	}
}

// paint updates the line on the screen, and writes only what differs.
func (s *screen) paint(l line) {
	if s.dumb {
		s.paintDumb(l)
		return
	}
	width, height := s.size()
	now := lay(l, width, height)
	switch {
	case s.shown == nil:
	case s.shown.width != width || s.shown.height != height:
		s.lift(width, height)
	case s.shown.top != now.top:
		s.erase()
	}
	if s.shown == nil {
		s.beginRow()
		s.shown = &frame{width: width}
	}
	old := *s.shown
	b := s.cursor()
	for y, row := range now.rows {
		start := 0
		if y < len(old.rows) {
			if row == old.rows[y] {
				continue
			}
			start = commonStart(row, old.rows[y])
		}
		if row == "" && y >= len(old.rows) {
			continue
		}
		if start == 0 && y == b.y+1 && row != "" {
			b.wrap()
		}
		b.moveTo(columns(row[:start]), y)
		b.put(row[start:])
		if y < len(old.rows) && columns(row) < columns(old.rows[y]) {
			s.buf = append(s.buf, "\x1b[K"...)
		}
	}
	if len(old.rows) > len(now.rows) {
		b.moveTo(0, len(now.rows))
		s.buf = append(s.buf, "\x1b[J"...)
	}
	if s.ahead = b.full && now.x == 0 && now.y == b.y+1 && now.rows[now.y] == ""; !s.ahead {
		b.moveTo(now.x, now.y)
	}
	s.shown, s.line = &now, l
}

// move appends a cursor movement: n rows or columns in the direction of forth, or of back if n is
// negative.
func (s *screen) move(n int, back, forth byte) {
	if n == 0 {
		return
	}
	direction := forth
	if n < 0 {
		n, direction = -n, back
	}
	s.buf = append(s.buf, "\x1b["...)
	s.buf = strconv.AppendInt(s.buf, int64(n), 10)
	s.buf = append(s.buf, direction)
}

// brush is the cursor while a frame is painted.
type brush struct {
	*screen
	width int
	x, y  int
	full  bool // a character was just written to the last column: the cursor stays on it until the next one
}

func (b *brush) put(text string) {
	if text == "" {
		return
	}
	b.buf = append(b.buf, text...)
	b.x += columns(text)
	b.full = b.x == b.width
}

// wrap moves from the last column to the next row as typing does: by the next character. So the
// terminal treats the rows as one line when copied, and a program that reads the echo of a long
// line finds only that line.
func (b *brush) wrap() {
	if b.full {
		b.x, b.y, b.full = 0, b.y+1, false
	}
}

func (b *brush) moveTo(x, y int) {
	if b.full {
		b.buf = append(b.buf, '\r')
		b.x, b.full = 0, false
	}
	if y > b.y {
		// Newlines and not a movement: the row may have to be made by scrolling.
		b.buf = append(b.buf, strings.Repeat("\n", y-b.y)...)
		b.x = 0
	} else {
		b.move(y-b.y, 'A', 'B')
	}
	if x == 0 && b.x > 0 {
		b.buf = append(b.buf, '\r')
	} else {
		b.move(x-b.x, 'D', 'C')
	}
	b.x, b.y = x, y
}
