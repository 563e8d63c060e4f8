package term

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// vt is a terminal as far as it matters here: what a person sees after these bytes. It wraps at the margin like an
// xterm: a character in the last column leaves the cursor on it until the next one comes.
type vt struct {
	width, height int
	cells         [][]string // "" is the right half of a wide character
	history       []string   // rows that scrolled away
	x, y          int
	wrap          bool
	pending       []byte
	strange       []string // sequences that a plain terminal may not know
}

func newVT(width, height int) *vt {
	v := &vt{width: width, height: height}
	for range height {
		v.cells = append(v.cells, v.blank())
	}
	return v
}

func (v *vt) blank() []string {
	row := make([]string, v.width)
	for i := range row {
		row[i] = " "
	}
	return row
}

func (v *vt) resize(width, height int) {
	for len(v.cells) > height {
		if v.y < len(v.cells)-1 {
			v.cells = v.cells[:len(v.cells)-1]
			continue
		}
		v.history = append(v.history, rowText(v.cells[0]))
		v.cells = v.cells[1:]
		v.y--
	}
	v.width, v.height = width, height
	for y, row := range v.cells {
		fresh := v.blank()
		copy(fresh, row)
		v.cells[y] = fresh
	}
	for len(v.cells) < height {
		v.cells = append(v.cells, v.blank())
	}
	v.x, v.wrap = min(v.x, width-1), false
}

func (v *vt) Write(b []byte) (int, error) {
	p := append(v.pending, b...)
	v.pending = nil
	for len(p) > 0 {
		n := v.one(p)
		if n == 0 {
			v.pending = append([]byte(nil), p...)
			break
		}
		p = p[n:]
	}
	return len(b), nil
}

func (v *vt) one(p []byte) int {
	switch c := p[0]; {
	case c == '\n':
		v.down()
		return 1
	case c == '\r':
		v.x, v.wrap = 0, false
		return 1
	case c == '\b':
		v.x, v.wrap = max(0, v.x-1), false
		return 1
	case c == '\t':
		v.x, v.wrap = min((v.x/8+1)*8, v.width-1), false
		return 1
	case c == '\a':
		return 1
	case c == 0x1b:
		return v.escape(p)
	case c < ' ' || c == 0x7f:
		v.strange = append(v.strange, strconv.Quote(string(c)))
		return 1
	}
	if !utf8.FullRune(p) {
		return 0
	}
	r, n := utf8.DecodeRune(p)
	if r == utf8.RuneError && n == 1 || r >= 0x80 && r < 0xa0 {
		v.strange = append(v.strange, strconv.Quote(string(p[:n])))
		return n
	}
	v.put(r)
	return n
}

func (v *vt) put(r rune) {
	w := min(widths.RuneWidth(r), v.width)
	if w == 0 {
		x := v.x
		if !v.wrap {
			x--
		}
		for x > 0 && v.cells[v.y][x] == "" {
			x--
		}
		if x >= 0 {
			v.cells[v.y][x] += string(r)
		}
		return
	}
	if v.wrap || v.x+w > v.width {
		v.x = 0
		v.down()
	}
	if v.cells[v.y][v.x] == "" && v.x > 0 {
		v.cells[v.y][v.x-1] = " "
	}
	v.cells[v.y][v.x] = string(r)
	if w == 2 {
		v.cells[v.y][v.x+1] = ""
	}
	if after := v.x + w; after < v.width && v.cells[v.y][after] == "" {
		v.cells[v.y][after] = " "
	}
	v.x += w
	if v.wrap = v.x == v.width; v.wrap {
		v.x--
	}
}

func (v *vt) down() {
	v.wrap = false
	if v.y < v.height-1 {
		v.y++
		return
	}
	v.history = append(v.history, rowText(v.cells[0]))
	v.cells = append(v.cells[1:], v.blank())
}

func (v *vt) escape(p []byte) int {
	n, whole := measure(p)
	if !whole {
		return n
	}
	seq := string(p[:n])
	count, err := strconv.Atoi(seq[2 : n-1])
	if err != nil {
		count = 1
	}
	switch {
	case seq == "\x1b[2J":
		for y := range v.cells {
			v.cells[y] = v.blank()
		}
	case seq == "\x1b[H":
		v.x, v.y = 0, 0
	case seq == "\x1b[J":
		copy(v.cells[v.y][v.x:], v.blank())
		for y := v.y + 1; y < v.height; y++ {
			v.cells[y] = v.blank()
		}
	case seq == "\x1b[K":
		copy(v.cells[v.y][v.x:], v.blank())
	case seq[n-1] == 'A':
		v.y = max(0, v.y-count)
	case seq[n-1] == 'B':
		v.y = min(v.height-1, v.y+count)
	case seq[n-1] == 'C':
		v.x = min(v.width-1, v.x+count)
	case seq[n-1] == 'D':
		v.x = max(0, v.x-count)
	default:
		v.strange = append(v.strange, strconv.Quote(seq))
	}
	v.wrap = false
	return n
}

func rowText(row []string) string { return strings.TrimRight(strings.Join(row, ""), " ") }

// text is what the window shows, without the empty rows at its end.
func (v *vt) text() string {
	var rows []string
	for _, row := range v.cells {
		rows = append(rows, rowText(row))
	}
	return strings.TrimRight(strings.Join(rows, "\n"), "\n")
}

// all is the text with what scrolled away before it.
func (v *vt) all() string {
	return strings.TrimLeft(strings.Join(append(v.history[:len(v.history):len(v.history)], v.text()), "\n"), "\n")
}
