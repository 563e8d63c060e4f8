package headers

import (
	"bytes"
	"testing"
)

// VLAN tags behind a cooked header are stepped over: what is behind them is cut after its headers.
func TestOnlyCookedTagged(t *testing.T) {
	ip := make([]byte, 20)
	ip[0], ip[9] = 0x45, 17
	headers := append(ip, make([]byte, udpHeader)...)
	for name, link := range map[string][]byte{
		"one tag":  {14: 0x81, 15: 0x00, 18: 0x08, 19: 0x00},
		"two tags": {14: 0x88, 15: 0xa8, 18: 0x81, 19: 0x00, 22: 0x08, 23: 0x00},
	} {
		want := append(bytes.Clone(link), headers...)
		if got := Only(append(bytes.Clone(want), "contents"...), linkCooked); !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes of %d are kept", name, len(got), len(want))
		}
	}
}
