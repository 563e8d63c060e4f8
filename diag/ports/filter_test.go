package ports

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
)

func TestFilterMatch(t *testing.T) {
	curl := Process{PID: 42, Name: "curl", Exe: "/usr/bin/curl", UID: 1000, User: "ann"}
	connect := Record{Event: Connected, Protocol: TCP, LocalAddress: netip.MustParseAddr("192.0.2.1"), LocalPort: 40000,
		RemoteAddress: netip.MustParseAddr("2001:db8::7"), RemotePort: 443, Process: curl}
	closed := Record{Event: Closed, Process: Process{PID: 43, Name: "worker", Exe: "/opt/a,b/server", User: "www"}, OpenedBy: 42}
	rejected := Record{Event: Rejected, LocalPort: 23}
	gap := Record{Event: Gap, Lost: 3}
	for _, c := range []struct {
		name string
		s    Selection
		want []bool // connect, closed, rejected
	}{
		{"nothing asked", Selection{}, []bool{true, true, true}},
		{"a name", Selection{Processes: []string{"curl"}}, []bool{true, false, false}},
		{"a name in another case", Selection{Processes: []string{"Worker"}}, []bool{false, true, false}},
		{"the file", Selection{Processes: []string{"server"}}, []bool{false, true, false}},
		{"the path of the file", Selection{Processes: []string{"/opt/a,b/server"}}, []bool{false, true, false}},
		{"the file has its case", Selection{Processes: []string{"Server"}}, []bool{false, false, false}},
		{"a number, of the opener too", Selection{Processes: []string{"42"}}, []bool{true, true, false}},
		{"not process 0", Selection{Processes: []string{"0"}}, []bool{false, false, false}},
		{"a user", Selection{Users: []string{"www", "bob"}}, []bool{false, true, false}},
		{"a user's number", Selection{Users: []string{"1000"}}, []bool{true, false, false}},
		{"root is not whom nobody knows", Selection{Users: []string{"0"}}, []bool{false, true, false}},
		{"a port at either end", Selection{Ports: []string{"443"}}, []bool{true, false, false}},
		{"a range", Selection{Ports: []string{"20-25", "39999-40000"}}, []bool{true, false, true}},
		{"an address", Selection{Addresses: []string{"::ffff:192.0.2.1"}}, []bool{true, false, false}},
		{"a network", Selection{Addresses: []string{"2001:db8::/32"}}, []bool{true, false, false}},
		{"an event", Selection{Events: []string{"rejected", "close"}}, []bool{false, true, true}},
		{"all that is given", Selection{Events: []string{"connect"}, Ports: []string{"23"}}, []bool{false, false, false}},
	} {
		f, err := c.s.Filter()
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if got := []bool{f.Match(&connect), f.Match(&closed), f.Match(&rejected)}; !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		if !f.Match(&gap) {
			t.Errorf("%s: a gap is left out", c.name)
		}
		if n := testing.AllocsPerRun(100, func() { f.Match(&connect) }); n != 0 {
			t.Errorf("%s: %v allocations", c.name, n)
		}
	}
}

func TestFilterRefuses(t *testing.T) {
	for _, c := range []struct {
		s    Selection
		want SelectionError
	}{
		{Selection{Ports: []string{"80", "0"}}, SelectionError{Member: "ports", Value: "0"}},
		{Selection{Ports: []string{"90-80"}}, SelectionError{Member: "ports", Value: "90-80"}},
		{Selection{Ports: []string{"65536"}}, SelectionError{Member: "ports", Value: "65536"}},
		{Selection{Ports: []string{"-"}}, SelectionError{Member: "ports", Value: "-"}},
		{Selection{Addresses: []string{"mx1"}}, SelectionError{Member: "addresses", Value: "mx1"}},
		{Selection{Addresses: []string{"192.0.2.0/33"}}, SelectionError{Member: "addresses", Value: "192.0.2.0/33"}},
		{Selection{Events: []string{"sleep"}}, SelectionError{Member: "events", Value: "sleep"}},
	} {
		_, err := c.s.Filter()
		var got *SelectionError
		if !errors.As(err, &got) || got.Member != c.want.Member || got.Value != c.want.Value || got.Wants == "" {
			t.Errorf("%+v: %v", c.s, err)
		}
	}
}
