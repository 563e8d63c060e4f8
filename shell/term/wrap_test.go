package term

import "testing"

func TestWrapped(t *testing.T) {
	for _, c := range []struct {
		name, text, want string
		width            int
	}{
		{"fits", "twelve chars\n", "twelve chars\n", 12},
		{"at a blank", "one two three four\n", "one two\nthree four\n", 10},
		{"at the margin", "one two three", "one two\nthree", 7},
		{"two columns", "  name  Help of several words\n  n     Short\n",
			"  name  Help of\n        several\n        words\n  n     Short\n", 16},
		{"a first column too wide", "  averylongname  Help of words\n", "  averylongname\n  Help of words\n", 16},
		{"a word too wide", "abcdefghijkl mno pq\n", "abcdefghijkl\nmno\npq\n", 5},
		{"a word too wide between others", "a abcdefgh b c d\n", "a\nabcdefgh\nb c d\n", 6},
		{"a word too wide for its column", "  n  abcdefgh ijk\n", "  n\n  abcdefgh\n     ijk\n", 10},
		{"a word that fits further left", "  n  a bcdefg h\n", "  n  a\n bcdefg\n  h\n", 7},
		{"a menu", "- WATCH - Show packets\n", "- WATCH -\n  Show\n  packets\n", 10},
		{"choices by number", "12. eth0 (up, 192.0.2.1)\n", "12. eth0 (up,\n    192.0.2.1)\n", 14},
		{"no number", "... and so on\n", "... and\nso on\n", 8},
		{"choices", "x [state one|two|three|four] [y]\n", "x [state\none|two|\nthree|\nfour]\n[y]\n", 8},
		{"a bar that fits as the last column", "aaa|bbb\n", "aaa|\nbbb\n", 4},
		{"empty lines", "\n\na b\n", "\n\na\nb\n", 2},
		{"other letters", "äöü äöü äöü\n", "äöü äöü\näöü\n", 7},
		{"wide letters", "日本語 is not known\n", "日本語\nis not\nknown\n", 8},
		{"one column", "a b\n", "a\nb\n", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Wrapped(c.text, c.width); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}
