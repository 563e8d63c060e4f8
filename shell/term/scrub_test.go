package term

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestScrub(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"plain\ttext\n", "plain\ttext\n"},
		{"line\r\nline\r\n", "line\nline\n"},
		{"over\rwritten", "over^Mwritten"},
		{"\x1b[2J\x1b]0;title\a", "^[[2J^[]0;title^G"},
		{"\x00\b\x7f", "^@^H^?"},
		{"\u009b31m\u0085", `\x9b31m\x85`},
		{"\x9b31m", `\x9b31m`},
		{"a\xc3", `a\xc3`},
		{"a\r", "a^M"},
		{"\xed\xa0\x80", `\xed\xa0\x80`},
		{"\u202egpj.exe\u2066\ufeff\u200b", `\u202egpj.exe\u2066\ufeff\u200b`},
		{"\u2028\U000e0041", `\u2028\U000e0041`},
		{"日本 é e\u0301 👨\u200d👩\u200d👧 ❤\ufe0f", "日本 é e\u0301 👨\u200d👩\u200d👧 ❤\ufe0f"},
	} {
		var s scrubber
		if got := string(s.flush(s.clean(nil, []byte(c.in)))); got != c.want {
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
		// Wherever it is cut, the result is the same.
		for i := range len(c.in) {
			var s scrubber
			got := s.clean(nil, []byte(c.in[:i]))
			got = s.flush(s.clean(got, []byte(c.in[i:])))
			if string(got) != c.want {
				t.Errorf("%q cut at %d: %q, want %q", c.in, i, got, c.want)
			}
		}
	}
}

func FuzzScrub(f *testing.F) {
	f.Add([]byte("a\x1b[31m\r\n"), 3)
	f.Fuzz(func(t *testing.T, in []byte, cut int) {
		cut = max(0, min(cut, len(in)))
		var s scrubber
		out := s.flush(s.clean(s.clean(nil, in[:cut]), in[cut:]))
		if !utf8.Valid(out) {
			t.Fatalf("%q becomes invalid: %q", in, out)
		}
		for _, r := range string(out) {
			if r != '\n' && r != '\t' && !harmless(r) {
				t.Fatalf("%q lets %q through", in, r)
			}
		}
	})
}

// TestHostileOutput sends the output of strangers through a whole session.
func TestHostileOutput(t *testing.T) {
	p := sit(t, "shell", 80, 6)
	p.types(`raw \x1b[2J\x1b[31mred\x1b]0;t\x07\u009b5A\xff\x9b\u202eevil\rx` + "\r")
	p.endsWith(`^[[2J^[[31mred^[]0;t^G\x9b5A\xff\x9b\u202eevil^Mx` + "\nh> |")
}

func FuzzDecoder(f *testing.F) {
	f.Add([]byte("a\x1b[A\x1b[200~b\r\n\x1b[201~\xe6\x97\xa5"), 4)
	f.Fuzz(func(t *testing.T, in []byte, cut int) {
		cut = max(0, min(cut, len(in)))
		decode := func(parts ...[]byte) (keys []key) {
			var d decoder
			for _, p := range parts {
				d.feed(p, func(k key) {
					if len(k.seq) == 0 {
						t.Fatal("an empty key")
					}
					if k.isText() && strings.ContainsFunc(k.seq, func(r rune) bool { return !harmless(r) }) {
						t.Fatalf("text %q", k.seq)
					}
					if n := len(keys); n > 0 && k.isText() && keys[n-1].isText() && keys[n-1].pasted == k.pasted {
						keys[n-1].seq += k.seq
						return
					}
					keys = append(keys, k)
				})
			}
			return keys
		}
		whole, cutUp := decode(in), decode(in[:cut], in[cut:])
		if len(whole) != len(cutUp) {
			t.Fatalf("%q in one read: %v, in two: %v", in, whole, cutUp)
		}
		for i := range whole {
			if whole[i] != cutUp[i] {
				t.Fatalf("%q in one read: %v, in two: %v", in, whole, cutUp)
			}
		}
	})
}
