package commands_test

import (
	"os/exec"
	"strings"
	"testing"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/netnstest"
)

// A ping that the kernel does not send ends at once, whatever forbids it, says why, and is in the
// audit log.
func TestPingForbidden(t *testing.T) {
	t.Parallel()
	network := netnstest.New(t)
	network.Veth(t, "eth0", "eth1")
	network.Set(t, "net/ipv6/conf/eth0/disable_ipv6", "0")
	network.Address(t, "eth0", "192.0.2.1/24", "2001:db8::1/64")
	network.MTU(t, "eth0", 1400)
	a := appliance.Start(t, appliance.Options{Network: network})
	for _, command := range []string{
		"ip route add prohibit 198.18.3.0/24", "ip -6 route add prohibit fd99::/64",
		"ip rule add to 198.18.4.0/24 prohibit",
		"ip route add blackhole 198.18.6.0/24", "ip -6 route add blackhole fd98::/64",
		"ip route add unreachable 198.18.7.0/24",
		"nft table inet t { chain c { type filter hook output priority 0; ip daddr 198.18.5.0/24 reject; }; }",
		"ip route add default via 192.0.2.254",
	} {
		words := strings.SplitN(command, " ", 2)
		args := strings.Fields(words[1])
		if words[0] == "nft" {
			args = words[1:]
		}
		path := netnstest.Tool(t, words[0])
		network.Do(t, func() {
			if out, err := exec.Command(path, args...).CombinedOutput(); err != nil {
				t.Fatalf("%s: %v: %s", command, err, out)
			}
		})
	}
	const forbidden = "the destination is forbidden by a route or a firewall of this appliance"
	for line, want := range map[string]string{
		"ping 198.18.3.1 count 1":         forbidden,
		"ping 198.18.3.1":                 forbidden,
		"ping 198.18.3.1 mtu":             forbidden,
		"ping6 fd99::1 count 1":           forbidden,
		"ping 198.18.4.1 count 3":         forbidden,
		"ping 198.18.6.1 count 1":         "a route of this appliance drops what goes there (blackhole)",
		"ping6 fd98::1 count 1":           "a route of this appliance drops what goes there (blackhole)",
		"ping 198.18.7.1 count 1":         "no route to the host",
		"ping 198.18.5.1 count 3":         "a firewall of this appliance forbids it",
		"ping 192.0.2.9 -c 1 -s 1373 -D":  "too big to be sent in one piece, mtu=1400",
		"ping6 2001:db8::9 -M do -s 1353": "too big to be sent in one piece, mtu=1400",
	} {
		if r := a.Local(line); r.Status != 1 || !strings.Contains(r.Err, want) {
			t.Errorf("%s: %+v; want %q", line, r, want)
		}
	}
	log := a.Local("auditlog path ping --json")
	if n := strings.Count(log.Out, `"exit":1`) + strings.Count(log.Out, `"exit": 1`); log.Status != 0 || n < 6 {
		t.Errorf("%d of the refused pings are in the audit log: %+v", n, log)
	}
}
