package clean

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestQuoted(t *testing.T) {
	for text, want := range map[string]string{
		"":                                 `""`,
		"eth0":                             `"eth0"`,
		"a\x1b[2Jb\u202e":                  `"a\x1b[2Jb\u202e"`,
		strings.Repeat("x", 61):            `"` + strings.Repeat("x", 60) + `..."`,
		strings.Repeat("x", 59) + "üüüüüü": `"` + strings.Repeat("x", 59) + `..."`,
	} {
		if got := Quoted(text); got != want {
			t.Errorf("%q is quoted as %s, not %s", text, got, want)
		}
	}
}

func FuzzBounded(f *testing.F) {
	f.Add("grün", 3)
	f.Add("\x80\x80\x80\x80\x80\x80\x80\x80", 6)
	f.Fuzz(func(t *testing.T, text string, most int) {
		if most < 0 {
			return
		}
		got := Bounded(text, most)
		if len(text) <= most {
			if got != text {
				t.Fatalf("%q becomes %q", text, got)
			}
			return
		}
		begin, ok := strings.CutSuffix(got, "...")
		if !ok || len(begin) > most || !strings.HasPrefix(text, begin) || len(begin) < most-utf8.UTFMax {
			t.Fatalf("%q, at most %d: %q", text, most, got)
		}
		if utf8.ValidString(text) && !utf8.ValidString(begin) {
			t.Fatalf("%q cuts a character of %q", got, text)
		}
	})
}
