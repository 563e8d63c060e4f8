package filter

import (
	"errors"
	"net/netip"
	"testing"
)

var structuredHost = Host{
	Addresses:  []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")},
	Interfaces: map[string]int{"eth0": 2, "eth1": 3},
}

func TestStructuredExpression(t *testing.T) {
	for _, test := range []struct {
		filters []Structured
		want    string
	}{
		{nil, ""},
		{[]Structured{{}}, ""},
		{[]Structured{{Protocol: "Any"}, {Protocol: "TCP"}}, ""},
		{[]Structured{{Protocol: "udp"}}, "udp"},
		{[]Structured{{Protocol: "ICMP"}, {Protocol: "17"}}, "(icmp or icmp6) or proto 17"},
		{[]Structured{{Protocol: "!(TCP,UDP)"}}, "(ip or ip6) and not (tcp or udp)"},
		{[]Structured{{Protocol: "(4-6)"}}, "proto (4 or 5 or 6)"},
		{
			[]Structured{{Protocol: "TCP", LocalAddress: "10.0.0.4", LocalPort: "443",
				RemoteAddress: "10.0.0.5-10.0.0.8", RemotePort: "80;443;"}},
			"tcp and ((ip src host 10.0.0.4 and src port 443 and ip dst net (10.0.0.5 or 10.0.0.6/31 or 10.0.0.8) and dst port (80 or 443))" +
				" or (ip dst host 10.0.0.4 and dst port 443 and ip src net (10.0.0.5 or 10.0.0.6/31 or 10.0.0.8) and src port (80 or 443)))",
		},
		{
			[]Structured{{RemotePort: "53"}},
			"((ip src host 192.0.2.1 or ip6 src host 2001:db8::1) and dst port 53) or ((ip dst host 192.0.2.1 or ip6 dst host 2001:db8::1) and src port 53)",
		},
		{
			[]Structured{{LocalAddress: "192.0.2.1", LocalPort: "1-9;20;!5"}, {Protocol: "UDP"}},
			"((ip src host 192.0.2.1 and (src port 20 or src portrange (1-4 or 6-9))) or (ip dst host 192.0.2.1 and (dst port 20 or dst portrange (1-4 or 6-9)))) or udp",
		},
		{[]Structured{{IPv4Address: "!192.0.2.9"}}, "ip and not ip host 192.0.2.9"},
		{[]Structured{{IPv6SourceAddress: "fe80::/10"}}, "ip6 src net fe80::/10"},
		{
			[]Structured{{EthernetType: "!(IPv4,0x86DD)", EthernetAddress: "00-0D-56-1F-73-64"}},
			"not (ether proto 0x0800 or ether proto 0x86dd) and ether host 00:0d:56:1f:73:64",
		},
		{[]Structured{{CaptureInterface: "eth1;7"}}, "ifindex 3 or ifindex 7"},
	} {
		got, err := StructuredExpression(test.filters, structuredHost)
		if err != nil || got != test.want {
			t.Errorf("%+v:\n got %s, %v\nwant %s", test.filters, got, err, test.want)
		}
	}
}

func TestStructuredExpressionWithoutHost(t *testing.T) {
	got, err := StructuredExpression([]Structured{{LocalPort: "22"}}, Host{})
	if want := "src port 22 or dst port 22"; got != want || err != nil {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

func TestStructuredExpressionRefuses(t *testing.T) {
	for _, test := range []struct {
		filter             Structured
		field, replacement string
	}{
		{Structured{Protocol: "TPC"}, "protocol", ""},
		{Structured{Protocol: "256"}, "protocol", ""},
		{Structured{LocalAddress: "1.1.1.1-255.255.255"}, "localAddress", "1.1.1.1-255.255.255.255"},
		{Structured{LocalAddress: "1.1.1-9.9.9.9"}, "localAddress", "1.1.1.1-9.9.9.9"},
		{Structured{LocalAddress: "10.0.0.9-10.0.0.1"}, "localAddress", "10.0.0.1-10.0.0.9"},
		{Structured{RemoteAddress: "10.0.0.1-2001:db8::1"}, "remoteAddress", ""},
		{Structured{RemoteAddress: "10.0.0.1/8"}, "remoteAddress", "10.0.0.0/8"},
		{Structured{RemoteAddress: "host.example"}, "remoteAddress", ""},
		{Structured{RemoteAddress: "fe80::1%eth0"}, "remoteAddress", ""},
		{Structured{IPv4Address: "2001:db8::1"}, "ipv4Address", ""},
		{Structured{LocalPort: "65536"}, "localPort", ""},
		{Structured{LocalPort: "90-80"}, "localPort", "80-90"},
		{Structured{RemotePort: "80;!80"}, "remotePort", ""},
		{Structured{RemotePort: ";"}, "remotePort", ""},
		{Structured{EthernetType: "5"}, "ethernetType", ""},
		{Structured{EthernetAddress: "00-0D-56-1F-73"}, "ethernetAddress", ""},
		{Structured{CaptureInterface: "eth7"}, "captureInterface", ""},
	} {
		_, err := StructuredExpression([]Structured{{Protocol: "TCP"}, test.filter}, structuredHost)
		var f *FieldError
		if !errors.As(err, &f) {
			t.Errorf("%+v: %v", test.filter, err)
			continue
		}
		if f.Filter != 1 || f.Field != test.field || f.Replacement != test.replacement {
			t.Errorf("%+v: %+v", test.filter, f)
		}
	}
}
