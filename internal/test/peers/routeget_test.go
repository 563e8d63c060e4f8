package peers_test

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

// TestRoutegetEqualsIP asks for routes of every kind and compares each with `ip route get`.
func TestRoutegetEqualsIP(t *testing.T) {
	t.Parallel()
	b := newBed(t, "ip")
	b.feed(`link add left type veth peer name right
link set left up
link set right up
addr add 192.0.2.1/24 dev left
addr add 192.0.2.2/24 dev left
addr add 2001:db8::1/64 dev left nodad
addr add 198.51.100.1/24 dev right
route add default via 192.0.2.254
route add 203.0.113.7 via 192.0.2.253 metric 50 src 192.0.2.2
route add 203.0.113.8 via 192.0.2.5 mtu lock 1300
route add unreachable 203.0.113.9
route add blackhole 203.0.113.10
route add prohibit 203.0.113.11
route add 203.0.113.12 via inet6 2001:db8::9 dev left
route add throw 203.0.113.13
rule add fwmark 7 table 77
route add 10.0.0.0/8 via 192.0.2.7 table 77
route add 2001:db8:2::/48 via 2001:db8::2 metric 7
route add unreachable 2001:db8:3::/48
route add blackhole 2001:db8:4::/48
route add prohibit 2001:db8:5::/48
`, "ip", "-batch", "-")
	for _, line := range []string{
		"203.0.113.1", "203.0.113.7", "203.0.113.8", "203.0.113.9", "203.0.113.10", "203.0.113.11", "203.0.113.12", "203.0.113.13",
		"10.1.1.1", "10.1.1.1 mark 7", "10.1.1.1 mark 0x7", "192.0.2.1", "192.0.2.255", "192.0.2.77", "224.0.0.1", "127.0.0.1", "127.0.0.5",
		"203.0.113.1 from 192.0.2.2", "203.0.113.1 from 198.51.100.1", "127.0.0.1 from 127.0.0.5", "203.0.113.1 oif right",
		"2001:db8:2::1", "2001:db8:3::1", "2001:db8:4::1", "2001:db8:5::1", "2001:db8:9::1", "2001:db8::1", "2001:db8::77", "::1",
		"2001:db8:2::1 from 2001:db8::1", "fe80::5 oif left",
	} {
		want := b.ipRouteGet(line)
		ours := strings.Replace(line, " oif ", " interface ", 1)
		if address, scope, ok := strings.Cut(ours, " interface "); ok && strings.HasPrefix(address, "fe80:") {
			ours = address + "%" + scope
		}
		r := b.Local("diagnostic network routeget " + ours + " --json")
		var got routeGot
		if err := json.Unmarshal([]byte(r.Out), &got); r.Status != 0 || err != nil {
			t.Errorf("%s: exit %d, %v: %s", line, r.Status, err, r.Err)
		} else if got != want {
			t.Errorf("%s\nours %+v\nip   %+v", line, got, want)
		}
	}
	b.run("ip", "route", "del", "default")
	if r := b.Local("diagnostic network routeget 8.8.8.8 --json"); !strings.Contains(r.Out, `"type":"none"`) || b.ipRouteGet("8.8.8.8").Type != "none" {
		t.Errorf("without a default route: %+v", r)
	}
}

// A routeGot is what both say of a route.
type routeGot struct {
	Type, Interface, Gateway, Source, Table string
	Metric, MTU                             int
}

// ipRouteGet returns what ip says. Its errors are those of the kernel: fib_props in
// net/ipv4/fib_semantics.c.
func (b *bed) ipRouteGet(line string) (got routeGot) {
	b.t.Helper()
	var out, errs bytes.Buffer
	var err error
	b.ns.Do(b.t, func() {
		cmd := exec.Command("ip", append([]string{"-j", "-d", "route", "get"}, strings.Fields(line)...)...)
		cmd.Stdout, cmd.Stderr = &out, &errs
		err = cmd.Run()
	})
	if err != nil {
		kinds := map[string]string{"No route to host": "unreachable", "Permission denied": "prohibit", "Invalid argument": "blackhole", "Network is unreachable": "none"}
		got.Type = kinds[strings.TrimPrefix(strings.TrimSpace(errs.String()), "RTNETLINK answers: ")]
		if got.Type == "" {
			b.t.Fatalf("ip route get %s: %v: %s", line, err, errs.String())
		}
		return got
	}
	var list []struct {
		Type, Dev, Gateway, Prefsrc, From, Table string
		Via                                      struct{ Host string }
		Metric                                   int
		Metrics                                  []struct{ MTU int }
	}
	if err := json.Unmarshal(out.Bytes(), &list); err != nil || len(list) != 1 {
		b.t.Fatalf("ip route get %s: %v: %s", line, err, out.String())
	}
	r := list[0]
	got = routeGot{Type: r.Type, Interface: r.Dev, Gateway: r.Gateway + r.Via.Host, Source: r.Prefsrc, Table: r.Table, Metric: r.Metric}
	if got.Source == "" && r.From != "::" {
		got.Source = r.From
	}
	for _, m := range r.Metrics {
		got.MTU = m.MTU
	}
	return got
}
