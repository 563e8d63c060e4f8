package term

import (
	"bytes"
	"unicode/utf8"
)

// key is one thing typed: a run of printable text, one control byte, or one escape sequence.
type key struct {
	seq string
	// pasted text came between the markers of a bracketed paste, so none of it is an editor
	// command.
	pasted bool
}

const (
	keyInterrupt = "\x03"
	keyEOF       = "\x04"
	keyTab       = "\t"
	keyEnter     = "\r"
	escape       = 0x1b

	pasteStart = "\x1b[200~"
	pasteEnd   = "\x1b[201~"

	// maxSequence limits an escape sequence; the longest that a keyboard sends has eight bytes.
	maxSequence = 32
)

func (k key) isText() bool { return k.seq[0] >= ' ' && k.seq[0] != 0x7f }

// decoder splits the bytes of the terminal into keys, independent of how they were split on the
// way.
type decoder struct {
	pending []byte // the beginning of a sequence or character that is not complete yet
	pasting bool
	afterCR bool // a newline that follows is the second half of CR LF
}

// feed takes the bytes of one read.
func (d *decoder) feed(b []byte, emit func(key)) {
	b = append(d.pending, b...)
	for len(b) > 0 {
		n := d.next(b, emit)
		if n == 0 {
			break
		}
		b = b[n:]
	}
	d.pending = bytes.Clone(b)
}

// waiting reports whether a started sequence needs more bytes.
func (d *decoder) waiting() bool { return len(d.pending) > 0 }

// giveUp drops a started sequence, which was Escape pressed alone, or line noise.
func (d *decoder) giveUp() { d.pending = nil }

// next emits the key at the start of b, if it is complete, and returns its length. 0 means that
// more bytes are needed.
func (d *decoder) next(b []byte, emit func(key)) int {
	switch c := b[0]; {
	case c == escape:
		return d.sequence(b, emit)
	case c < ' ' || c == 0x7f:
		d.control(c, emit)
		return 1
	default:
		return d.text(b, emit)
	}
}

func (d *decoder) control(c byte, emit func(key)) {
	secondHalf := c == '\n' && d.afterCR
	d.afterCR = c == '\r'
	switch {
	case c == 0 || secondHalf:
	case c == '\r' || c == '\n':
		emit(key{seq: keyEnter})
	case c == keyInterrupt[0]:
		// Also the way out of a paste whose end never came.
		d.pasting = false
		emit(key{seq: keyInterrupt})
	case !d.pasting:
		emit(key{seq: string(c)})
	case c == '\t':
		emit(key{seq: " ", pasted: true})
	}
}

// text takes the run of printable characters at the start of b. It leaves out what could control
// the terminal when shown again, and what is not UTF-8.
func (d *decoder) text(b []byte, emit func(key)) int {
	d.afterCR = false
	run := make([]byte, 0, len(b))
	n := 0
	for n < len(b) && b[n] >= ' ' && b[n] != 0x7f && utf8.FullRune(b[n:]) {
		r, size := utf8.DecodeRune(b[n:])
		if (r != utf8.RuneError || size > 1) && harmless(r) {
			run = append(run, b[n:n+size]...)
		}
		n += size
	}
	if len(run) > 0 {
		emit(key{seq: string(run), pasted: d.pasting})
	}
	return n
}

// sequence takes what begins with Escape.
func (d *decoder) sequence(b []byte, emit func(key)) int {
	n, whole := measure(b)
	if !whole {
		return n
	}
	d.afterCR = false
	switch seq := string(b[:n]); {
	case seq == pasteStart:
		d.pasting = true
	case seq == pasteEnd:
		d.pasting = false
	case !d.pasting:
		emit(key{seq: seq})
	}
	return n
}

// measure finds the end of the escape sequence at the start of b. If it is broken, whole is false
// and n bytes must be dropped. n = 0 means that its end has not come yet.
func measure(b []byte) (n int, whole bool) {
	if len(b) < 2 {
		return 0, false
	}
	switch c := b[1]; {
	case c == escape:
		return 1, false
	case c == '[':
		return measureCSI(b)
	case c == 'O':
		if len(b) < 3 {
			return 0, false
		}
		return 3, true
	case !utf8.FullRune(b[1:]):
		return 0, false
	default: // Alt with a key
		_, size := utf8.DecodeRune(b[1:])
		return 1 + size, true
	}
}

func measureCSI(b []byte) (n int, whole bool) {
	for i := 2; i < len(b); i++ {
		switch c := b[i]; {
		case i == 2 && c == '[': // function keys of the Linux console: ESC [ [ A
		case c < ' ' || c > '~' || i == maxSequence:
			return i, false
		case c >= '@':
			return i + 1, true
		}
	}
	return 0, false
}
