// Package clean makes texts safe to show that strangers chose: the peers of a connection, other
// users, the owners of processes.
package clean

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Line makes a text from a stranger (the name of a process or host, a banner) safe for one line of
// a command's text form. It escapes what could move a cursor, hide text or begin another line, as
// \x1b or \u202e. A terminal does the same once more; this is for readers of the text form through
// a pipe.
func Line(s string) string {
	if strings.IndexFunc(s, harmful) < 0 {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == unicode.ReplacementChar && s[i] != "\uFFFD"[0]:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case !harmful(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// harmful reports control and format characters, line separators, and bytes that are no UTF-8.
func harmful(r rune) bool {
	return r == unicode.ReplacementChar || r == '\u2028' || r == '\u2029' ||
		unicode.In(r, unicode.Cc, unicode.Cf, unicode.Cs)
}

// MaxQuoted limits in bytes what a message repeats of a user's text.
const MaxQuoted = 60

// Quoted returns a user's text as a message repeats it: bounded, in double quotes, with control
// characters escaped.
func Quoted(text string) string { return strconv.Quote(Bounded(text, MaxQuoted)) }

// Bounded returns text if it has at most most bytes, else its beginning followed by "...". It cuts
// no character.
func Bounded(text string, most int) string {
	if len(text) <= most {
		return text
	}
	end := most
	for end > 0 && most-end < utf8.UTFMax && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "..."
}
