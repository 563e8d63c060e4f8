package filter

import (
	"errors"
	"strings"
	"testing"
	"time"

	"diagsh/internal/test/slowness"
)

func TestErrorsPointAtTheMistake(t *testing.T) {
	for _, test := range []struct {
		in   string
		at   string // the error must point at this text
		want string // and contain this
	}{
		{"tcp prot 80", "prot", `did you mean "port"?`},
		{"prot 80", "prot", `did you mean "port"?`},
		{"host alpha and prot 80", "prot", `did you mean "port"?`},
		{"tcp or prot 80", "prot", "repeat the qualifier"},
		{"tcp por 80", "por", `did you mean "port"?`},
		{"tcp 80", "80", "put host, net, port"},
		{"192.0.2.1", "192", "needs a qualifier"},
		{"tcp port 80 or or udp", "or udp", "primitive"},
		{"port nosuch )", "nosuch", `port "nosuch" is not known`},
		{"host 1.2.3.256", "1.2.3.256", "not an IPv4 address"},
		{"net 10.1.2.3/8", "10.1.2.3", "bits set after the first 8"},
		{"port 65536", "65536", "above 65535"},
		{"tcp and vlan 5000", "vlan", "above 4095"},
		{"ip[0:3] = 1", "ip[", "1, 2 and 4"},
		{"ip[0] / 0 = 1", "ip[", "division by zero"},
		{"udp port http", "http", "port of tcp only"},
		{"tcp and (port 80", "", "ends where"},
		{"tcp @ 5", "@", "does not belong"},
		{"mpls and arp", "arp", "only ip and ip6"},
		{"type beacon", "beacon", "mgt, ctl and data"},
		{"ether host 1.2.3.4", "1.2.3.4", "not an Ethernet address"},
		{"llc foo", "foo", "802.2"},
		{"vpi 3", "vpi", "ATM"},
		{"arp and ip", "", "rejects all packets"},
		{"host both and arp host both", "both", "IPv6"},
		{"icmp port 5", "5", "has no ports"},
		{"icmp[icmptype] = icmp-ehco", "icmp-ehco", `did you mean "icmp-echo"?`},
		{"tcp port 80-90", "80-90", `"portrange 80-90"`},
		{"net 10/8", "/8", "10.0.0.0/8"},
		{"host ‘alpha’", "‘", "does not belong"},
	} {
		_, err := Compile(test.in, Target{LinkType: EN10MB, Names: fixedNames(t)})
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("Compile(%q): %v, want an *Error", test.in, err)
			continue
		}
		if !strings.Contains(e.Error(), test.want) {
			t.Errorf("Compile(%q): %q does not contain %q", test.in, e, test.want)
		}
		if e.Expression != test.in || test.at != "" && !strings.HasPrefix(test.in[e.Position:], test.at) {
			t.Errorf("Compile(%q): points at %q, want %q", test.in, test.in[e.Position:], test.at)
		}
	}
}

func TestOtherLinkTypesAreRefused(t *testing.T) {
	for _, l := range []LinkType{-1, 6, 51, 192, 4000} {
		if _, err := Compile("tcp", Target{LinkType: l}); err == nil ||
			!strings.Contains(err.Error(), "supported are EN10MB") {
			t.Errorf("link type %d: %v", l, err)
		}
	}
	if _, err := Compile("tcp", Target{LinkType: rawInFile}); err != nil {
		t.Errorf("link type 101: %v", err)
	}
}

func TestSnapLength(t *testing.T) {
	for snap, want := range map[uint32]uint32{0: DefaultSnapLength, 96: 96} {
		for _, e := range []string{"", "tcp", "tcp or not tcp"} {
			p, err := Compile(e, Target{LinkType: EN10MB, SnapLength: snap})
			if err != nil {
				t.Fatal(err)
			}
			if got := p.Match(make([]byte, 60), Metadata{}); e != "tcp" && got != want {
				t.Errorf("%q with snap length %d returns %d", e, snap, got)
			}
		}
	}
}

// TestLimits feeds expressions that are made to cost time and memory.
func TestLimits(t *testing.T) {
	const n = 1 << 20
	for name, e := range map[string]string{
		"long":        strings.Repeat("x", n),
		"parentheses": strings.Repeat("(", n/8),
		"not":         strings.Repeat("not ", n/8) + "tcp",
		"minus":       strings.Repeat("-", n/8) + "1 = 1",
		"brackets":    strings.Repeat("ip[", n/8),
		"right":       strings.Repeat("1 ^ ", n/8) + "1 = 1",
		"ports":       strings.Repeat("port 80 or ", 20000) + "port 80",
		"relations":   "tcp" + strings.Repeat(" and tcp[0] = 1", 15000),
		"sum":         strings.Repeat("1 + ", 60000) + "1 = 1",
	} {
		watch, start := slowness.Start(t), time.Now()
		_, err := Compile(e, Target{LinkType: EN10MB})
		if err == nil {
			t.Errorf("%s: accepted", name)
		} else if len(err.Error()) > 1000 {
			t.Errorf("%s: the error has %d bytes", name, len(err.Error()))
		}
		if took, limit := time.Since(start), watch.Limit(5*time.Second); took > limit {
			t.Errorf("%s: takes %v, more than %v", name, took, limit)
		}
	}
}

func TestDeepButReasonable(t *testing.T) {
	const depth = 200
	for _, e := range []string{
		strings.Repeat("(", depth) + "tcp" + strings.Repeat(")", depth),
		strings.Repeat("not ", depth) + "tcp",
		"port " + strings.Repeat("(", depth) + "80" + strings.Repeat(")", depth),
		strings.Repeat("(", depth) + "1" + strings.Repeat(")", depth) + " = 1",
	} {
		if _, err := Compile(e, Target{LinkType: EN10MB}); err != nil {
			t.Errorf("%.40q...: %v", e, err)
		}
	}
}
