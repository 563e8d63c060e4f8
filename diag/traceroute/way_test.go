package traceroute

import (
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"diagsh/internal/test/netnstest"
	"diagsh/internal/test/slowness"
)

// A way leads over routers to a last Ethernet with the target.
type way struct {
	*netnstest.Chain
	target    *netnstest.Namespace
	last      *netnstest.Link // to the target
	four, six string          // the target's addresses
}

// newWay makes a way over that many routers, with a delay of each frame on the last link. The
// target limits its answers as Linux does by default.
func newWay(t *testing.T, routers int, delay time.Duration) *way {
	t.Helper()
	w := &way{Chain: netnstest.NewChain(t, routers+1, 0), target: netnstest.New(t), four: "10.88.0.2", six: "fd88::2"}
	router := w.Nodes[routers]
	w.last = netnstest.Ethernet(t, router, "lan", w.target, "eth0", delay)
	router.Address(t, "lan", "10.88.0.1/24", "fd88::1/64")
	w.target.Address(t, "eth0", "10.88.0.2/24", "fd88::2/64")
	w.target.Route(t, "0.0.0.0/0", "10.88.0.1")
	w.target.Route(t, "::/0", "fd88::1")
	for i, n := range w.Nodes[:routers] {
		n.Route(t, "10.88.0.0/24", fmt.Sprintf("10.77.%d.2", i))
		n.Route(t, "fd88::/64", fmt.Sprintf("fd77:0:0:%d::2", i))
	}
	return w
}

func (w *way) trace(t *testing.T, target string, p Protocol) (hops []Hop, took time.Duration) {
	t.Helper()
	began := time.Now()
	w.Nodes[0].Do(t, func() {
		if err := Run(t.Context(), wayOptions(target, p), func(h Hop) error {
			hops = append(hops, h)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	})
	return hops, time.Since(began)
}

func wayOptions(target string, p Protocol) Options {
	to := netip.MustParseAddr(target)
	return Options{Target: to, Protocol: p, Port: 33434, Hops: 64, Probes: 3, Size: Smallest(p, to),
		Wait: 5 * time.Second}
}

func told(hops []Hop) string {
	var b strings.Builder
	for _, h := range hops {
		fmt.Fprintf(&b, "%d", h.Number)
		for _, a := range h.Answers {
			if a.Came() {
				fmt.Fprintf(&b, " %s %.1f%s", a.From, a.Time.Seconds()*1000, a.Letter())
			} else {
				b.WriteString(" *")
			}
		}
		b.WriteString("; ")
	}
	return b.String()
}

// TestColdNeighbour: a router that must first learn the target's address queues some packets and
// drops others. The target is still shown where the smallest hop limit reaches it.
func TestColdNeighbour(t *testing.T) {
	for _, c := range []struct {
		name  string
		queue string // packets that the router queues
		delay time.Duration
	}{
		{"a queue of 101 packets", "101", 150 * time.Millisecond},
		{"a queue of three packets", "3", 50 * time.Millisecond},
	} {
		for _, p := range []Protocol{UDP, ICMP, TCP} {
			for _, six := range []bool{false, true} {
				t.Run(fmt.Sprint(c.name, ", ", p, ", IPv6 ", six), func(t *testing.T) {
					t.Parallel()
					w := newWay(t, 1, c.delay)
					w.Nodes[1].Set(t, "net/ipv4/neigh/lan/unres_qlen", c.queue)
					w.Nodes[1].Set(t, "net/ipv6/neigh/lan/unres_qlen", c.queue)
					target := w.four
					if six {
						target = w.six
					}
					hops, _ := w.trace(t, target, p)
					if len(hops) != 2 || hops[1].Answers[0].From.String() != target || !hops[1].Answers[0].Reached() ||
						slices.ContainsFunc(hops[1].Answers, func(a Answer) bool { return !a.Came() }) {
						t.Errorf("the target is two hops away: %s", told(hops))
					}
				})
			}
		}
	}
}

// TestSilentBeforeTheTarget: a silent router right before the target stays a silent hop, and the
// trace ends within a second after its last answer.
func TestSilentBeforeTheTarget(t *testing.T) {
	for _, six := range []bool{false, true} {
		t.Run(fmt.Sprint("IPv6 ", six), func(t *testing.T) {
			t.Parallel()
			w := newWay(t, 3, 0)
			for _, silent := range []int{2, 3} {
				w.silence(t, silent)
			}
			target := w.four
			if six {
				target = w.six
			}
			watch := slowness.Start(t)
			hops, took := w.trace(t, target, UDP)
			if len(hops) != 4 || hops[0].Answers[0].Reached() || hops[1].Answers[0].Came() ||
				hops[2].Answers[0].Came() || !hops[3].Answers[0].Reached() {
				t.Errorf("two silent routers before a target four hops away: %s", told(hops))
			}
			if limit := watch.Limit(3 * time.Second); took > limit {
				t.Errorf("it took %v, more than %v: %s", took, limit, told(hops))
			}
		})
	}
}

func (w *way) run(t *testing.T, node int, tool string, args ...string) {
	t.Helper()
	path := netnstest.Tool(t, tool)
	w.Nodes[node].Do(t, func() {
		if out, err := exec.Command(path, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s %s: %v: %s", tool, strings.Join(args, " "), err, out)
		}
	})
}

// detour makes a second way to the target, longer by one router, which is not used yet.
func (w *way) detour(t *testing.T) {
	detour := netnstest.New(t)
	detour.Set(t, "net/ipv4/ip_forward", "1")
	detour.Set(t, "net/ipv6/conf/all/forwarding", "1")
	netnstest.Ethernet(t, w.Nodes[1], "out", detour, "in", 0)
	netnstest.Ethernet(t, detour, "on", w.Nodes[2], "back", 0)
	w.Nodes[1].Address(t, "out", "10.90.0.1/24", "fd90::1/64")
	detour.Address(t, "in", "10.90.0.2/24", "fd90::2/64")
	detour.Address(t, "on", "10.91.0.1/24", "fd91::1/64")
	w.Nodes[2].Address(t, "back", "10.91.0.2/24", "fd91::2/64")
	detour.Route(t, "0.0.0.0/0", "10.91.0.2")
	detour.Route(t, "::/0", "fd91::2")
	detour.Route(t, "10.77.0.0/24", "10.90.0.1")
	detour.Route(t, "fd77::/64", "fd90::1")
}

// TestWatchFollowsTheWay: a view finds the target again when the way becomes longer, when a silent
// router takes its place, and when the way becomes shorter.
func TestWatchFollowsTheWay(t *testing.T) {
	for _, p := range []Protocol{UDP, ICMP, TCP} {
		for _, six := range []bool{false, true} {
			t.Run(fmt.Sprint(p, ", IPv6 ", six), func(t *testing.T) {
				t.Parallel()
				// One more node leads to the target by a second way, longer by one router. The
				// target answers each round, ten times a second (see
				// TestWatchOfATargetThatSaysLittle).
				w := newWay(t, 2, 0)
				w.target.Set(t, "net/ipv4/icmp_ratemask", "0")
				w.target.Set(t, "net/ipv6/icmp/ratemask", "255")
				w.detour(t)
				target, network, family, direct, longer := w.four, "10.88.0.0/24", "-4", "10.77.1.2", "10.90.0.2"
				if six {
					target, network, family, direct, longer = w.six, "fd88::/64", "-6", "fd77:0:0:1::2", "fd90::2"
				}
				via := func(gateway string) { w.run(t, 1, "ip", family, "route", "replace", network, "via", gateway) }

				ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
				defer stop()
				o := wayOptions(target, p)
				o.Hops, o.Wait = 12, 60*time.Millisecond
				stage, seen := 0, ""
				follow := func(_ int, hops []Watched) error {
					last := hops[len(hops)-1]
					seen = fmt.Sprintf("%+v", hops)
					at := slices.Contains(last.Routers, netip.MustParseAddr(target)) && last.Received > 0
					switch {
					case stage == 0 && at && len(hops) == 3:
						stage++
						via(longer)
					// on a busy machine an answer may be late
					case stage == 1 && at && len(hops) == 4 && last.Received > 2 && last.Lost <= last.Sent/10:
						stage++
						via(direct)
					case stage == 2 && at && len(hops) == 3 && hops[2].Letter == "":
						stage++
						w.silence(t, 2)
						via(longer)
					case stage == 3 && at && len(hops) == 4 && last.Received > 2:
						stage++
						stop()
					}
					return nil
				}
				w.Nodes[0].Do(t, func() {
					if err := Watch(ctx, o, 100*time.Millisecond, 0, func(int, []Watched) {}, follow); err != nil {
						t.Error(err)
					}
				})
				if stage != 4 {
					t.Errorf("it came to stage %d and saw %s", stage, seen)
				}
			})
		}
	}
}

// limit makes the target ignore that many UDP probes, answer the next one, and then one each
// second, as Linux limits what it says of closed ports (icmp_ratelimit in ip-sysctl.rst).
func (w *way) limit(unanswered int) {
	const ethernet, ipv4 = 14, 20
	var mu sync.Mutex
	var said time.Time
	w.last.Decide(func(frame []byte) netnstest.Fate {
		isICMP := len(frame) > ethernet+ipv4 && frame[12] == 8 && frame[13] == 0 && frame[ethernet+9] == 1
		if !isICMP || frame[ethernet+ipv4] != 3 { // destination unreachable
			return netnstest.Fate{}
		}
		mu.Lock()
		defer mu.Unlock()
		if unanswered > 0 {
			unanswered--
			return netnstest.Fate{Lost: true}
		}
		now := time.Now()
		if now.Sub(said) < time.Second {
			return netnstest.Fate{Lost: true}
		}
		said = now
		return netnstest.Fate{}
	})
}

// A target that answers once a second first answers a probe of a larger hop limit than it needs.
// Rounds come once a second, too: without a delay it would answer that probe in each of them, and
// stay hops too far away.
func TestWatchOfATargetThatSaysLittle(t *testing.T) {
	t.Parallel()
	w := newWay(t, 2, 0)
	w.target.Set(t, "net/ipv4/icmp_ratemask", "0")
	w.limit(6)
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	o := wayOptions(w.four, UDP)
	o.Hops = 12
	var far, seen []string
	near := 0
	follow := func(_ int, hops []Watched) error {
		last := hops[len(hops)-1]
		seen = append(seen, fmt.Sprintf("%d %v %d of %d", last.Number, last.Routers, last.Received, last.Sent))
		if slices.Contains(last.Routers, netip.MustParseAddr(w.four)) {
			if last.Number > 3 {
				far = append(far, seen[len(seen)-1])
			} else if near++; near == 3 {
				stop()
			}
		}
		return nil
	}
	w.Nodes[0].Do(t, func() {
		if err := Watch(ctx, o, time.Second, 0, func(int, []Watched) {}, follow); err != nil {
			t.Error(err)
		}
	})
	if near < 3 || len(far) == 0 || len(far) > 2 {
		t.Errorf("the target is three hops away; in each round it was at\n%s", strings.Join(seen, "\n"))
	}
}

// silence makes a node drop packets without reporting it.
func (w *way) silence(t *testing.T, node int) {
	w.run(t, node, "nft",
		"table inet t { chain c { type filter hook output priority 0; icmp type time-exceeded drop; icmpv6 type time-exceeded drop; }; }")
}
