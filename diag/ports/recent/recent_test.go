package recent

import (
	"net/netip"
	"testing"
)

// TestLast: as many as fit are kept, the last ones, each as it was when it ended last.
func TestLast(t *testing.T) {
	c := New[int]()
	local := netip.MustParseAddrPort("192.0.2.1:25")
	remote := func(n int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), 4711)
	}
	for n := range most + 10 {
		c.Add(1, local, remote(n), n)
		c.Add(1, local, remote(n), n+1)
	}
	for n, want := range map[int]bool{0: false, 9: false, 10: true, most + 9: true, most + 10: false} {
		if got, ok := c.Of(1, local, remote(n)); ok != want || ok && got != n+1 {
			t.Errorf("connection %d: %d, %v", n, got, ok)
		}
	}
	if _, ok := c.Of(2, local, remote(20)); ok {
		t.Error("it is known in another namespace")
	}
	if len(c.known) != most {
		t.Errorf("%d are kept", len(c.known))
	}
}
