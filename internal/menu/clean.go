package menu

import (
	"fmt"
	"strings"
	"unicode"
)

// Clean makes a text that a stranger chose (the name of a process or host, a banner) fit for one line of a command's text form: what
// could move a cursor, hide text or begin another line is written out, as \x1b or \u202e. A terminal does the same once more; this is
// for whoever reads the text form through a pipe.
func Clean(s string) string {
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

// harmful tells control and format characters, line separators, and bytes that are no UTF-8.
func harmful(r rune) bool {
	return r == unicode.ReplacementChar || r == '\u2028' || r == '\u2029' || unicode.In(r, unicode.Cc, unicode.Cf, unicode.Cs)
}
