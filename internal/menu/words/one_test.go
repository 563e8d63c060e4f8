package words

import "testing"

// Blanks beside signs mean nothing, and any other separates values: 20 21 is not 2021.
func TestOne(t *testing.T) {
	for answer, want := range map[string]string{
		"": "", " 80 ": "80", "1 - 65535": "1-65535", "80; 443 ;": "80;443;", "! 22": "!22", "!( tcp, udp )": "!(tcp,udp)",
		"20 21": "-", "tcp or udp": "-", "80; 20 21": "-", "10.0.0.1 0": "-",
	} {
		got, one := One(answer)
		if one != (want != "-") || one && got != want {
			t.Errorf("%q: %q, %v", answer, got, one)
		}
	}
}
