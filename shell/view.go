package shell

import (
	"bytes"
	"fmt"

	"diagsh/internal/api"
	"diagsh/shell/term"
)

// A view is what a command shows again and again in one place. If a table is longer than the
// window, it keeps the first rows and counts the others.
type view struct {
	terminal *term.Terminal
	open     bool   // a frame is being received
	coming   []byte // its kept rows so far
	rows     int    // number of all rows
	last     string // the last complete one
}

// take takes a frame that belongs to a view. A terminal without abilities cannot replace a view: it
// shows one after the other, with all rows.
func (v *view) take(f api.Frame) bool {
	switch {
	case v.terminal.Dumb():
		return f.View != ""
	case f.View == api.ViewBegins:
		v.open, v.coming, v.rows = true, v.coming[:0], 0
	case f.View == api.ViewEnds:
		v.open = false
		v.last = v.fitted()
		v.terminal.Progress(v.last)
	case v.open && f.Progress == "" && f.Exit == nil:
		v.add(f.Text)
	default:
		return false
	}
	return true
}

// add keeps the rows that have room. A frame may end in the middle of one.
func (v *view) add(text []byte) {
	_, height := v.terminal.Size()
	for line := range bytes.Lines(text) {
		if v.rows < height {
			v.coming = append(v.coming, line...)
		}
		if line[len(line)-1] == '\n' {
			v.rows++
		}
	}
}

// fitted returns as much of the view as fits the window, with the row of the cursor below.
func (v *view) fitted() string {
	_, height := v.terminal.Size()
	room := max(1, height-1)
	if v.rows <= room {
		return string(v.coming)
	}
	var b bytes.Buffer
	n := 0
	for line := range bytes.Lines(v.coming) {
		if n++; n == room {
			break
		}
		b.Write(line)
	}
	fmt.Fprintf(&b, "... %d more\n", v.rows-room+1)
	return b.String()
}

// leave keeps the last view on the screen when the command has ended.
func (v *view) leave() {
	if v.last != "" {
		v.terminal.WriteString(v.last)
	}
}
