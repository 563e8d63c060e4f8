package commits

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"diagsh/internal/config"
	"diagsh/internal/menu"
	"diagsh/internal/test/await"
	"diagsh/internal/test/netconftest"
	"diagsh/internal/test/netnstest"
)

// ipv6 is what ip says of addresses, routes, neighbours and settings, without what runs by itself:
// the rest of lifetimes may be three seconds less, and the order of the kernel's lists is that of
// their making.
func ipv6(n *netconftest.Namespace) string {
	n.T.Helper()
	var lines []string
	for _, what := range [][]string{{"addr"}, {"route", "show", "table", "all"}, {"neigh", "show", "nud", "permanent"}} {
		var rows []map[string]any
		if err := json.Unmarshal([]byte(n.Run(append([]string{"ip", "-6", "-j", "-d"}, what...)...)), &rows); err != nil {
			n.T.Fatal(err)
		}
		for _, row := range rows {
			inner := []any{row}
			if list, ok := row["addr_info"].([]any); ok {
				inner = list
			} else if list, ok := row["nexthops"].([]any); ok {
				slices.SortFunc(list, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
			}
			for _, i := range inner {
				for _, life := range []string{"valid_life_time", "preferred_life_time"} {
					if m := i.(map[string]any); m[life] != nil {
						m[life] = int((m[life].(float64) + 99) / 100)
					}
				}
				lines = append(lines, fmt.Sprint(what[0], row["ifname"], i))
			}
		}
	}
	slices.Sort(lines)
	n.Do(n.T, func() {
		for _, f := range []string{"conf/left/hop_limit", "conf/left/disable_ipv6", "neigh/left/ucast_solicit"} {
			text, _ := os.ReadFile("/proc/sys/net/ipv6/" + f)
			lines = append(lines, f+" "+string(text))
		}
	})
	return strings.Join(lines, "\n")
}

// settled waits until the addresses are examined and those of the links are there.
func settled(n *netconftest.Namespace) {
	n.T.Helper()
	await.Until(n.T, "addresses that are not tentative", func() bool {
		text := n.Run("ip", "-6", "addr")
		return strings.Count(text, "fe80") >= 2 && !strings.Contains(text, "tentative")
	})
}

func newIPv6Network(t *testing.T) *netconftest.Namespace {
	ns := netnstest.New(t)
	ns.Veth(t, "left", "right")
	ns.Veth(t, "third", "fourth")
	n := &netconftest.Namespace{Namespace: ns, T: t, VLAN: func() error { return unix.EOPNOTSUPP }}
	for _, name := range []string{"left", "third", "lo"} {
		ns.Do(t, func() {
			if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/disable_ipv6", []byte("0"), 0); err != nil {
				netnstest.Missing(t, "this kernel has no IPv6")
			}
		})
	}
	ns.Do(t, func() {
		for f, v := range map[string]string{"conf/left/hop_limit": "99", "neigh/left/ucast_solicit": "7"} {
			if err := os.WriteFile("/proc/sys/net/ipv6/"+f, []byte(v), 0); err != nil {
				t.Fatal(err)
			}
		}
	})
	for _, line := range []string{
		"addr add 2001:db8:1::5/64 dev left",
		"addr add 2001:db8:1::7/64 dev left nodad noprefixroute preferred_lft 5050 valid_lft 9050",
		"addr add 2001:db8:2::5 peer 2001:db8:2::6/128 dev left",
		"neigh add 2001:db8:1::1 lladdr 02:00:00:00:00:09 dev left nud permanent",
		"route add default via 2001:db8:1::1 dev left metric 50 mtu 1400",
		"route add 2001:db8:9::/48 via fe80::1 dev left table 100 proto static pref high",
		"route add 2001:db8:8::/48 nexthop via fe80::1 dev left weight 3 nexthop via fe80::2 dev third weight 2",
	} {
		n.Run(append([]string{"ip", "-6"}, strings.Fields(line)...)...)
	}
	settled(n)
	n.Run("ip", "-6", "route", "add", "2001:db8:7::/48", "via", "2001:db8:1::1", "dev", "left", "src", "2001:db8:1::5")
	return n
}

const (
	low         = "interfaces: {left: {mtu: 1000}}\n"
	lowWithVLAN = low + "vlans: {left.34: {parent: left, id: 34}}\n"
)

// Whatever takes an MTU below the least of IPv6 back gives the interface its addresses and routes
// back as well.
func TestIPv6ComesBack(t *testing.T) {
	t.Parallel()
	for name, act := range map[string]func(t *testing.T, n *netconftest.Namespace, d *rig, dir string){
		"failed commit": func(t *testing.T, _ *netconftest.Namespace, d *rig, _ string) {
			loads(t, d, anna, lowWithVLAN)
			if _, err := d.CommitConfiguration(anna, config.Request{}); err == nil || !strings.Contains(err.Error(), "make VLAN 34") || strings.Contains(err.Error(), "not everything") {
				t.Errorf("the commit: %v", err)
			}
		},
		"not confirmed": func(t *testing.T, n *netconftest.Namespace, d *rig, _ string) {
			loads(t, d, anna, low)
			commits(t, d, anna, config.Request{Confirm: time.Hour})
			if now := ipv6(n); strings.Contains(now, "2001:db8:1::5") {
				t.Errorf("with a small MTU there still is\n%s", now)
			}
			d.notConfirmed(1)
		},
		"rollbackconfig": func(t *testing.T, _ *netconftest.Namespace, d *rig, _ string) {
			loads(t, d, anna, low)
			commits(t, d, anna, config.Request{})
			if err := d.RestoreCommit(anna, 0); err != nil {
				t.Fatal(err)
			}
			commits(t, d, anna, config.Request{})
		},
		"reload": func(t *testing.T, _ *netconftest.Namespace, d *rig, _ string) {
			loads(t, d, anna, low)
			commits(t, d, anna, config.Request{})
			if err := d.Reset(anna); err != nil {
				t.Fatal(err)
			}
		},
		"restart before the confirmation": func(t *testing.T, n *netconftest.Namespace, d *rig, dir string) {
			loads(t, d, anna, low)
			commits(t, d, anna, config.Request{Confirm: time.Hour})
			d.Stop()
			start(t, dir, n)
		},
		"killed in the middle": func(t *testing.T, n *netconftest.Namespace, d *rig, dir string) {
			dead := t.TempDir()
			reached, release := make(chan error), make(chan struct{})
			n.VLAN = func() error {
				reached <- os.CopyFS(dead, os.DirFS(dir))
				<-release
				return unix.EOPNOTSUPP
			}
			loads(t, d, anna, lowWithVLAN)
			done := make(chan struct{})
			go func() {
				defer close(done)
				d.CommitConfiguration(anna, config.Request{})
			}()
			if err := <-reached; err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { close(release); <-done })
			start(t, dead, n)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newIPv6Network(t)
			before := ipv6(n)
			dir := t.TempDir()
			act(t, n, start(t, dir, n), dir)
			settled(n)
			if now := ipv6(n); now != before {
				t.Errorf("there is\n%s\nand was\n%s", now, before)
			}
		})
	}
}

// routed is a network with a VLAN and an address of the loopback interface that a commit made, and
// with routes that the kernel forgets when they go, in several tables, with several hops, from that
// address.
func routed(t *testing.T, d *rig, n *netconftest.Namespace, loopback string) {
	t.Helper()
	n.VLAN = nil
	loads(t, d, anna, "vlans: {left.34: {parent: left, id: 34}}\nloopback: "+loopback+"\n")
	commits(t, d, anna, config.Request{})
	n.Do(t, func() {
		for f, v := range map[string]string{"ipv6/conf/left.34/disable_ipv6": "0", "ipv4/conf/left.34/rp_filter": "2"} {
			if err := os.WriteFile("/proc/sys/net/"+f, []byte(v), 0); err != nil {
				t.Fatal(err)
			}
		}
	})
	lines := []string{
		"-4 addr add 10.1.0.1/24 dev left",
		"-4 addr add 10.3.0.1/24 dev third",
		"-4 addr add 169.254.7.1/24 dev left.34",
		"-4 neigh add 169.254.7.9 lladdr 02:00:00:00:00:09 dev left.34 nud permanent",
		"-4 route add 10.7.0.0/16 dev left.34 metric 5 mtu 1300",
		"-4 route add 10.8.0.0/16 via 169.254.7.9 dev left.34 table 100 proto static tos 0x10",
		"-4 route add 10.9.0.0/16 nexthop via 169.254.7.9 dev left.34 weight 2 nexthop via 10.3.0.9 dev third weight 3",
		"-6 route add 2001:db8:70::/48 via fe80::9 dev left.34",
		"-6 route add 2001:db8:71::/48 dev left.34 table 100 metric 7",
		"-6 route add 2001:db8:72::/48 nexthop via fe80::9 dev left.34 weight 3 nexthop via fe80::2 dev third weight 2",
	}
	if strings.Contains(loopback, ":") {
		lines = append(lines,
			"nexthop add id 7 via 2001:db8:1::1 dev left",
			"-6 route add 2001:db8:83::/48 nhid 7 src "+loopback,
			"-6 route add 2001:db8:80::/48 via 2001:db8:1::1 dev left src "+loopback,
			"-6 route add 2001:db8:81::/48 via fe80::9 dev left.34 table 200 src "+loopback,
			"-6 route add 2001:db8:82::/48 src "+loopback+" nexthop via fe80::1 dev left nexthop via fe80::2 dev third")
	} else {
		lines = append(lines,
			"nexthop add id 7 via 10.1.0.9 dev left",
			"-4 route add 10.14.0.0/16 nhid 7 src "+loopback,
			"-4 route add 10.15.0.0/16 nhid 7 table 300 src "+loopback,
			"-4 route add 10.10.0.0/16 via 10.1.0.9 dev left src "+loopback,
			"-4 route add 10.11.0.0/16 via 169.254.7.9 dev left.34 table 200 src "+loopback,
			"-4 route add 10.12.0.0/16 src "+loopback+" nexthop via 10.1.0.9 dev left nexthop via 10.3.0.9 dev third",
			"-4 route add 10.13.0.0/16 dev lo scope host src "+loopback)
	}
	settled(n)
	for _, line := range lines {
		n.Run(append([]string{"ip"}, strings.Fields(line)...)...)
	}
	settled(n)
}

// state is what ip says of both families, the link's new numbers and hardware addresses left out.
func state(n *netconftest.Namespace) string {
	n.T.Helper()
	text := ipv6(n)
	for _, what := range [][]string{{"addr"}, {"route", "show", "table", "all"}, {"neigh", "show", "nud", "permanent"}} {
		text += "\n" + n.Run(append([]string{"ip", "-4", "-o"}, what...)...)
	}
	lines := strings.Split(regexp.MustCompile(`(?m)^\d+: |fe80::[0-9a-f:]+ffe?:[0-9a-f:]+|fe80::[0-9a-f]+:[0-9a-f:]+`).ReplaceAllString(text, ""), "\n")
	slices.Sort(lines)
	n.Do(n.T, func() {
		text, _ := os.ReadFile("/proc/sys/net/ipv4/conf/left.34/rp_filter")
		lines = append(lines, "rp_filter "+string(text))
	})
	return strings.Join(lines, "\n")
}

// Whatever brings a VLAN or an address of the loopback interface back brings the routes back that
// the kernel took away with it.
func TestRoutesComeBack(t *testing.T) {
	const without = "multicastARP: reject\n"
	for name, act := range map[string]func(t *testing.T, n *netconftest.Namespace, d *rig, dir string){
		"failed later step": func(t *testing.T, n *netconftest.Namespace, d *rig, _ string) {
			gone := ""
			n.Multicast = func() error {
				gone = state(n)
				return unix.EBUSY
			}
			loads(t, d, anna, without)
			if _, err := d.CommitConfiguration(anna, config.Request{}); err == nil || !strings.Contains(err.Error(), "Everything is as it was") {
				t.Errorf("the commit: %v", err)
			}
			for _, lost := range []string{"10.7.0.0/16", "2001:db8:70::/48", "left.34"} {
				if strings.Contains(gone, lost) {
					t.Errorf("before its last step there was still %s", lost)
				}
			}
		},
		"not confirmed": func(t *testing.T, _ *netconftest.Namespace, d *rig, _ string) {
			loads(t, d, anna, without)
			commits(t, d, anna, config.Request{Confirm: time.Hour})
			d.notConfirmed(2)
		},
		"rollbackconfig": func(t *testing.T, _ *netconftest.Namespace, d *rig, _ string) {
			loads(t, d, anna, without)
			commits(t, d, anna, config.Request{})
			loads(t, d, anna, without+"hostname: between\n")
			commits(t, d, anna, config.Request{})
			if err := d.RestoreCommit(anna, 1); err != nil {
				t.Fatal(err)
			}
			commits(t, d, anna, config.Request{})
		},
		"killed in the middle": func(t *testing.T, n *netconftest.Namespace, d *rig, dir string) {
			dead := t.TempDir()
			n.Multicast = func() error {
				n.Multicast = nil
				if err := os.CopyFS(dead, os.DirFS(dir)); err != nil {
					t.Error(err)
				}
				start(t, dead, n)
				return nil
			}
			loads(t, d, anna, without)
			commits(t, d, anna, config.Request{})
		},
	} {
		for _, loopback := range []string{"192.0.2.10", "2001:db8:ff::10"} {
			t.Run(name+" "+loopback, func(t *testing.T) {
				t.Parallel()
				n, dir := newIPv6Network(t), t.TempDir()
				d := start(t, dir, n)
				routed(t, d, n, loopback)
				before := state(n)
				act(t, n, d, dir)
				settled(n)
				if now := state(n); now != before {
					t.Errorf("there is\n%s\nand was\n%s", now, before)
				}
			})
		}
	}
}

// Who would lose the own connection is told so before, and needs commit confirm.
func TestIPv6IsNotLostUnaware(t *testing.T) {
	t.Parallel()
	n := newIPv6Network(t)
	d := start(t, t.TempDir(), n)
	far := menu.Caller{User: "anna", Role: menu.Administrator, Source: "2001:db8:1::77"}
	loads(t, d, far, low)
	if w := fmt.Sprint(d.Configuration(far).Warnings); !strings.Contains(w, "switches IPv6 off on left") || !strings.Contains(w, "2001:db8:1::5/64") {
		t.Errorf("the warning is %q", w)
	}
	before := ipv6(n)
	if _, err := d.CommitConfiguration(far, config.Request{}); err == nil || !strings.Contains(err.Error(), "commit confirm 5") {
		t.Errorf("a commit by IPv6: %v", err)
	}
	if now := ipv6(n); now != before {
		t.Errorf("the refused commit made it\n%s", now)
	}
	commits(t, d, far, config.Request{Confirm: time.Hour})
}
