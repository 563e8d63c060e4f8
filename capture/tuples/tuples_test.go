package tuples

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, test := range []struct {
		filter Filter
		want   string
	}{
		{Filter{}, ""},
		{Filter{Protocol: "ANY"}, ""},
		{Filter{Protocol: "TCP"}, "tcp"},
		{Filter{Protocol: "TCP", LocalAddress: "10.0.0.3", RemotePort: "20"},
			"tcp and ((ip src host 10.0.0.3 and dst port 20) or (ip dst host 10.0.0.3 and src port 20))"},
		{Filter{Protocol: "UDP", LocalPort: "80;443;"}, "udp and (src port (80 or 443) or dst port (80 or 443))"},
		{Filter{RemoteAddress: "10.0.0.1;10.0.0.9"},
			"ip dst host (10.0.0.1 or 10.0.0.9) or ip src host (10.0.0.1 or 10.0.0.9)"},
		{Filter{RemoteAddress: "2001:db8::1"}, "ip6 dst host 2001:db8::1 or ip6 src host 2001:db8::1"},
		{Filter{RemoteAddress: "1.1.1.1-255.255.255.255"}, "ip[16:4] >= 0x01010101 or ip[12:4] >= 0x01010101"},
		{Filter{RemoteAddress: "1.1.1.1-255.255.255"}, "ip[16:4] >= 0x01010101 or ip[12:4] >= 0x01010101"},
		{Filter{Protocol: "TCP", LocalPort: "1-65535", RemotePort: "0-65535;"}, "tcp"},
		{Filter{RemotePort: "1-65535"}, "tcp or udp or sctp"},
		{Filter{Protocol: "tcp;UDP", RemotePort: "1-65535"}, "tcp or udp"},
		{Filter{Protocol: "(6, 132)", RemotePort: "(1-65535)"}, "proto 6 or proto 132"},
		{Filter{Protocol: "any", LocalAddress: "Any", RemotePort: " any"}, ""},
		{Filter{RemoteAddress: "1.1.1.1-255.255.255.255;1.1.1.1-255.255.255"},
			"(ip[16:4] >= 0x01010101 or ip[16:4] >= 0x01010101) or (ip[12:4] >= 0x01010101 or ip[12:4] >= 0x01010101)"},
		{Filter{RemoteAddress: "(9.9.9.9;1.1.1.1 - 255.255.255 )"},
			"(ip dst host 9.9.9.9 or ip[16:4] >= 0x01010101) or (ip src host 9.9.9.9 or ip[12:4] >= 0x01010101)"},
	} {
		set, err := Parse([]Filter{test.filter})
		if err != nil || set.Expression != test.want || set.Expressions[0] != test.want {
			t.Errorf("%+v:\n got %s, %v\nwant %s", test.filter, set.Expression, err, test.want)
		}
	}
}

// TestSources has the filters of both primary sources, whose program must fit many times into the
// 4096 instructions that the kernel takes.
func TestSources(t *testing.T) {
	var list List
	for _, port := range []string{"20", "80", "443"} {
		list = append(list, Filter{Protocol: "TCP", LocalAddress: "10.0.0.3", LocalPort: "1-65535",
			RemoteAddress: "1.1.1.1-255.255.255", RemotePort: port})
	}
	set, err := Parse(append(list, Filter{Protocol: "UDP"}))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(compile(t, set.Expression).Instructions); n > 100 {
		t.Errorf("%d instructions", n)
	}
	if len(set.Warnings) != 3 {
		t.Fatalf("%q", set.Warnings)
	}
	want := "filters[2].remoteAddress: 255.255.255 has three parts, and is taken for 255.255.255.255."
	if got := set.Warnings[2].String(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, test := range []struct {
		filter Filter
		member string
		hint   string
	}{
		{Filter{Protocol: "TPC"}, "protocol", ""},
		{Filter{Protocol: "tcp) or (udp"}, "protocol", ""},
		{Filter{RemoteAddress: "1.1.1.1) or (tcp"}, "remoteAddress", ""},
		{Filter{LocalAddress: "host.example"}, "localAddress", ""},
		{Filter{LocalAddress: "10.0.0.9-10.0.0.1"}, "localAddress", "Try 10.0.0.1-10.0.0.9"},
		{Filter{LocalAddress: "10.0.0"}, "localAddress", "Try 10.0.0.0"},
		{Filter{LocalAddress: "255.255.255-255.255.255.255"}, "localAddress", "Try 255.255.255.255-255.255.255.255"},
		{Filter{LocalAddress: "10.0.0.1-2001:db8::1"}, "localAddress", ""},
		{Filter{LocalAddress: "10.0.0.1-10.0.0.2-10.0.0.3"}, "localAddress", ""},
		{Filter{LocalAddress: ";"}, "localAddress", ""},
		{Filter{LocalAddress: " "}, "localAddress", ""},
		{Filter{LocalAddress: "fe80::1%eth0"}, "localAddress", ""},
		{Filter{LocalAddress: "010.0.0.1"}, "localAddress", ""},
		{Filter{RemotePort: "99999"}, "remotePort", ""},
		{Filter{RemotePort: "-1"}, "remotePort", ""},
		{Filter{RemotePort: "0x50"}, "remotePort", ""},
		{Filter{RemotePort: "+80"}, "remotePort", ""},
		{Filter{RemotePort: "http"}, "remotePort", ""},
		{Filter{RemotePort: "85-80"}, "remotePort", "Try 80-85"},
		{Filter{LocalPort: strings.Repeat("1;", 600)}, "localPort", ""},
	} {
		_, err := Parse([]Filter{{Protocol: "UDP"}, test.filter})
		var wrong *Error
		if !errors.As(err, &wrong) {
			t.Errorf("%+v: %v", test.filter, err)
			continue
		}
		if wrong.Index != 1 || wrong.Member != test.member || wrong.Try != test.hint || wrong.Text == "" ||
			len(wrong.Text) > 300 {
			t.Errorf("%+v: %+v", test.filter, wrong)
		}
		if !strings.HasPrefix(err.Error(), "filters[1]."+test.member+": ") {
			t.Errorf("%+v: %v", test.filter, err)
		}
	}
	// What is refused is quoted as it was written, and what is to be tried is the whole of it.
	_, err := Parse([]Filter{{RemoteAddress: "9.9.9.9;1.1.1-255.255.255"}})
	var wrong *Error
	if !errors.As(err, &wrong) || wrong.Text != `"1.1.1-255.255.255": "1.1.1" is not an IP address` || wrong.Try != "Try 1.1.1.1-255.255.255" {
		t.Errorf("a range without a whole address: %+v", wrong)
	}
	if _, err := Parse(make([]Filter, maxFilters+1)); err == nil {
		t.Error("any number of filters is taken")
	}
}

func TestLine(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{"tcp", "tcp"},
		{"TCP remoteAddress 192.0.2.3 REMOTEPORT 80;443; or udp",
			"TCP remoteaddress 192.0.2.3 remoteport 80;443; or udp"},
		{"protocol tcp localport any", "tcp"},
		{"remoteport 53", "remoteport 53"},
		{"any", "any"},
		{"tcp remoteport 443, 80 - 85 ;8080; localport ( 1 ; 2 ) or udp remoteport 53; or icmp",
			"tcp localport (1;2) remoteport 443,80-85;8080; or udp remoteport 53; or icmp"},
		{"", ""},
		{"clear", ""},
		{`[{"protocol":"TCP","RemoteIPAddress":"1.1.1.1 - 2.2.2.2"},{}]`, "TCP remoteaddress 1.1.1.1-2.2.2.2 or any"},
		{"[]", ""},
	} {
		var list, again List
		if err := list.Set(test.line); err != nil || list.String() != test.want {
			t.Errorf("%s: got %s, %v, want %s", test.line, list, err, test.want)
		}
		if err := again.Set(list.String()); err != nil || again.String() != list.String() {
			t.Errorf("%s: read again %s, %v", list, again, err)
		}
	}
}

func TestLineRefuses(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{"tcp or", "filters[1]: the filter is missing; any is one that every packet matches"},
		{"or tcp", "filters[0]: the filter is missing; any is one that every packet matches"},
		{"tcp udp", `filters[0]: "udp" is not understood here`},
		{"tcp remoteport", "filters[0].remotePort: the value is missing"},
		{"tcp remoteport or udp", "filters[0].remotePort: the value is missing"},
		{"tcp remoteport 80 remoteport 81", "filters[0].remotePort: it is given twice"},
		{"udp or tcp remoteport 80-", `filters[1].remotePort: "80-": a port is a number from 0 to 65535, or a range of them`},
		{"  ", errBlank.text},
		{`[{"protocol":"TCP"}] or tcp`, errNoList.text},
		{`[{},{"protocol":5}]`, "filters[1].protocol: it is no text"},
		{`[{"REMOTEport":443}]`, "filters[0].remotePort: it is no text"},
		{`[{"remotePort":["80","443"]}]`, "filters[0].remotePort: it is no text"},
		{`[{"protocol":null}]`, "filters[0].protocol: it is no text"},
		{`[{"port":"5"}]`, `filters[0]: there is no "port" in a filter`},
		{`["tcp"]`, "filters[0]: it is no object"},
		{`[{"protocol":"TCP","Protocol":"UDP"}]`, "filters[0].protocol: it is given twice"},
		{`{"protocol":"TCP"}`, errNoList.text},
		{`[{},null]`, "filters[1]: it is null; {} is a filter that every packet matches"},
		{`[{"localAddress":"192.0.2.1","localIPAddress":"192.0.2.2"}]`, "filters[0].localAddress: it is given twice"},
	} {
		list := List{{Protocol: "before"}}
		if err := list.Set(test.line); fmt.Sprint(err) != test.want || list[0].Protocol != "before" {
			t.Errorf("%s: got %v, want %s", test.line, err, test.want)
		}
	}
}

// What is written as people write it elsewhere is refused with what to write here.
func TestHints(t *testing.T) {
	for line, want := range map[string]string{
		"tcp port 443":             "Did you mean localport or remoteport?",
		"tcp remoteaddr 192.0.2.1": "Did you mean remoteaddress?",
		"tcp RemotePort=443":       "Write remoteport 443",
		"tcp dst port 443":         "The argument filter takes expressions as tcpdump has them; here it is such as tcp remoteaddress 192.0.2.3 remoteport 443",
		"tcp 443":                  "After the protocol write localaddress, localport, remoteaddress, remoteport, each with its value, and the word or before the next filter",
		"tcp remoteport *":         "Write any for every value",
		"remoteaddress *":          "Write any for every value",
		"*":                        "Write any for every value",
		"udp or remoteaddress 10.0.0.1;::ffff:c000:201": "Write 192.0.2.1",
		"remoteaddress ::ffff:192.0.2.1/128":            "Write 192.0.2.1",
	} {
		var wrong *Error
		if err := new(List).Set(line); !errors.As(err, &wrong) || wrong.Try != want {
			t.Errorf("%s: %v, %+v", line, err, wrong)
		}
	}
	if err := new(List).Set("remoteaddress host"); fmt.Sprint(err) != `filters[0].remoteAddress: "host" is not an IP address` {
		t.Error(err)
	}
}

// A filter that no packet can match is refused, by the field without which one can. Beside others it
// is taken, with a warning: they still match. In a dialogue the answer is refused that makes it so.
func TestImpossible(t *testing.T) {
	for line, want := range map[string]string{
		"icmp remoteport 80":                              `filters[0].remotePort: "80": no packet can have it and match the rest of the filter`,
		"icmp localport 7":                                `filters[0].localPort: "7": no packet can have it and match the rest of the filter`,
		"icmp localaddress 2001:db8::1 localport 7":       `filters[0].localPort: "7": no packet can have it and match the rest of the filter`,
		"icmp localport 7 remoteport 80":                  `filters[0].protocol: "icmp": no packet can have it and match the rest of the filter`,
		"icmpv6 localaddress 192.0.2.1":                   `filters[0].localAddress: "192.0.2.1": no packet can have it and match the rest of the filter`,
		"localaddress 192.0.2.1 remoteaddress 2001:db8::": `filters[0].remoteAddress: "2001:db8::": no packet can have it and match the rest of the filter`,
		"icmp remoteport 1-65535 or esp localport 1":      `filters[0].remotePort: "1-65535": no packet can have it and match the rest of the filter`,
	} {
		var list List
		if err := list.Set(line); fmt.Sprint(err) != want || list != nil {
			t.Errorf("%s: %v", line, err)
		}
		if err := list.Set("tcp or " + line); err != nil {
			t.Errorf("tcp or %s: %v", line, err)
		}
		set, err := Parse(list)
		if warned := strings.Replace(want, "[0]", "[1]", 1) + "."; err != nil || len(set.Warnings) == 0 || set.Warnings[0].String() != warned {
			t.Errorf("tcp or %s: %v, %v", line, set.Warnings, err)
		}
		for _, before := range []string{"", "tcp or "} {
			if member, err := Next(before + line); err == nil && !strings.Contains(line, "or esp") {
				t.Errorf("after %s%s: %s is asked for", before, line, member)
			}
		}
	}
	for _, line := range []string{"icmp", "!icmp localport 7", "1-17 localport 7", "icmpv6 localaddress 2001:db8::1", "icmp localaddress 2001:db8::1", "localport 0"} {
		if set, err := Parse(mustSet(t, line)); err != nil || len(set.Warnings) != 0 {
			t.Errorf("%s: %v, %v", line, set.Warnings, err)
		}
	}
}

func mustSet(t *testing.T, line string) (list List) {
	t.Helper()
	if err := list.Set(line); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return list
}

// So many filters and so long a field are taken, and one more is not.
func TestLimits(t *testing.T) {
	several := func(n int) string { return strings.Repeat("tcp or ", n-1) + "tcp" }
	array := func(n int) string { return "[" + strings.Repeat("{},", n-1) + "{}]" }
	field := func(n int) string { return "tcp remoteport " + strings.Repeat("80;", n/3) + strings.Repeat("8", n%3) }
	for _, test := range []struct{ name, line, want string }{
		{"filters in a line", several(64), ""},
		{"one more", several(65), "filters[64]: there are 65 filters; at most 64 are accepted"},
		{"filters in JSON", array(64), ""},
		{"one more in JSON", array(65), "filters[64]: there are 65 filters; at most 64 are accepted"},
		{"a field", field(1024), ""},
		{"a byte more", field(1025), "filters[0].remotePort: it has 1025 bytes; at most 1024 are accepted"},
		{"a field of the last filter", several(63) + " or " + field(1024), ""},
		{"and a byte more", several(63) + " or " + field(1025), "filters[63].remotePort: it has 1025 bytes; at most 1024 are accepted"},
	} {
		var list List
		err := list.Set(test.line)
		if got := fmt.Sprint(err); test.want != "" && got != test.want || test.want == "" && err != nil {
			t.Errorf("%s: %v, want %s", test.name, err, test.want)
		}
		if (list != nil) != (test.want == "") {
			t.Errorf("%s: the list is %v", test.name, list)
		}
	}
}

// FuzzList looks for texts that are taken and mean nothing that can be compiled, or something else
// when they are written and read again.
func FuzzList(f *testing.F) {
	for _, text := range []string{"tcp remoteaddress 1.1.1.1-255.255.255 remoteport 20 or udp",
		"localaddress 2001:db8::1-2001:db9::;10.0.0.0/8 localport !22;1-9", `[{"protocol":"!(tcp,udp)"},{}]`,
		"any or 47", "1.1.1.1) or (tcp", "tcp localport 1-65535"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var list, again List
		if list.Set(text) != nil {
			return
		}
		set, err := Parse(list)
		if err != nil {
			t.Fatalf("%q is taken, and then: %v", text, err)
		}
		if err := again.Set(list.String()); err != nil {
			t.Fatalf("%q is written as %q: %v", text, list, err)
		}
		if other, err := Parse(again); err != nil || other.Expression != set.Expression {
			t.Fatalf("%q is written as %q: %v\n%s\n%s", text, list, err, set.Expression, other.Expression)
		}
		if len(set.Expression) < 4096 {
			compile(t, set.Expression)
		}
	})
}
