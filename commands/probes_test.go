package commands_test

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/netnstest"
	"diagsh/internal/test/slowness"
	"diagsh/internal/test/vt"
)

// linkDelay is what each link of the chain adds in each direction.
const linkDelay = 3 * time.Millisecond

// A hop is a line of a traceroute, ours or a peer's.
type hop struct {
	addresses []string // each once, in order
	marks     []string
	best      float64 // milliseconds
	stars     int
}

// chainBench is an appliance at the beginning of eight namespaces, and what its peers on the same
// way say.
type chainBench struct {
	*netnstest.Chain
	t *testing.T
	a *appliance.Appliance
}

func newChainBench(t *testing.T) *chainBench {
	t.Helper()
	t.Parallel()
	c := netnstest.NewChain(t, 8, linkDelay)
	return &chainBench{c, t, appliance.Start(t, appliance.Options{Network: c.Nodes[0]})}
}

// traced returns our trace, from its JSON, and how long it took.
func (b *chainBench) traced(args string) ([]hop, time.Duration) {
	b.t.Helper()
	began := time.Now()
	r := b.a.Local("traceroute " + args + " numeric --json")
	took := time.Since(began)
	if r.Status != 0 {
		b.t.Fatalf("traceroute %s: %+v", args, r)
	}
	var hops []hop
	for line := range strings.Lines(r.Out) {
		var record struct {
			Hop    int
			Probes []struct {
				Address, Mark string
				RTT           float64 `json:"rttSeconds"`
				Lost          bool
			}
		}
		if err := json.Unmarshal([]byte(line), &record); err != nil || record.Hop != len(hops)+1 {
			b.t.Fatalf("traceroute %s: %v: %s", args, err, line)
		}
		var h hop
		for _, p := range record.Probes {
			h.add(p.Address, p.Mark, p.RTT*1000, p.Lost)
		}
		hops = append(hops, h)
	}
	return hops, took
}

func (h *hop) add(address, mark string, ms float64, lost bool) {
	if lost {
		h.stars++
		return
	}
	if !slices.Contains(h.addresses, address) {
		h.addresses = append(h.addresses, address)
	}
	if mark != "" && !slices.Contains(h.marks, mark) {
		h.marks = append(h.marks, mark)
	}
	if h.best == 0 || ms < h.best {
		h.best = ms
	}
}

var probeSaid = regexp.MustCompile(`(\*)|([\d.]+) ms|([0-9a-f]+[.:][0-9a-f.:]+)|(![A-Z0-9<][^ ]*)`)

// peer returns the trace of Debian's traceroute, and how long it took.
func (b *chainBench) peer(args ...string) ([]hop, time.Duration) {
	b.t.Helper()
	began := time.Now()
	// Left to itself it gives up a probe after three times what the hop's first one took, which on
	// a busy machine is not always enough.
	r := b.a.Exec("", netnstest.Tool(b.t, "traceroute"), append([]string{"-n", "-w", "5,0,0"}, args...)...)
	took := time.Since(began)
	var hops []hop
	lines := strings.Split(strings.TrimSpace(r.Out), "\n")
	for _, line := range lines[1:] {
		var h hop
		address := ""
		_, line, _ = strings.Cut(strings.TrimSpace(line), " ")
		for _, m := range probeSaid.FindAllStringSubmatch(line, -1) {
			switch {
			case m[1] != "":
				h.add("", "", 0, true)
			case m[3] != "":
				address = m[3]
			case m[2] != "":
				ms, _ := strconv.ParseFloat(m[2], 64)
				h.add(address, "", ms, false)
			case m[4] != "":
				if !slices.Contains(h.marks, m[4]) {
					h.marks = append(h.marks, m[4])
				}
			}
		}
		hops = append(hops, h)
	}
	return hops, took
}

// agree compares two traces of one way: the same routers, marks and silences.
func agree(t *testing.T, what string, ours, theirs []hop) {
	t.Helper()
	if len(ours) != len(theirs) {
		t.Errorf("%s: we have %d hops, traceroute %d: %+v, %+v", what, len(ours), len(theirs), ours, theirs)
		return
	}
	for i, o := range ours {
		p := theirs[i]
		if !slices.Equal(o.addresses, p.addresses) || !slices.Equal(o.marks, p.marks) ||
			(o.stars > 0) != (p.stars > 0) {
			t.Errorf("%s, hop %d: %+v, traceroute says %+v", what, i+1, o, p)
		}
	}
}

// The routers, and on a quiet machine their times, are those that Debian's traceroute finds, with
// each kind of probe and of IP.
func TestTracerouteAgreesWithDebians(t *testing.T) {
	b := newChainBench(t)
	for _, target := range []string{b.Address(7), b.Address6(7), b.Address(3)} {
		for protocol, option := range map[string]string{"udp": "-U", "icmp": "-I", "tcp": "-T"} {
			what := protocol + " to " + target
			ours, _ := b.traced(target + " protocol " + protocol)
			theirs, _ := b.peer(option, target)
			agree(t, what, ours, theirs)
			// On a busy machine a process may wait for its turn longer than a packet is on its way:
			// the best of nine counts. A delay of the program's own is in each of them.
			for range 8 {
				if slower(ours, theirs) {
					again, _ := b.traced(target + " protocol " + protocol)
					for i := range min(len(ours), len(again)) {
						ours[i].best = min(ours[i].best, again[i].best)
					}
				}
			}
			if slower(ours, theirs) {
				t.Errorf("%s: %+v, by traceroute %+v", what, ours, theirs)
			}
			for i, h := range ours {
				if least := 2 * float64(i+1) * linkDelay.Seconds() * 1000; h.best < least {
					t.Errorf("%s, hop %d: %.3f ms, but its links take %.3f", what, i+1, h.best, least)
				}
			}
		}
	}
}

// slower reports whether the fastest probe of a hop took much longer than a peer's.
func slower(ours, theirs []hop) bool {
	for i := range min(len(ours), len(theirs)) {
		if ours[i].best > 3*theirs[i].best {
			return true
		}
	}
	return false
}

// A router that refuses is the last hop, with its reason as a letter. It refuses what it would pass
// on, so the hop before it is itself.
func TestTracerouteUnreachableHop(t *testing.T) {
	b := newChainBench(t)
	for _, c := range []struct{ rule, mark string }{
		{"reject with icmp type host-unreachable", "!H"}, {"reject with icmp type net-unreachable", "!N"},
		{"reject with icmp type prot-unreachable", "!P"},
		{"reject with icmp type admin-prohibited", "!X"}, {"reject with icmp type host-prohibited", "!Z"},
		{"reject with icmp type net-prohibited", "!A"},
	} {
		b.firewall(4, c.rule)
		ours, _ := b.traced(b.Address(7))
		if last := ours[len(ours)-1]; len(ours) != 5 || !slices.Equal(last.marks, []string{c.mark}) ||
			!slices.Equal(last.addresses, []string{b.Address(4)}) {
			t.Errorf("%s: %+v", c.rule, ours)
		}
	}
	b.firewall(4, "reject with icmp type admin-prohibited")
	ours, _ := b.traced(b.Address(7))
	theirs, _ := b.peer("-U", b.Address(7))
	agree(t, "prohibited", ours, theirs)
	b.firewall(4, "reject with icmpv6 type admin-prohibited")
	ours, _ = b.traced(b.Address6(7))
	theirs, _ = b.peer("-U", b.Address6(7))
	agree(t, "prohibited, IPv6", ours, theirs)
}

// A router that finds no host at an address on its own link says so after three seconds, which the
// default options wait for. Meanwhile it may keep only the latest packets, and may say nothing of
// probes that end at it: it is where it is all the same.
func TestTracerouteNobodyThere(t *testing.T) {
	for _, c := range []struct {
		name   string
		queue  string // packets that the router keeps while it asks for a neighbour
		silent bool
		hops   int
	}{
		{"a router with room", "101", false, 3},
		{"a router that keeps three packets", "3", false, 3},
		{"a silent router", "101", true, 2},
		{"a silent router that keeps three packets", "3", true, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newChainBench(t)
			b.lan(2)
			b.Nodes[2].Set(t, "net/ipv4/neigh/lan/unres_qlen", c.queue)
			b.Nodes[2].Set(t, "net/ipv6/neigh/lan/unres_qlen", c.queue)
			b.Nodes[2].Set(t, "net/ipv4/icmp_ratelimit", "0") // five ask it at once
			b.Nodes[2].Set(t, "net/ipv6/icmp/ratelimit", "0")
			if c.silent {
				b.nft(2, "flush ruleset; table inet t { chain c { type filter hook output priority 0; icmp type "+
					"time-exceeded drop; icmpv6 type time-exceeded drop; }; }")
			}
			// All at once, each to an address of its own: the router keeps packets for each.
			theirs := map[string]chan []hop{}
			for _, args := range []string{"-U 10.88.0.98", "10.88.0.97", "-U fd88::98", "fd88::97"} {
				found := make(chan []hop, 1)
				theirs[args] = found
				go func() {
					hops, _ := b.peer(strings.Fields(args)...)
					found <- hops
				}()
			}
			for _, network := range []string{"10.88.0.", "fd88::"} {
				ours, _ := b.traced(network + "99")
				for _, args := range []string{"-U " + network + "98", network + "97"} {
					agree(t, args, ours, <-theirs[args])
				}
				if last := ours[len(ours)-1]; len(ours) != c.hops || last.stars > 0 ||
					!slices.Equal(last.marks, []string{"!H"}) {
					t.Errorf("%s99: nobody is there, and the trace is %+v", network, ours)
				}
			}
		})
	}
}

// The view finds the same last hop: a router that keeps only the latest packets refuses those, and
// the next round asks it as the last hop.
func TestWatchNobodyThere(t *testing.T) {
	b := newChainBench(t)
	b.lan(2)
	b.Nodes[2].Set(t, "net/ipv4/neigh/lan/unres_qlen", "3")
	r := b.a.Local("traceroute 10.88.0.99 watch numeric interval 4s rounds 2 --json")
	lines := strings.Split(strings.TrimSpace(r.Out), "\n")
	var last struct {
		Round, Hop, Sent, Received int
		Mark                       string
	}
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || last.Round != 2 || last.Hop != 3 ||
		last.Received != 1 || last.Mark != "!H" {
		t.Errorf("%v: the last hop is %+v of\n%s", err, last, r.Out)
	}
}

// lan gives a node a link without other hosts, with the addresses 10.88.0.0/24 and fd88::/64.
func (b *chainBench) lan(node int) {
	b.t.Helper()
	b.Nodes[node].Do(b.t, func() {
		link := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "lan"}, PeerName: "far"}
		if err := netlink.LinkAdd(link); err != nil {
			b.t.Fatal(err)
		}
		for _, name := range []string{"lan", "far"} {
			end, err := netlink.LinkByName(name)
			if err == nil {
				err = netlink.LinkSetUp(end)
			}
			if err != nil {
				b.t.Fatal(err)
			}
		}
		netnstest.Operates(b.t, "lan")
	})
	b.Nodes[node].Address(b.t, "lan", "10.88.0.1/24", "fd88::1/64")
	for i, n := range b.Nodes[:node] {
		n.Route(b.t, "10.88.0.0/24", fmt.Sprintf("10.77.%d.2", i))
		n.Route(b.t, "fd88::/64", fmt.Sprintf("fd77:0:0:%d::2", i))
	}
}

// The view fits the terminal, in place and as last words, and grows while answers come: a hop that
// is silent does not hold up the rest.
func TestWatchFitsTheTerminal(t *testing.T) {
	b := newChainBench(t)
	b.nft(3, "flush ruleset; table inet t { chain c { type filter hook output priority 0; icmp type time-exceeded "+
		"drop; }; }")
	for _, c := range []struct {
		columns int
		heading string
	}{
		{80, "Router Loss Sent Last ms Average Best Worst Stddev"},
		{40, "Router Loss Sent Average"},
	} {
		term := b.a.Terminal("op", c.columns, 24)
		term.Prompted(appliance.Host + "> ")
		term.Type("traceroute " + b.Address(7) + " watch numeric interval 60s rounds 2\r")
		var rows []string
		if err := term.Until(appliance.Patience, func(s *vt.Screen) bool {
			rows = s.Rows()
			return strings.Contains(strings.Join(rows, "\n"), " 7  "+b.Address(7))
		}); err != nil {
			t.Fatalf("%d columns: %v\n%s", c.columns, err, strings.Join(rows, "\n"))
		}
		// A column is as wide as its longest time.
		if !slices.ContainsFunc(rows, func(row string) bool {
			return strings.Join(strings.Fields(row), " ") == c.heading
		}) {
			t.Errorf("%d columns: no heading %q in\n%s", c.columns, c.heading, strings.Join(rows, "\n"))
		}
		term.Type("\x03")
		term.Prompted(appliance.Host + "> ")
	}
}

// firewall gives a node one rule for what it passes on.
func (b *chainBench) firewall(node int, rule string) {
	b.t.Helper()
	b.nft(node, "flush ruleset; table inet t { chain c { type filter hook forward priority 0; meta l4proto { udp, "+
		"tcp, icmp, ipv6-icmp } iifname left "+rule+"; }; }")
}

func (b *chainBench) nft(node int, rules string) {
	b.t.Helper()
	nft := netnstest.Tool(b.t, "nft")
	b.Nodes[node].Do(b.t, func() {
		if out, err := exec.Command(nft, rules).CombinedOutput(); err != nil {
			b.t.Fatalf("nft: %v: %s", err, out)
		}
	})
}

// A router that says nothing is a line of stars, and the trace ends within a second of its last
// answer.
func TestTracerouteSilentHop(t *testing.T) {
	inEachFamily(t, func(t *testing.T, b *chainBench, address func(int) string) {
		b.nft(3, "flush ruleset; table inet t { chain c { type filter hook output priority 0; "+
			"icmp type time-exceeded drop; icmpv6 type time-exceeded drop; }; }")
		target := address(7)
		watch := slowness.Start(t)
		ours, took := b.traced(target)
		for range 2 { // a process may have to wait for its turn: the best of three counts
			if took > time.Second {
				_, again := b.traced(target)
				took = min(took, again)
			}
		}
		second := watch.Limit(time.Second)
		theirs, their := b.peer("-U", target)
		agree(t, target, ours, theirs)
		if ours[2].stars != 3 {
			t.Errorf("%s: the silent hop: %+v", target, ours[2])
		}
		if slowest := time.Duration(ours[6].best * float64(time.Millisecond)); took > slowest+second {
			t.Errorf("%s: it took %v, its slowest answer %v, traceroute %v", target, took, slowest, their)
		}
	})
}

// inEachFamily runs a test over IPv4 and IPv6 at a time, each on a chain of its own. address is
// Chain.Address or Chain.Address6.
func inEachFamily(t *testing.T, test func(t *testing.T, b *chainBench, address func(node int) string)) {
	t.Parallel()
	t.Run("IPv4", func(t *testing.T) {
		b := newChainBench(t)
		test(t, b, b.Address)
	})
	t.Run("IPv6", func(t *testing.T) {
		b := newChainBench(t)
		test(t, b, b.Address6)
	})
}

// Thirty silent hops take a fifth of what traceroute takes, or less.
func TestTracerouteOfSilence(t *testing.T) {
	b := newChainBench(t)
	b.Links[0].Cut(true)
	done := make(chan time.Duration)
	go func() {
		_, took := b.peer("-U", b.Address(7))
		done <- took
	}()
	watch := slowness.Start(t)
	ours, took := b.traced(b.Address(7) + " ttl 30")
	slow := watch.Limit(time.Second) - time.Second // of which the wait for silence is none
	theirs := <-done
	t.Logf("30 silent hops: %v, traceroute %v", took, theirs)
	if len(ours) != 30 || took > theirs/5+slow {
		t.Errorf("%d silent hops took %v, traceroute %v", len(ours), took, theirs)
	}
}

// Ctrl-C ends each of them with the last words that it has, and the prompt comes back.
func TestCtrlCInProbes(t *testing.T) {
	b := newChainBench(t)
	term := b.a.Terminal("op", 100, 40)
	term.Prompted(appliance.Host + "> ")
	for _, c := range []struct{ line, before, after string }{
		{"ping " + b.Address(7) + " interval 50ms", "icmp_seq=3 ", "packets transmitted, "},
		{"traceroute " + b.Address(7) + " watch numeric", "round 2", "10.77.6.2  "},
		{"telnet 10.77.0.2 timeout 60s", "Trying 10.77.0.2", ""},
		{"traceroute 10.77.6.99 numeric wait 60s", "10.77.5.2 (10.77.5.2)", ""},
	} {
		if strings.HasPrefix(c.line, "telnet") {
			b.Links[0].Cut(true)
		} else {
			b.Links[0].Cut(false)
		}
		row := 0
		term.Look(func(s *vt.Screen) { row = s.Row() })
		term.Type(c.line + "\r")
		seen := func(text string) func(*vt.Screen) bool {
			return func(s *vt.Screen) bool { return strings.Contains(strings.Join(s.Rows()[row:], "\n"), text) }
		}
		if err := term.Until(appliance.Patience, seen(c.before)); err != nil {
			t.Fatalf("%s: %v", c.line, err)
		}
		term.Type("\x03")
		err := term.Until(appliance.Patience, func(s *vt.Screen) bool {
			return s.Row() > row && s.Before() == appliance.Host+"> " && seen(c.after)(s)
		})
		if err != nil {
			t.Fatalf("%s, then Ctrl-C: %v", c.line, err)
		}
	}
}
