package filter

import "testing"

// Bytes of the header of the link are found wherever a number is computed from them, and in nothing else.
func TestReadsLink(t *testing.T) {
	for expression, want := range map[string]bool{
		"ether[0] = 0":       true,
		"link[12:2] = 0x800": true,
		"byte 0 = 0x45":      true,
		"udp and not (port 9 or ether[6] & 1 = 1)": true,
		"ip[ether[0]] = 1":                         true,
		"1 = -ether[0] + 2":                        true,
		"":                                         false,
		"ether[":                                   false,
		"ether proto 0x0800 and udp port 9":        false,
		"len >= 38 and ip[ip[0] & 15] = 1":         false,
	} {
		if got := ReadsLink(expression); got != want {
			t.Errorf("%q: %v, not %v", expression, got, want)
		}
	}
}
