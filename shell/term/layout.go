package term

import (
	"strings"
	"unicode/utf8"

	"github.com/mattn/go-runewidth"
)

// Ambiguous characters are narrow in every current UTF-8 terminal; go-runewidth's own default would
// follow LANG.
var widths = &runewidth.Condition{StrictEmojiNeutral: true}

// line is what is below the output: the prompt with the text being edited, or a status line.
type line struct {
	prompt string
	text   string
	cursor int // byte offset in text
	// each row of the text is one of the screen, cut to its width; the cursor is after the last one
	fixed bool
}

// frame is a line as laid out on the screen: the rows that fit the window, and the cursor.
type frame struct {
	width, height int // of the window
	top           int // rows above, which do not fit
	rows          []string
	x, y          int // the cursor, counted from the first row shown
}

// lay breaks a line into rows of the window, as the terminal would. It keeps as many as the window
// holds, including that of the cursor.
func lay(l line, width, height int) frame {
	if l.fixed {
		return layFixed(l.text, width, height)
	}
	b := rowBuilder{width: width}
	for _, r := range l.prompt {
		b.add(r)
	}
	x, y := -1, 0
	for i, r := range l.text {
		b.add(r)
		if i >= l.cursor && x < 0 {
			x, y = b.lastX, len(b.rows)
		}
	}
	b.settle()
	if x < 0 {
		x, y = b.x, len(b.rows)
	}
	rows := append(b.rows, b.row.String())

	top := min(max(0, y-height+1), max(0, len(rows)-height))
	rows = rows[top:min(len(rows), top+height)]
	return frame{width: width, height: height, top: top, rows: rows, x: min(x, width-1), y: y - top}
}

// layFixed cuts the rows of a text to the width of the window, and keeps the first ones that fit
// its height.
func layFixed(text string, width, height int) frame {
	rows := strings.Split(text, "\n")
	rows = rows[:min(len(rows), height)]
	for i, row := range rows {
		rows[i] = fit(row, width-1) // the last column stays free, or the cursor would move to the next row
	}
	y := len(rows) - 1
	return frame{width: width, height: height, rows: rows, x: columns(rows[y]), y: y}
}

// rowBuilder follows the cursor of a terminal of some width.
type rowBuilder struct {
	width int
	rows  []string // complete ones
	row   strings.Builder
	x     int // the column after the last character; equal to width when the row is full
	lastX int // the column of the last character
}

func (b *rowBuilder) add(r rune) {
	w := widths.RuneWidth(r)
	if w > b.width {
		r, w = '?', 1 // a wide character in a window of one column
	}
	if w > 0 && b.x+w > b.width {
		b.row.WriteString(strings.Repeat(" ", b.width-b.x))
		b.endRow()
	}
	b.lastX = b.x
	b.row.WriteRune(r)
	b.x += w
}

// settle moves the cursor from the end of a full row to the start of the next one, where the next
// typed character puts it.
func (b *rowBuilder) settle() {
	if b.x == b.width {
		b.endRow()
	}
}

func (b *rowBuilder) endRow() {
	b.rows = append(b.rows, b.row.String())
	b.row.Reset()
	b.x = 0
}

// columns returns the width of a text without newlines.
func columns(text string) int {
	n := 0
	for _, r := range text {
		n += widths.RuneWidth(r)
	}
	return n
}

// fit cuts a text to a number of columns.
func fit(text string, limit int) string {
	n := 0
	for i, r := range text {
		if n += widths.RuneWidth(r); n > limit {
			return text[:i]
		}
	}
	return text
}

// commonStart returns the length of the common beginning of two rows, cut where the next character
// of either would combine with the one before it.
func commonStart(a, b string) int {
	n, solid := 0, 0
	for n < len(a) && n < len(b) {
		r, size := utf8.DecodeRuneInString(a[n:])
		if other, _ := utf8.DecodeRuneInString(b[n:]); other != r {
			break
		}
		if widths.RuneWidth(r) > 0 {
			solid = n
		}
		n += size
	}
	if joins(a[n:]) || joins(b[n:]) || strings.HasSuffix(a[:n], "\u200d") {
		return solid
	}
	return n
}

func joins(rest string) bool {
	r, _ := utf8.DecodeRuneInString(rest)
	return rest != "" && widths.RuneWidth(r) == 0
}
