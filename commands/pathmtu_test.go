package commands_test

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"diagsh/internal/test/netnstest"
)

// searchMTU returns what `ping mtu` finds, and whether it says that larger packets are dropped
// silently.
func (b *chainBench) searchMTU(target string) (mtu int, blackHole bool) {
	b.t.Helper()
	r := b.a.Local("ping " + target + " mtu --json")
	lines := strings.Split(strings.TrimSpace(r.Out), "\n")
	var last struct {
		Event     string
		MTU       int
		BlackHole bool
	}
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || r.Status != 0 || last.Event != "mtu" {
		b.t.Fatalf("%s: %+v", target, r)
	}
	return last.MTU, last.BlackHole
}

// A link that swallows large packets is found by its size, and with a router that says so by the
// router's word.
func TestPathMTU(t *testing.T) {
	inEachFamily(t, func(t *testing.T, b *chainBench, address func(int) string) {
		target := address(7)
		if mtu, hole := b.searchMTU(target); mtu != 1500 || hole {
			t.Errorf("%s: %d %v", target, mtu, hole)
		}
		b.Links[4].Lose(1413)
		if mtu, hole := b.searchMTU(target); mtu != 1413 || !hole {
			t.Errorf("%s through a black hole behind 1413 bytes: %d %v", target, mtu, hole)
		}
		b.Links[4].Lose(0)
		b.Nodes[4].MTU(t, "right", 1400)
		if mtu, hole := b.searchMTU(target); mtu != 1400 || hole {
			t.Errorf("%s through a link of 1400 bytes: %d %v", target, mtu, hole)
		}
	})
}

// The answers to the first large packets come too late to be waited for.
func TestPathMTUOfASlowWay(t *testing.T) {
	inEachFamily(t, func(t *testing.T, b *chainBench, address func(int) string) {
		for _, hole := range []int{0, 1413} {
			var large atomic.Int64
			b.Links[4].Lose(hole)
			b.Links[4].Decide(func(packet []byte) (f netnstest.Fate) {
				if len(packet) > 1300 && large.Add(1) <= 3 {
					f.Late = 2500 * time.Millisecond
				}
				return f
			})
			if mtu, silent := b.searchMTU(address(7)); mtu != cmp.Or(hole, 1500) || silent != (hole > 0) {
				t.Errorf("%s, slow for a while, through a hole behind %d bytes: %d %v", address(7), hole, mtu, silent)
			}
		}
	})
}

// The way to an own address is the loopback interface, whichever has it. A way that does not carry
// what every link of IPv6 must is found too.
func TestPathMTUOfUnusualWays(t *testing.T) {
	b := newChainBench(t)
	for _, own := range []string{"10.77.0.1", "fd77::1"} {
		if mtu, hole := b.searchMTU(own); mtu < 65535 || hole {
			t.Errorf("%s, an own address: %d %v", own, mtu, hole)
		}
	}
	b.Links[4].Lose(1000)
	if mtu, hole := b.searchMTU(b.Address6(7)); mtu != 1000 || !hole {
		t.Errorf("IPv6 through a hole behind 1000 bytes: %d %v", mtu, hole)
	}
	b.Links[4].Lose(0)
	b.Nodes[4].MTU(t, "right", 1400)
	ours, _ := b.traced(b.Address(7) + " size 1450 df")
	if last := ours[len(ours)-1]; len(ours) != 5 || !slices.Equal(last.marks, []string{"!F-1400"}) {
		t.Errorf("1450 bytes that may not be cut: %+v", ours)
	}
}
