package term

import (
	"bytes"
	"strings"
)

// Dumb reports whether a terminal type can only print, such as terminfo(5)'s dumb. All other
// current types understand the sequences that this package uses. A client that names no type counts
// as dumb, because it is a program that reads the output.
func Dumb(terminalType string) bool {
	switch terminalType {
	case "", "dumb", "unknown", "network", "dialup", "su":
		return true
	}
	return false
}

// dumbRow is the line below the output on a terminal without abilities. There text can only be
// appended, and removed by backspaces; the terminal breaks long lines as it likes. So a program
// that reads the echo of its own line reads exactly that line.
type dumbRow struct {
	text string
	x    int // the cursor's column, as if the row had no end
}

// change changes the row to a text and the cursor to a column. It appends the needed bytes to buf.
func (d *dumbRow) change(buf []byte, text string, x int) []byte {
	same := commonStart(text, d.text)
	buf = d.moveTo(buf, columns(text[:same]))
	buf = append(buf, text[same:]...)
	if gone := columns(d.text) - columns(text); gone > 0 {
		buf = append(buf, strings.Repeat(" ", gone)...)
		buf = append(buf, bytes.Repeat([]byte{'\b'}, gone)...)
	}
	d.text, d.x = text, columns(text)
	return d.moveTo(buf, x)
}

// moveTo moves to a column: back by backspaces, forward by writing the text again.
func (d *dumbRow) moveTo(buf []byte, x int) []byte {
	if x < d.x {
		buf = append(buf, bytes.Repeat([]byte{'\b'}, d.x-x)...)
	} else {
		buf = append(buf, d.text[len(fit(d.text, d.x)):len(fit(d.text, x))]...)
	}
	d.x = x
	return buf
}

// paintDumb is paint on a terminal without abilities.
func (s *screen) paintDumb(l line) {
	if s.shown == nil {
		s.beginRow()
		s.shown, s.row = &frame{}, dumbRow{}
	}
	text, cursor := l.prompt+l.text, len(l.prompt)+l.cursor
	if l.fixed {
		cursor = len(text)
	}
	s.buf = s.row.change(s.buf, text, columns(text[:cursor]))
	s.line = l
}

// eraseDumb is erase on a terminal without abilities: a row that may have been broken stays.
func (s *screen) eraseDumb() {
	if width, _ := s.size(); columns(s.row.text) < width {
		s.buf = s.row.change(s.buf, "", 0)
	} else {
		s.buf = append(s.buf, '\n')
	}
	s.shown = nil
}
