package clean

import "testing"

func TestLine(t *testing.T) {
	for in, want := range map[string]string{
		"":                  "",
		"nginx: worker":     "nginx: worker",
		"größe 日本":          "größe 日本",
		"a\x1b[2Jb":         `a\x1b[2Jb`,
		"one\ntwo\r\tthree": `one\x0atwo\x0d\x09three`,
		"a\xffb":            `a\xffb`,
		"a\u202eb\u2028":    `a\u202eb\u2028`,
		"a\uFFFDb":          "a\\ufffdb",
		"\x9b":              `\x9b`,
		"\u009b":            `\x9b`,
	} {
		if got := Line(in); got != want {
			t.Errorf("Line(%q) = %q, want %q", in, got, want)
		}
	}
}
