package tcp

import "testing"

func TestNegotiation(t *testing.T) {
	for _, c := range []struct{ name, heard, text, answer string }{
		{"text", "220 mx\r\n", "220 mx\r\n", ""},
		{"wishes and offers", "\xff\xfd\x18\xff\xfd\x20\xff\xfb\x01login: ", "login: ",
			"\xff\xfc\x18\xff\xfc\x20\xff\xfe\x01"},
		{"refusals need no answer", "\xff\xfc\x01\xff\xfe\x18x", "x", ""},
		{"the same again", "\xff\xfb\x01\xff\xfb\x01\xff\xfd\x01", "", "\xff\xfe\x01\xff\xfc\x01"},
		{"a subnegotiation", "a\xff\xfa\x18\x01x\xff\xff\xff\xf0b", "ab", ""},
		{"commands", "a\xff\xf1b\xff\xf9c\xff\xf6", "abc", ""},
		{"a byte 255", "a\xff\xffb", "a\xffb", ""},
		{"no telnet", "a\xff\r\nb\xffc", "a\xff\r\nb\xffc", ""},
		{"CR NUL", "a\r\x00b\r\n\r\rc", "a\rb\r\n\r\rc", ""},
	} {
		for cut := range len(c.heard) + 1 { // wherever the network splits it
			var n negotiator
			var text, answer []byte
			for _, piece := range []string{c.heard[:cut], c.heard[cut:]} {
				got, reply := n.take([]byte(piece))
				text, answer = append(text, got...), append(answer, reply...)
			}
			if string(text) != c.text || string(answer) != c.answer {
				t.Errorf("%s, cut at %d: %q, answer %q; want %q, %q", c.name, cut, text, answer, c.text, c.answer)
			}
		}
	}
}

// FuzzNegotiation: there are no more answers than options, and no more text than input.
func FuzzNegotiation(f *testing.F) {
	f.Add([]byte("\xff\xfd\x18a\xff"))
	f.Fuzz(func(t *testing.T, heard []byte) {
		var n negotiator
		length := 0
		for range 3 {
			text, answer := n.take(heard)
			length += len(text)
			if len(answer) > 3*512 {
				t.Errorf("%d bytes of answer", len(answer))
			}
		}
		if length > 3*len(heard) {
			t.Errorf("%d bytes of text of %d", length, 3*len(heard))
		}
	})
}
