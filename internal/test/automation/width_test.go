package automation_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"diagsh/commands"
	"diagsh/internal/menu"
	"diagsh/internal/test/appliance"
	"diagsh/internal/test/netnstest"
)

// usual are the lines that people type all day. Each prints at most 80 columns on a terminal of 80,
// however busy the machine is. What a command shows of a capture, and what strangers or the user
// chose to write (a comment, a filter of many words), has its own rules.
var usual = []string{
	"whoami", "who", "last", "last 50", "status", "version", "hostname", "date",
	"netstat sockets", "netstat sockets numeric yes", "netstat interfaces", "netstat interfaces bytes yes", "netstat interfaces eth0 dropped yes",
	"netstat routes", "netstat routes numeric yes", "netstat queues", "netstat sysctl ipv4.tcp_", "tcpservices",
	"diagnostic network arpshow", "diagnostic network ndpshow", "diagnostic disk_usage", "diagnostic services status", "diagnostic reporting list",
	"etherconfig media list", "etherconfig vlan list", "etherconfig mtu list", "etherconfig loopback status", "etherconfig multicast status",
	"userconfig list", "showchanges", "showconfig", "commitdetail", "commitlist", "auditverify", "dnsstatus",
}

func TestUsualCommandsFit80Columns(t *testing.T) {
	t.Parallel()
	network := netnstest.New(t)
	network.Veth(t, "eth0", "eth1")
	network.Set(t, "net/ipv6/conf/eth0/disable_ipv6", "0")
	network.Address(t, "eth0", "192.168.100.201/24", "2001:db8:1234:5678:9abc:def0:1234:5678/64")
	for n := range 3 {
		network.Neighbour(t, "eth0", fmt.Sprintf("192.168.100.%d", 210+n), fmt.Sprintf("02:00:00:00:00:%02x", n+2))
		network.Neighbour(t, "eth0", fmt.Sprintf("2001:db8:1234:5678:9abc:def0:1234:567%d", n), fmt.Sprintf("02:00:00:00:01:%02x", n+2))
		network.Connecting(t, fmt.Sprintf("192.168.100.%d:5432%d", 210+n, n))
	}
	network.Route(t, "0.0.0.0/0", "192.168.100.210")
	a := appliance.Start(t, appliance.Options{Network: network})
	busy := []string{
		"userconfig new a-user-of-a-long-name-23 fullname 'Somebody with a Name of Several Words' role support expires 7d payload yes password 'correct horse 1'",
		"packetcapture start name a-capture-with-a-long-name-of-letters interface eth0 filter 'tcp port 25 and host 192.168.100.201' duration 1h",
		"packetcapture start name ended interface eth0; packetcapture stop ended; diagnostic reporting new",
		"etherconfig mtu edit eth0 1400; sethostname mx1.department.of-a-long-name.example.com; commit 'A comment of several words that says what was changed, by whom it was asked for, and why'",
		"etherconfig vlan new 4001 eth0; etherconfig mtu edit eth0 1300",
	}
	for _, line := range busy {
		if r := a.Local(line); r.Status != 0 {
			t.Fatalf("%s: %+v", line, r)
		}
	}
	term := a.Terminal("op", 80, 24) // somebody who runs something
	term.Type("packetcapture watch a-capture-with-a-long-name-of-letters\r")
	term.Reads("packetcapture watch")
	for _, line := range usual {
		r := a.Local("terminal width 80; " + line)
		if r.Status != 0 {
			t.Errorf("%s: %+v", line, r)
		}
		for row := range strings.Lines(r.Out) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(row, "\n")); n > 80 {
				t.Errorf("%s: %d columns: %s", line, n, row)
			}
		}
	}
}

// Help and what may follow fit where a width was set. A word that is wider than the window stands
// in a row of its own.
func TestHelpFits(t *testing.T) {
	t.Parallel()
	a := appliance.Start(t, appliance.Options{})
	for _, width := range []int{80, 40} {
		var lines []string
		commands.Tree(nil, commands.Version{}).Walk(func(path []string, _ menu.Item) {
			name := strings.Join(path, " ")
			lines = append(lines, "help "+name, name+" ?")
		})
		r := a.Local(fmt.Sprintf("terminal width %d; %s", width, strings.Join(lines, "; ")))
		if r.Status != 0 || strings.Count(r.Out, "\nOne line: ") < 100 {
			t.Fatalf("%d, %d bytes, %s", r.Status, len(r.Out), r.Err)
		}
		for row := range strings.Lines(r.Out) {
			row = strings.TrimSuffix(row, "\n")
			if n := utf8.RuneCountInString(row); n > width && len(strings.Fields(row)) > 1 {
				t.Errorf("%d columns of %d: %s", n, width, row)
			}
		}
	}
}
