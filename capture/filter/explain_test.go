package filter

import (
	"strings"
	"testing"
)

func TestExplain(t *testing.T) {
	for _, test := range []struct{ expression, want string }{
		{"", "every packet\n"},
		{"tcp", "every packet that\n  is TCP\n"},
		{"not ip6", "every packet that\n  is not IPv6\n"},
		{"tcp port 443 and host 192.0.2.1", `every packet that
  has TCP port 443 as source or destination, and
  has the address 192.0.2.1 as source or destination, in IPv4, ARP or RARP
`},
		{"not tcp port 80 and (host 192.0.2.1 or 2001:db8::1) or vlan 10 and ip6", `every packet that
  does at least one of these:
    does all of these:
      does not have TCP port 80 as source or destination, and
      does at least one of these:
        has the address 192.0.2.1 as source or destination, in IPv4, ARP or RARP, or
        has the address 2001:db8::1 as source or destination, or
    has a VLAN tag with the number 10; all that follows is looked for after it, and
  is IPv6
`},
		{"not (tcp and port 80)", `every packet that
  does not do all of these:
    is TCP, and
    has TCP, UDP or SCTP port 80 as source or destination
`},
		{"not (arp or not greater 100)", `every packet that
  does none of these:
    is ARP, or
    does not have at least 100 bytes
`},
		{"tcp[tcpflags] & (tcp-syn|tcp-ack) != 0",
			"every packet that\n  has the TCP flags & (2 | 16) not equal to 0\n"},
		{"ip[2:2] - ((ip[0]&0xf)<<2) > len % 7",
			"every packet that\n  has the IPv4 packet length - ((the byte at 0 of the IPv4 header & 15) << 2) greater than the length of the packet % 7\n"},
		{"udp dst portrange 5000-5010", "every packet that\n  has a UDP port from 5000 to 5010 as destination\n"},
		{"net 10.0.0.0/8 or src net 192.0.2", `every packet that
  does at least one of these:
    has an address in the network 10.0.0.0/8 as source or destination, in IPv4, ARP or RARP, or
    has an address in the network 192.0.2/24 as source, in IPv4, ARP or RARP
`},
		{"ether proto 0x88cc or ip proto \\tcp", `every packet that
  does at least one of these:
    has the link-layer protocol 0x88cc, or
    is IPv4 with the protocol tcp
`},
		{"ether host 2:0:0:0:0:1 and ip broadcast", `every packet that
  has the hardware address 2:0:0:0:0:1 as source or destination, and
  is an IPv4 broadcast
`},
		{"host 999", "every packet that\n  has the address 0.0.3.231 as source or destination, in IPv4, ARP or RARP\n"},
		{"src host www.example",
			"every packet that\n  has an address of the host www.example as source, in IPv4, IPv6, ARP or RARP\n"},
		{"net labnet",
			"every packet that\n  has an address in the network labnet as source or destination, in IPv4, ARP or RARP\n"},
		{"gateway router and ip", `every packet that
  goes through the gateway router: it has the hardware address of that host, but not its IP address, and
  is IPv4
`},
		{"not gateway router",
			"every packet that\n  does not go through the gateway router: it has the hardware address of that host, but not its IP address\n"},
		{"wlan addr3 2:0:0:0:0:1",
			"every packet that\n  has the hardware address 2:0:0:0:0:1 as third 802.11 address\n"},
		{"ether multicast or vlan", `every packet that
  does at least one of these:
    is a link-layer multicast, or
    has a VLAN tag; all that follows is looked for after it
`},
		{"ip protochain 51", "every packet that\n  has the protocol 51 somewhere in the chain of its IPv4 headers\n"},
		{"type mgt subtype beacon", "every packet that\n  is an 802.11 frame of type mgt, subtype beacon\n"},
		{"byte 23 = 6", "every packet that\n  has byte 23 of the link layer equal to 6\n"},
	} {
		got, err := Explain(test.expression)
		if err != nil || got != test.want {
			t.Errorf("%s: %v\n got %s\nwant %s", test.expression, err, got, test.want)
		}
	}
	if _, err := Explain("host"); err == nil {
		t.Error("an expression that does not parse was explained")
	}
}

// Whatever compiles can be explained: every node of the tree has its words.
func TestExplainKnowsTheWholeLanguage(t *testing.T) {
	for _, e := range readCorpusExpressions(t) {
		text, err := Explain(e.text)
		if err != nil {
			continue
		}
		for line := range strings.Lines(text) {
			if strings.HasSuffix(strings.TrimSpace(line), " ") || strings.Contains(line, "  as") ||
				strings.Contains(line, "?") {
				t.Errorf("%s: a word is missing: %s", e.text, line)
			}
		}
	}
}

func TestComplete(t *testing.T) {
	here := []Candidate{{"192.0.2.7", "eth0"}, {"2001:db8::7", "eth0"}}
	for _, test := range []struct {
		expression, with, without string // | is the cursor; words separated by commas
	}{
		{"|", "host,tcp,not,vlan,src or dst", "and,or,mask,tcpflags,192.0.2.7"},
		{"tc|", "tcp", "host,tcpflags"},
		{"tcp |", "port,and,or,src", "not,tcp,192.0.2.7"},
		{"host |", "192.0.2.7,2001:db8::7,not", "port,tcp,and,tcp-syn"},
		{"host 192|", "192.0.2.7", "2001:db8::7,host"},
		{"src |", "192.0.2.7,host,port", "src,and"},
		{"port |", "not", "192.0.2.7,tcpflags"},
		{"port 80 |", "and,or", "host,192.0.2.7"},
		{"host 192.0.2.1 or |", "192.0.2.7,port,tcp", "and"},
		{"tcp or |", "port,tcp", "192.0.2.7"},
		{"tcp[|", "tcpflags,len", "host,192.0.2.7"},
		{"tcp[tcpflags] & (|", "tcp-syn", "host"},
		{"net 192.0.2.0 |", "mask,and", "port"},
		{"(port 80 |", "or", "host"},
		{"p| and tcp", "port,portrange,pim", "tcp"},
		{"host ) |", "", "host,and"},
	} {
		before, after, _ := strings.Cut(test.expression, "|")
		texts := make(map[string]bool)
		_, candidates := Complete(before+after, len(before), here)
		for _, c := range candidates {
			texts[c.Text] = true
			if c.Help == "" {
				t.Errorf("%s has no help", c.Text)
			}
		}
		for w := range strings.SplitSeq(test.with, ",") {
			if w != "" && !texts[w] {
				t.Errorf("%s: %q is not offered", test.expression, w)
			}
		}
		for w := range strings.SplitSeq(test.without, ",") {
			if texts[w] {
				t.Errorf("%s: %q is offered", test.expression, w)
			}
		}
	}
	for _, cursor := range []int{-5, 100} {
		Complete("tcp", cursor, nil)
	}
}
