package ping

import (
	"net/netip"
	"testing"
)

// An ICMP error of a router on the way, as tcpdump -x shows it: time exceeded for an echo request from 10.77.0.1 to 10.77.6.2, identifier
// 0x1234, sequence number 5.
var exceeded = []byte{11, 0, 0, 0, 0, 0, 0, 0,
	0x45, 0, 0, 84, 0, 1, 0, 0, 1, 1, 0, 0, 10, 77, 0, 1, 10, 77, 6, 2,
	8, 0, 0, 0, 0x12, 0x34, 0, 5}

func TestParseError(t *testing.T) {
	a, about, ok := parseError(exceeded, false)
	if !ok || about.to != netip.MustParseAddr("10.77.6.2") || about.id != 0x1234 || a.Sequence != 5 || !a.Error.Exceeded() {
		t.Errorf("%+v %+v %v", a, about, ok)
	}
	for n := range exceeded {
		if _, _, ok := parseError(exceeded[:n], false); ok {
			t.Errorf("%d bytes of it are understood", n)
		}
	}
}

func FuzzParseError(f *testing.F) {
	f.Add(exceeded, false)
	f.Add(exceeded, true)
	f.Fuzz(func(t *testing.T, b []byte, v6 bool) {
		if a, _, ok := parseError(b, v6); ok && a.Error.String() == "" {
			t.Error("an error without words")
		}
	})
}
