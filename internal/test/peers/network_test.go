package peers_test

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"diagsh/internal/test/netnstest"
)

// theirs reads the JSON of ip.
func theirs(b *bed, args ...string) []map[string]any {
	b.t.Helper()
	var rows []map[string]any
	if text := strings.TrimSpace(b.run("ip", args...)); text != "" {
		if err := json.Unmarshal([]byte(text), &rows); err != nil {
			b.t.Fatalf("ip %s: %v", strings.Join(args, " "), err)
		}
	}
	return rows
}

func TestInterfacesEqualIP(t *testing.T) {
	t.Parallel()
	b := newBed(t, "ip")
	b.run("ip", "link", "add", "left", "mtu", "1400", "type", "veth", "peer", "name", "right")
	b.feed("link set left up\nlink set right up\naddr add 192.0.2.1/24 dev left\naddr add 192.0.2.9/24 dev left\naddr add 2001:db8::1/64 dev left\n"+
		"addr add 198.51.100.1/30 dev right\n", "ip", "-batch", "-")
	stop := b.traffic()
	before := theirs(b, "-j", "-s", "-s", "link")
	rows := ours[map[string]any](b, "netstat interfaces")
	after := theirs(b, "-j", "-s", "-s", "link")
	stop()
	addresses := map[string][]string{}
	for _, l := range theirs(b, "-j", "addr") {
		for _, a := range l["addr_info"].([]any) {
			a := a.(map[string]any)
			name := l["ifname"].(string)
			addresses[name] = append(addresses[name], fmt.Sprintf("%v/%v", a["local"], a["prefixlen"]))
		}
	}
	if len(rows) != len(before) || len(rows) < 3 {
		t.Fatalf("%d interfaces, ip has %d", len(rows), len(before))
	}
	for i, r := range rows {
		ip, later := before[i], after[i]
		name := ip["ifname"].(string)
		if r["name"] != name || r["index"] != ip["ifindex"] || r["mtu"] != ip["mtu"] || r["linkAddress"] != ip["address"] && r["linkAddress"] != "" {
			t.Errorf("ours %v, ip %v", r, ip)
		}
		var mine []string
		for _, a := range r["addresses"].([]any) {
			mine = append(mine, a.(string))
		}
		slices.Sort(mine)
		slices.Sort(addresses[name])
		if !slices.Equal(mine, addresses[name]) {
			t.Errorf("%s: addresses %v, ip has %v", name, mine, addresses[name])
		}
		for _, side := range []struct{ ours, ip string }{{"receive", "rx"}, {"transmit", "tx"}} {
			was, is := ip["stats64"].(map[string]any)[side.ip].(map[string]any), later["stats64"].(map[string]any)[side.ip].(map[string]any)
			for ours, key := range map[string]string{"bytes": "bytes", "packets": "packets", "errors": "errors", "dropped": "dropped",
				"multicast": "multicast", "missed": "missed", "lengthErrors": "length_errors", "crcErrors": "crc_errors", "frameErrors": "frame_errors",
				"fifoErrors": "fifo_errors", "abortedErrors": "aborted_errors", "windowErrors": "window_errors", "heartbeatErrors": "heartbeat_errors",
				"carrierErrors": "carrier_errors", "collisions": "collisions"} {
				least, ok := was[key].(float64)
				if !ok {
					continue // a counter of the other direction
				}
				n, has := r[side.ours].(map[string]any)[ours].(float64)
				if most := is[key].(float64); !has || n < least || n > most {
					t.Errorf("%s %s %s: %v, ip had %v and then %v", name, side.ours, ours, n, least, most)
				}
			}
		}
		if bytes := r["receive"].(map[string]any)["bytes"].(float64); name == "lo" && bytes == 0 {
			t.Error("nothing went over lo")
		}
	}
}

// traffic sends over the loopback interface until it is stopped.
func (b *bed) traffic() (stop func()) {
	b.t.Helper()
	cmd := exec.Command(netnstest.Tool(b.t, "ping"), "-f", "-q", "127.0.0.1")
	b.ns.Do(b.t, func() {
		if err := cmd.Start(); err != nil {
			b.t.Fatal(err)
		}
	})
	return func() { cmd.Process.Kill(); cmd.Wait() }
}

// A routeRow is a row of netstat routes --json.
type routeRow struct {
	Destination, Gateway, Flags, Interface, Table, Type, Protocol, Scope, Source, Family string
	Metric                                                                               uint32
	Expires                                                                              float64 `json:"expiresInSeconds"`
	Weight                                                                               int
	From, Encap                                                                          string
	TOS                                                                                  int
}

func (r routeRow) canonical() string {
	scope := r.Scope
	if r.Family == "ipv6" {
		scope = "global" // which ip -6 always says
	}
	return row(r.Destination, r.Gateway, r.Interface, r.Table, r.Type, r.Protocol, scope, r.Source, r.Metric, r.Weight, r.From, r.Encap, r.TOS)
}

// ipRoutes reads ip -d -j route, in the words of ours.
func (b *bed) ipRoutes(family, table string) []string {
	b.t.Helper()
	text := func(r map[string]any, key, otherwise string) string {
		switch v := r[key].(type) {
		case string:
			return v
		case float64:
			return strconv.Itoa(int(v))
		}
		return otherwise
	}
	var rows []string
	for _, r := range theirs(b, family, "-N", "-d", "-j", "route", "show", "table", table) {
		base := func(hop map[string]any, weight int) string {
			gateway := text(hop, "gateway", "")
			if via, ok := hop["via"].(map[string]any); ok {
				gateway = text(via, "host", "")
			}
			return row(text(r, "dst", ""), gateway, text(hop, "dev", ""), tableName(text(r, "table", "254")), typeName(text(r, "type", "1")),
				protocolName(text(r, "protocol", "")), scopeName(family, text(r, "scope", "0")), text(r, "prefsrc", ""), text(r, "metric", "0"), weight, from(text(r, "from", "")), text(hop, "encap", ""), tos(text(r, "tos", "0")))
		}
		if hops, ok := r["nexthops"].([]any); ok {
			for _, h := range hops {
				h := h.(map[string]any)
				rows = append(rows, base(h, int(h["weight"].(float64))))
			}
			continue
		}
		rows = append(rows, base(r, 0))
	}
	return rows
}

// With -N ip writes numbers, which depend on no file of names; these are the kernel's
// (linux/rtnetlink.h).
func from(prefix string) string {
	if prefix != "" && !strings.Contains(prefix, "/") {
		return prefix + "/128"
	}
	return prefix
}

func tos(text string) int64 {
	n, _ := strconv.ParseInt(text, 0, 16)
	return n
}

func tableName(n string) string {
	return translated(n, map[string]string{"253": "default", "254": "main", "255": "local"})
}

func typeName(n string) string {
	return translated(n, map[string]string{"1": "unicast", "2": "local", "3": "broadcast", "4": "anycast", "5": "multicast", "6": "blackhole",
		"7": "unreachable", "8": "prohibit", "9": "throw"})
}

func protocolName(n string) string {
	return translated(n, map[string]string{"1": "redirect", "2": "kernel", "3": "boot", "4": "static", "9": "ra", "186": "bgp"})
}

func scopeName(family, n string) string {
	if family == "-6" {
		return "global"
	}
	return translated(n, map[string]string{"0": "global", "200": "site", "253": "link", "254": "host", "255": "nowhere"})
}

func translated(n string, names map[string]string) string {
	if name, ok := names[n]; ok {
		return name
	}
	return n
}

func TestRoutesEqualIP(t *testing.T) {
	t.Parallel()
	b := newBed(t, "ip")
	var batch strings.Builder
	batch.WriteString(`link add left type veth peer name right
link set left up
link set right up
addr add 192.0.2.1/24 dev left
addr add 2001:db8::1/64 dev left nodad
addr add 198.51.100.1/24 dev right
route add default via 192.0.2.254 proto static
route add 203.0.113.7 via 192.0.2.253 metric 50 src 192.0.2.1
route add 203.0.113.8 nexthop via 192.0.2.251 weight 3 nexthop via 198.51.100.2 weight 1
route add unreachable 203.0.113.9
route add blackhole 203.0.113.10
route add prohibit 203.0.113.11
route add 203.0.113.12 via inet6 2001:db8::9 dev left
route add 10.9.0.0/16 via 192.0.2.7 table 1234 proto bgp
route add default via 2001:db8::fe proto static
route add 2001:db8:1::/48 via 2001:db8::2 metric 7
route add 2001:db8:2::/48 nexthop via 2001:db8::3 weight 2 nexthop via 2001:db8::4 weight 5
route add unreachable 2001:db8:3::/48
route add 2001:db8:4::/48 via 2001:db8::2 expires 300
route add 2001:db8:5::5 dev left table 77
route add throw 203.0.113.13 table 1234
route add 203.0.113.14 via 192.0.2.9 tos 0x10
route add 203.0.113.15 via 192.0.2.9 metric 100
route add 203.0.113.15 via 192.0.2.10 metric 200
route add 2001:db8:6::/64 from 2001:db8:7::/64 via 2001:db8::2
`)
	for i := range 1500 {
		fmt.Fprintf(&batch, "route add 10.1.%d.%d/32 via 192.0.2.%d\nroute add 2001:db8:a::%x/128 via 2001:db8::%x\n", i/256, i%256, 2+i%200, i+1, 2+i%200)
	}
	b.feed(batch.String(), "ip", "-batch", "-")
	stop := b.routeChurn()
	before := append(b.ipRoutes("-4", "all"), b.ipRoutes("-6", "all")...)
	rows := ours[routeRow](b, "netstat routes tables all numeric yes")
	after := append(b.ipRoutes("-4", "all"), b.ipRoutes("-6", "all")...)
	stop()
	var mine []string
	flags := map[string]string{}
	for _, r := range rows {
		mine = append(mine, r.canonical())
		flags[r.Destination+" "+r.Table] = r.Flags
		if r.Destination == "2001:db8:4::/48" && (r.Expires < 200 || r.Expires > 300) {
			t.Errorf("it expires in %v seconds, not in somewhat less than 300", r.Expires)
		}
	}
	if len(rows) < 3000 {
		t.Errorf("only %d routes", len(rows))
	}
	compare(t, count(before), count(mine), count(after), func(row string) bool {
		return strings.HasPrefix(row, "10.2.") || strings.HasPrefix(row, "2001:db8:b::")
	})
	for destination, want := range map[string]string{"default main": "UGS", "192.0.2.0/24 main": "U", "203.0.113.7 main": "UGHS", "203.0.113.9 main": "UHRS",
		"203.0.113.10 main": "UHBS", "192.0.2.1 local": "UHL", "192.0.2.255 local": "UHb", "203.0.113.13 1234": "UHTS"} {
		if flags[destination] != want {
			t.Errorf("%s has the flags %s, not %s", destination, flags[destination], want)
		}
	}
	// The JSON of ip has the address that it is wrapped for in the place of the destination, so
	// this one is not compared.
	b.run("ip", "route", "add", "203.0.113.16", "encap", "ip", "id", "7", "dst", "192.0.2.77", "dev", "left")
	text := b.Local("netstat routes numeric yes").Out
	b.run("ip", "route", "del", "203.0.113.16")
	for _, want := range []string{`203\.0\.113\.15 +192\.0\.2\.9 +UGHS +left +100 +-`, `203\.0\.113\.15 +192\.0\.2\.10 +UGHS +left +200 +-`,
		`203\.0\.113\.8 +192\.0\.2\.251 +UGHS +left +0 +3`, `203\.0\.113\.8 +198\.51\.100\.2 +UGHS +right +0 +1`, `203\.0\.113\.14 tos 0x10 `,
		`2001:db8:6::/64 from 2001:db8:7::/64 `, `203\.0\.113\.16 encap ip `} {
		if !regexp.MustCompile("(?m)^" + want).MatchString(text) {
			t.Errorf("the text has no %q", want)
		}
	}
	// Without a wish, the main tables.
	var main []string
	for _, r := range ours[routeRow](b, "netstat routes numeric yes") {
		main = append(main, r.canonical())
	}
	peer := count(append(b.ipRoutes("-4", "main"), b.ipRoutes("-6", "main")...))
	compare(t, peer, count(main), peer, never)
}

// The rules of policy routing are those of ip rule, in its words.
func TestRulesEqualIP(t *testing.T) {
	t.Parallel()
	b := newBed(t, "ip")
	b.feed(`link add left type veth peer name right
rule add from 10.0.0.0/8 table 100 priority 1000
rule add not to 192.0.2.7 fwmark 0x1/0xff iif left lookup main priority 1001
rule add fwmark 7 oif gone goto 2000 priority 1002
rule add uidrange 0-99 ipproto tcp dport 25-26 sport 1024 prohibit priority 1003
rule add blackhole priority 1004 from 203.0.113.1 tos 0x10
rule add lookup main suppress_prefixlength 0 priority 1005
rule add lookup 300 priority 2000
rule add l3mdev priority 2001
`, "ip", "-batch", "-")
	b.feed("rule add from 2001:db8::/32 to 2001:db8:1::1 ipproto ipv6-icmp lookup 77 priority 1000\nrule add unreachable priority 1001\n", "ip", "-6", "-batch", "-")
	var theirs []string
	for _, family := range []string{"-4", "-6"} {
		for line := range strings.Lines(b.run("ip", "-N", family, "rule")) {
			// With -N the tables are numbers, and so are protocols.
			line = strings.NewReplacer("lookup 255", "lookup local", "lookup 254", "lookup main", "lookup 253", "lookup default",
				"ipproto-6 ", "tcp ", "ipproto-58 ", "ipv6-icmp ", " 6\n", " blackhole\n", " 7\n", " unreachable\n", " 8\n", " prohibit\n", " [unresolved]", "", " [detached]", "").Replace(line)
			theirs = append(theirs, family+" "+strings.Join(strings.Fields(line), " "))
		}
	}
	var mine []string
	for _, r := range ours[struct {
		Family, Rule string
		Priority     int
	}](b, "netstat routes tables rules") {
		mine = append(mine, fmt.Sprintf("-%s %d: %s", strings.TrimPrefix(r.Family, "ipv"), r.Priority, r.Rule))
	}
	if len(mine) != 15 || !slices.Equal(mine, theirs) {
		t.Errorf("ours\n%s\nip's\n%s", strings.Join(mine, "\n"), strings.Join(theirs, "\n"))
	}
	if text := b.Local("netstat routes tables all numeric yes").Out; !strings.HasPrefix(text, "Rules: ") || !strings.Contains(text, "\n1000       from 10.0.0.0/8 lookup 100\n") {
		t.Errorf("the tables are listed without the rules:\n%s", text)
	}
}

// routeChurn adds and removes routes below 10.2.0.0/16 and 2001:db8:b::/48 until it is stopped.
func (b *bed) routeChurn() (stop func()) {
	var batch strings.Builder
	for i := range 200 {
		fmt.Fprintf(&batch, "route add 10.2.%d.1/32 via 192.0.2.2\nroute add 2001:db8:b::%x/128 via 2001:db8::2 table 77\n", i, i+1)
	}
	return b.churning(batch.String(), strings.ReplaceAll(batch.String(), "route add", "route del"))
}
