package term

import (
	"bytes"
	"fmt"
	"unicode"
	"unicode/utf8"
)

// harmless reports whether a character may go to the screen unchanged. Control characters of both
// sets move the cursor or begin a terminal command. Format characters (bidirectional overrides,
// invisible spaces, tags) make a line read as something else. Only the two joiners pass, without
// which words of some scripts and emoji fall apart.
func harmless(r rune) bool {
	switch {
	case r == '\u200c' || r == '\u200d':
		return true
	case r == '\u2028' || r == '\u2029':
		return false
	}
	return !unicode.In(r, unicode.Cc, unicode.Cf, unicode.Cs)
}

// scrubber makes bytes from strangers safe for the screen. Newline and tab pass, CR LF becomes a
// newline, and everything else that is not harmless is spelled: ^[ for Escape, \x9b for a byte,
// \u202e for a character.
type scrubber struct {
	rest []byte // of the last write: half a character, or a CR whose LF may follow
}

// clean appends the safe form of p to dst.
func (s *scrubber) clean(dst, p []byte) []byte {
	if len(s.rest) > 0 {
		p = append(s.rest, p...)
		s.rest = nil
	}
	for len(p) > 0 {
		if n := plain(p); n > 0 {
			dst = append(dst, p[:n]...)
			p = p[n:]
			continue
		}
		if p[0] == '\r' && len(p) == 1 || !utf8.FullRune(p) {
			s.rest = bytes.Clone(p)
			break
		}
		r, size := utf8.DecodeRune(p)
		switch {
		case r == '\r' && p[1] == '\n':
		case r == utf8.RuneError && size == 1:
			dst = fmt.Appendf(dst, `\x%02x`, p[0])
		case harmless(r):
			dst = append(dst, p[:size]...)
		default:
			dst = spell(dst, r)
		}
		p = p[size:]
	}
	return dst
}

// plain counts the bytes at the start of p that are safe without decoding.
func plain(p []byte) int {
	for i, c := range p {
		if (c < ' ' || c > '~') && c != '\n' && c != '\t' {
			return i
		}
	}
	return len(p)
}

// flush appends what was held back, now that nothing will complete it.
func (s *scrubber) flush(dst []byte) []byte {
	for _, b := range s.rest {
		if b == '\r' {
			dst = spell(dst, '\r')
			continue
		}
		dst = fmt.Appendf(dst, `\x%02x`, b)
	}
	s.rest = nil
	return dst
}

// spell appends the name of a character that is not shown as itself.
func spell(dst []byte, r rune) []byte {
	switch {
	case r < ' ' || r == 0x7f:
		return append(dst, '^', byte(r)^0x40)
	case r <= 0xff:
		return fmt.Appendf(dst, `\x%02x`, r)
	case r <= 0xffff:
		return fmt.Appendf(dst, `\u%04x`, r)
	default:
		return fmt.Appendf(dst, `\U%08x`, r)
	}
}

// scrubbed returns the safe form of a text that stays on one line.
func scrubbed(text string) string {
	var s scrubber
	safe := s.flush(s.clean(nil, []byte(text)))
	return string(bytes.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		return r
	}, safe))
}
