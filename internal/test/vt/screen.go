// Package vt shows tests what a person sees: a terminal's screen, made from the bytes that were
// sent to it.
package vt

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/mattn/go-runewidth"
)

// widths is what terminals of today make of characters whose width Unicode leaves open.
var widths = &runewidth.Condition{StrictEmojiNeutral: true}

// Screen is a terminal as far as it matters here. It wraps at the margin like an xterm: a character
// in the last column leaves the cursor on it until the next one comes.
type Screen struct {
	width, height int
	cells         [][]string // "" is the right half of a wide character
	history       []string   // rows that scrolled away
	x, y          int
	wrap          bool
	pending       []byte   // half a character or sequence
	strange       []string // sequences that a plain terminal may not know
	bells         int
}

// New makes an empty screen.
func New(width, height int) *Screen {
	s := &Screen{width: width, height: height}
	for range height {
		s.cells = append(s.cells, s.blank())
	}
	return s
}

func (s *Screen) blank() []string {
	row := make([]string, s.width)
	for i := range row {
		row[i] = " "
	}
	return row
}

// Resize is a window that was made larger or smaller. Rows keep their text and are cut, as the
// Linux console does.
func (s *Screen) Resize(width, height int) {
	for len(s.cells) > height {
		if s.y < len(s.cells)-1 {
			s.cells = s.cells[:len(s.cells)-1]
			continue
		}
		s.history = append(s.history, rowText(s.cells[0]))
		s.cells = s.cells[1:]
		s.y--
	}
	s.width, s.height = width, height
	for y, row := range s.cells {
		fresh := s.blank()
		copy(fresh, row)
		s.cells[y] = fresh
	}
	for len(s.cells) < height {
		s.cells = append(s.cells, s.blank())
	}
	s.x, s.wrap = min(s.x, width-1), false
}

// Write shows bytes. Characters and sequences may be cut anywhere.
func (s *Screen) Write(p []byte) (int, error) {
	rest := append(s.pending, p...)
	s.pending = nil
	for len(rest) > 0 {
		n := s.one(rest)
		if n == 0 {
			s.pending = append([]byte(nil), rest...)
			break
		}
		rest = rest[n:]
	}
	return len(p), nil
}

// one shows what p begins with and returns its length, 0 if its end has not come yet.
func (s *Screen) one(p []byte) int {
	switch c := p[0]; {
	case c == '\n':
		s.down()
		return 1
	case c == '\r':
		s.x, s.wrap = 0, false
		return 1
	case c == '\b':
		s.x, s.wrap = max(0, s.x-1), false
		return 1
	case c == '\t':
		s.x, s.wrap = min((s.x/8+1)*8, s.width-1), false
		return 1
	case c == '\a':
		s.bells++
		return 1
	case c == 0x1b:
		return s.escape(p)
	case c < ' ' || c == 0x7f:
		s.strange = append(s.strange, strconv.Quote(string(c)))
		return 1
	}
	if !utf8.FullRune(p) {
		return 0
	}
	r, n := utf8.DecodeRune(p)
	if r == utf8.RuneError && n == 1 || r >= 0x80 && r < 0xa0 {
		s.strange = append(s.strange, strconv.Quote(string(p[:n])))
		return n
	}
	s.put(r)
	return n
}

func (s *Screen) put(r rune) {
	w := min(widths.RuneWidth(r), s.width)
	if w == 0 {
		s.join(r)
		return
	}
	if s.wrap || s.x+w > s.width {
		s.x = 0
		s.down()
	}
	if s.cells[s.y][s.x] == "" && s.x > 0 {
		s.cells[s.y][s.x-1] = " "
	}
	s.cells[s.y][s.x] = string(r)
	if w == 2 {
		s.cells[s.y][s.x+1] = ""
	}
	if after := s.x + w; after < s.width && s.cells[s.y][after] == "" {
		s.cells[s.y][after] = " "
	}
	s.x += w
	if s.wrap = s.x == s.width; s.wrap {
		s.x--
	}
}

// join adds a character without a width of its own to the one before it.
func (s *Screen) join(r rune) {
	x := s.x
	if !s.wrap {
		x--
	}
	for x > 0 && s.cells[s.y][x] == "" {
		x--
	}
	if x >= 0 {
		s.cells[s.y][x] += string(r)
	}
}

func (s *Screen) down() {
	s.wrap = false
	if s.y < s.height-1 {
		s.y++
		return
	}
	s.history = append(s.history, rowText(s.cells[0]))
	s.cells = append(s.cells[1:], s.blank())
}

// escape obeys a control sequence (ECMA-48, section 5.4).
func (s *Screen) escape(p []byte) int {
	if len(p) < 2 {
		return 0
	}
	if p[1] != '[' {
		s.strange = append(s.strange, strconv.Quote(string(p[:2])))
		return 2
	}
	n := 2
	for ; n < len(p) && (p[n] < '@' || p[n] > '~'); n++ {
	}
	if n == len(p) {
		return 0
	}
	n++
	s.obey(string(p[:n]))
	s.wrap = false
	return n
}

func (s *Screen) obey(seq string) {
	last := len(seq) - 1
	count, err := strconv.Atoi(seq[2:last])
	if err != nil {
		count = 1
	}
	switch {
	case seq == "\x1b[2J":
		for y := range s.cells {
			s.cells[y] = s.blank()
		}
	case seq == "\x1b[H":
		s.x, s.y = 0, 0
	case seq == "\x1b[J":
		copy(s.cells[s.y][s.x:], s.blank())
		for y := s.y + 1; y < s.height; y++ {
			s.cells[y] = s.blank()
		}
	case seq == "\x1b[K":
		copy(s.cells[s.y][s.x:], s.blank())
	case seq[last] == 'A':
		s.y = max(0, s.y-count)
	case seq[last] == 'B':
		s.y = min(s.height-1, s.y+count)
	case seq[last] == 'C':
		s.x = min(s.width-1, s.x+count)
	case seq[last] == 'D':
		s.x = max(0, s.x-count)
	default:
		s.strange = append(s.strange, strconv.Quote(seq))
	}
}

func rowText(row []string) string { return strings.TrimRight(strings.Join(row, ""), " ") }

// Strange are the sequences so far that a plain terminal may not know, quoted.
func (s *Screen) Strange() []string { return s.strange }

// Bells counts how often it rang.
func (s *Screen) Bells() int { return s.bells }

// Text is what the window shows, without the empty rows at its end.
func (s *Screen) Text() string {
	var rows []string
	for _, row := range s.cells {
		rows = append(rows, rowText(row))
	}
	return strings.TrimRight(strings.Join(rows, "\n"), "\n")
}

// Rows are all rows, those that scrolled away too, without the empty ones at the end.
func (s *Screen) Rows() []string {
	rows := append([]string(nil), s.history...)
	for _, row := range s.cells {
		rows = append(rows, rowText(row))
	}
	for len(rows) > 0 && rows[len(rows)-1] == "" {
		rows = rows[:len(rows)-1]
	}
	return rows
}

// All is Rows as a text, without empty rows at its beginning.
func (s *Screen) All() string { return strings.TrimLeft(strings.Join(s.Rows(), "\n"), "\n") }

// Row is the number of the cursor's row in Rows.
func (s *Screen) Row() int { return len(s.history) + s.y }

// Y is the number of the cursor's row in the window.
func (s *Screen) Y() int { return s.y }

// Before is what stands left of the cursor in its row, blanks included.
func (s *Screen) Before() string {
	if s.wrap {
		return strings.Join(s.cells[s.y], "")
	}
	return strings.Join(s.cells[s.y][:s.x], "")
}

// Marked is the window's text with | at the cursor.
func (s *Screen) Marked() string {
	var rows []string
	for y, row := range s.cells {
		text := rowText(row)
		if y == s.y {
			before := strings.Join(row[:s.x], "")
			text = before + "|" + text[min(len(before), len(text)):]
		}
		rows = append(rows, text)
	}
	return strings.TrimRight(strings.Join(rows, "\n"), "\n")
}
