package commands_test

import (
	"context"
	"strings"
	"testing"

	"diagsh/internal/menu"
)

// What the table of other systems' words tells people to write exists, and what it is for does not.
func TestOtherWords(t *testing.T) {
	tree := tree()
	if len(tree.Others) < 40 {
		t.Fatalf("the table has %d entries", len(tree.Others))
	}
	own := map[string]bool{"terminal": true, "exit": true, "help": true}
	seen := map[string]bool{}
	for _, o := range tree.Others {
		for _, here := range o.Here {
			if own[strings.Fields(here)[0]] {
				continue
			}
			filled := strings.NewReplacer("USER", "ann", "KEY", "k", "HOST", "h", "NAME", "n", "NUMBER", "1", "SERVICE",
				"s", "CONTACT", "c", "TEXT", "t", "PORT", "25", "COMMAND", "version").Replace(here)
			if calls, err := tree.Parse(nil, filled, false, nil); err != nil || calls[0].Menu {
				t.Errorf("%v: %q is no command here: %v", o.Lines, here, err)
			}
		}
		if fault := faultOf(o.Note + "."); o.Note != "" && (fault != "" || strings.HasSuffix(o.Note, ".")) {
			t.Errorf("%v: the note %s: %q", o.Lines, fault, o.Note)
		}
		if o.Note == "" && len(o.Here) == 0 {
			t.Errorf("%v: says nothing", o.Lines)
		}
		for _, line := range o.Lines {
			whole := strings.ReplaceAll(line, "|", "")
			if seen[whole] {
				t.Errorf("%q stands there twice", whole)
			}
			seen[whole] = true
			for _, form := range []string{whole, strings.ToUpper(whole[:1]) + whole[1:], whole + " x y"} {
				for _, typed := range []bool{false, true} {
					calls, err := tree.Parse(nil, form, typed, nil)
					if typed && err == nil { // a beginning of our own words, for people
						continue
					}
					if err == nil || !strings.Contains(err.Error(), " is not known here. ") ||
						!containsOne(err.Error(), append(o.Here, o.Note)) {
						t.Errorf("%q (typed: %v): %v %v", form, typed, calls, err)
					}
				}
			}
		}
	}
	for _, c := range []struct{ at, line, want string }{
		{"", "show version", `"show version" is not known here. Here it is: version.`},
		{"", "sh ver", `"sh ver" is not known here. Here it is: version.`},
		{"", "show version | include diagsh", `"show version" is not known here. Here it is: version.`},
		{"", "netstat -an", `Here it is: netstat sockets numeric yes.`},
		{"", "netstat -rn", `Here it is: netstat routes`},
		{"", "netstat -tlnp", `Here it is: netstat sockets numeric yes.`},
		{"", "netstat -w", `Here it is: netstat traffic or netstat sockets protocol raw numeric yes.`},
		{"", "netstat -uan", `Here it is: netstat sockets protocol udp numeric yes`},
		{"", "netstat -U", `netstat sockets protocol udplite numeric yes.`},
		{"", "ss -tulpn", `netstat sockets protocol all numeric yes`},
		{"", "netstat -tulpn", `netstat sockets protocol all numeric yes`},
		{"", "netstat --udplite", `Here it is: netstat sockets protocol udplite numeric yes.`},
		{"", "ss -wan", `Here it is: netstat sockets protocol raw numeric yes.`},
		{"", "ss -0", `Here it is: netstat sockets protocol packet numeric yes.`},
		{"", "ss -tn", `Here it is: netstat sockets numeric yes`},
		{"", "arp -a", `Here it is: diagnostic network arpshow`},
		{"", "ip a", `Here it is: netstat interfaces.`},
		{"", "ip route", `Here it is: netstat routes.`},
		{"", "netsh trace start capture=yes report=yes", `Here it is: packetcapture start scenario all`},
		{"", "netsh trace show status", `Here it is: status or packetcapture status.`},
		{"", "netsh trace show scenarios", `Here it is: packetcapture scenarios.`},
		{"", "pktmon counters --type drop", `Here it is: netstat drops by reason`},
		{"", `net start "port reporter"`, `Here it is: portlog start format portreporter.`},
		{"", "nft list ruleset", `Here it is: netstat firewall.`},
		{"", "tcp services", `Here it is: tcpservices.`},
		{"", "enable", "There are no levels"},
		{"", "conf t", "There are no levels"},
		{"", "netstat sockets | include 25", "A line has no pipe (|) here. At a terminal / searches"},
		{"", "whoami; reboot", "The machine is restarted and shut down by its operating system. Services are " +
			"restarted by: diagnostic services restart SERVICE. Nothing was run."},
		{"diagnostic", "tracking", "No mail passes this appliance"},
		{"diagnostic network", "ifconfig", "At the top prompt it is: netstat interfaces."},
		{"netstat", "-an", "At the top prompt it is: netstat sockets numeric yes."},
		{"", "'show' version", `Here it is: version.`},
	} {
		for _, typed := range []bool{false, true} {
			if _, err := tree.Parse(strings.Fields(c.at), c.line, typed, nil); err == nil ||
				!strings.Contains(err.Error(), c.want) {
				t.Errorf("%q in %q (typed: %v): %v", c.line, c.at, typed, err)
			}
		}
	}
	all := func(menu.Role) bool { return true }
	for line, want := range map[string]string{
		"ifconf": "ifconfig: here it is: netstat interfaces.\n", "show version ": "Here it is: version.\n",
		"ip a":  "ip address: here it is: netstat interfaces.\n",
		"reboo": "reboot: the machine is restarted", "zzz": "", "who": "",
	} {
		c := tree.Complete(context.Background(), menu.Caller{}, nil, line, all)
		if want == "" && c.Remark != "" || !strings.HasPrefix(c.Remark, want) {
			t.Errorf("completing %q remarks %q, not %q", line, c.Remark, want)
		}
	}
	if _, err := tree.HelpText([]string{"show", "version"}, all); err == nil ||
		!strings.Contains(err.Error(), "Here it is: version.") {
		t.Errorf("help show version: %v", err)
	}
}

func containsOne(text string, list []string) bool {
	for _, s := range list {
		if s != "" && strings.Contains(text, s) {
			return true
		}
	}
	return false
}
