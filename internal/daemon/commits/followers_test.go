package commits

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"diagsh/internal/config"
	"diagsh/internal/test/netconftest"
	"diagsh/internal/test/netnstest"
)

// newStack is a network with interfaces on others: two macvlans on left, one of which has a smaller
// MTU, and a macvlan on a bridge that third is a port of.
func newStack(t *testing.T) *netconftest.Namespace {
	ns := netnstest.New(t)
	ns.Veth(t, "left", "right")
	ns.Veth(t, "third", "fourth")
	n := &netconftest.Namespace{Namespace: ns, T: t, VLAN: func() error { return unix.EOPNOTSUPP }}
	ns.Do(t, func() {
		if out, err := exec.Command(netnstest.Tool(t, "ip"), "link", "add", "br0", "type", "bridge").CombinedOutput(); err != nil {
			netnstest.Missing(t, "this kernel has no bridge: "+string(out))
		}
	})
	for _, line := range []string{
		"link set third master br0",
		"link add mv0 link left type macvlan mode bridge",
		"link add mv1 mtu 1320 link left type macvlan mode bridge",
		"link add mv2 link br0 type macvlan mode bridge",
	} {
		n.Run(append([]string{"ip"}, strings.Fields(line)...)...)
	}
	for i, name := range []string{"mv0", "mv1", "mv2", "br0", "left", "third"} {
		ns.Do(t, func() {
			for f, v := range map[string]string{"disable_ipv6": "0", "accept_dad": "0", "hop_limit": "91"} {
				if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/"+f, []byte(v), 0); err != nil {
					netnstest.Missing(t, "this kernel has no IPv6")
				}
			}
		})
		n.Run("ip", "link", "set", name, "up")
		n.Run("ip", "-6", "addr", "add", fmt.Sprintf("2001:db8:%d::5/64", i), "dev", name, "nodad")
		n.Run("ip", "-6", "route", "add", fmt.Sprintf("2001:db8:%d0::/48", i), "via", fmt.Sprintf("2001:db8:%d::1", i), "dev", name, "metric", "77")
	}
	return n
}

// stack is what stands on other interfaces: MTUs, addresses, routes and settings, in an order that
// does not change.
func stack(n *netconftest.Namespace) string {
	n.T.Helper()
	var b strings.Builder
	state, err := n.Read()
	if err != nil {
		n.T.Fatal(err)
	}
	for _, name := range []string{"left", "mv0", "mv1", "third", "br0", "mv2"} {
		l, _ := state.Link(name)
		fmt.Fprintf(&b, "%s mtu %d %v\n", name, l.MTU, l.Addresses)
		for line := range strings.Lines(n.Run("ip", "-6", "route", "show", "dev", name)) {
			if strings.Contains(line, "metric 77") {
				b.WriteString(strings.Replace(line, " linkdown", "", 1))
			}
		}
		n.Do(n.T, func() {
			text, _ := os.ReadFile("/proc/sys/net/ipv6/conf/" + name + "/hop_limit")
			fmt.Fprintf(&b, "hop limit %s", text)
		})
	}
	return b.String()
}

// What stands on an interface follows its MTU downwards, and has its own MTU and its IPv6 again
// with it, whichever way that comes back.
func TestFollowersComeBack(t *testing.T) {
	t.Parallel()
	const small = "interfaces: {left: {mtu: 1270}, third: {mtu: 1000}}\n"
	followed := func(t *testing.T, n *netconftest.Namespace) {
		t.Helper()
		now := stack(n)
		for _, want := range []string{"left mtu 1270 []", "mv0 mtu 1270 []", "mv1 mtu 1270 []", "third mtu 1000 []", "br0 mtu 1000 []", "mv2 mtu 1000 []"} {
			if !strings.Contains(now, want) {
				t.Errorf("after the commit there is not %q in\n%s", want, now)
			}
		}
	}
	for name, act := range map[string]func(t *testing.T, n *netconftest.Namespace, d *rig, dir string){
		"failed later step": func(t *testing.T, n *netconftest.Namespace, d *rig, _ string) {
			n.Multicast = func() error {
				followed(t, n)
				return unix.EBUSY
			}
			loads(t, d, anna, small+"multicastARP: reject\n")
			if _, err := d.CommitConfiguration(anna, config.Request{}); err == nil || !strings.Contains(err.Error(), "Everything is as it was") {
				t.Errorf("the commit: %v", err)
			}
		},
		"not confirmed": func(t *testing.T, n *netconftest.Namespace, d *rig, _ string) {
			loads(t, d, anna, small)
			commits(t, d, anna, config.Request{Confirm: time.Hour})
			followed(t, n)
			d.notConfirmed(1)
		},
		"step by step": func(t *testing.T, n *netconftest.Namespace, d *rig, dir string) {
			loads(t, d, anna, small)
			commits(t, d, anna, config.Request{})
			loads(t, d, anna, "interfaces: {left: {mtu: 1100}, third: {mtu: 1100}}\n")
			commits(t, d, anna, config.Request{})
			loads(t, d, anna, "interfaces: {left: {mtu: 1400}, third: {mtu: 1400}}\n")
			commits(t, d, anna, config.Request{})
			now := stack(n)
			for _, want := range []string{"mv0 mtu 1400 [2001:db8:0::5/64]", "mv1 mtu 1320 [2001:db8:1::5/64]", "br0 mtu 1400 [2001:db8:3::5/64]", "mv2 mtu 1400 [2001:db8:2::5/64]"} {
				if want = strings.Replace(want, ":0::", "::", 1); !strings.Contains(now, want) {
					t.Errorf("with more room there is not %q in\n%s", want, now)
				}
			}
			d = restarted(t, n, d, dir)
			loads(t, d, anna, "hostname: whole\n")
			commits(t, d, anna, config.Request{})
		},
		"restart before the confirmation": func(t *testing.T, n *netconftest.Namespace, d *rig, dir string) {
			loads(t, d, anna, small)
			commits(t, d, anna, config.Request{Confirm: time.Hour})
			restarted(t, n, d, dir)
		},
		"said by the configuration meanwhile": func(t *testing.T, n *netconftest.Namespace, d *rig, _ string) {
			loads(t, d, anna, small)
			commits(t, d, anna, config.Request{})
			loads(t, d, anna, "interfaces: {left: {mtu: 1270}, third: {mtu: 1000}, mv0: {mtu: 1270}}\n")
			commits(t, d, anna, config.Request{})
			loads(t, d, anna, "interfaces: {mv0: {mtu: 1270}}\n")
			commits(t, d, anna, config.Request{})
			if now := stack(n); !strings.Contains(now, "mv0 mtu 1270") || !strings.Contains(now, "mv1 mtu 1320") {
				t.Errorf("against the configuration there is\n%s", now)
			}
			loads(t, d, anna, "hostname: whole\n")
			commits(t, d, anna, config.Request{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, dir := newStack(t), t.TempDir()
			before := stack(n)
			act(t, n, start(t, dir, n), dir)
			if now := stack(n); now != before {
				t.Errorf("there is\n%s\nand was\n%s", now, before)
			}
		})
	}
}

// Somebody is told before what happens to what stands on an interface; an MTU that others gave it
// meanwhile stays; and the configuration does not ask for what the kernel would take back.
func TestFollowersAreNamed(t *testing.T) {
	t.Parallel()
	n := newStack(t)
	d := start(t, t.TempDir(), n)
	loads(t, d, anna, "interfaces: {left: {mtu: 1270}, third: {mtu: 1400}}\n")
	var texts []string
	for _, w := range d.Configuration(anna).Warnings {
		texts = append(texts, w.Path.String()+" "+w.Text)
	}
	all := strings.Join(texts, "\n")
	for _, want := range []string{
		"interfaces.left.mtu Warning: an MTU below 1280 switches IPv6 off on left. It loses 2001:db8:4::5/64 and",
		"interfaces.left.mtu Warning: the MTU of mv0 follows that of left, from 1500 to 1270. An MTU below 1280 switches IPv6 off on mv0. It loses 2001:db8::5/64 and",
		"interfaces.left.mtu Warning: the MTU of mv1 follows that of left, from 1320 to 1270. An MTU below 1280 switches IPv6 off on mv1. It loses 2001:db8:1::5/64 and",
		"interfaces.third.mtu Warning: the MTU of br0 follows that of third, from 1500 to 1400.",
		"interfaces.third.mtu Warning: the MTU of mv2 follows that of third, from 1500 to 1400.",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("not said is %q, but\n%s", want, all)
		}
	}
	if len(texts) != 5 {
		t.Errorf("said is\n%s", all)
	}
	commits(t, d, anna, config.Request{})
	n.Run("ip", "link", "set", "mv0", "mtu", "1200")
	loads(t, d, anna, "hostname: whole\n")
	commits(t, d, anna, config.Request{})
	if now := stack(n); !strings.Contains(now, "mv0 mtu 1200 []") || !strings.Contains(now, "mv1 mtu 1320 [2001:db8:1::5/64]") {
		t.Errorf("there is\n%s", now)
	}
	err := d.LoadConfiguration(anna, "interfaces: {left: {mtu: 1300}, mv1: {mtu: 1320}}\n")
	if err == nil || !strings.Contains(err.Error(), "the MTU 1320 of mv1 would be above the 1300 of left") {
		t.Errorf("an MTU above the one below: %v", errors.Unwrap(err))
	}
}
