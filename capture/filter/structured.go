package filter

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Structured is a filter in fields, as Azure Network Watcher (protocol, local
// and remote address and port) and netsh trace (Ethernet, IPv4, IPv6, capture
// interface) have them. All fields that are set must hold.
//
// A field takes a value, a range a-b, or a list of them with semicolons or
// commas between; parentheses around the list are allowed. Addresses may also
// be networks, 10.0.0.0/8. A value after an exclamation mark is excluded: "10.0.0.0/8;!10.1.2.3",
// "!22", "!(TCP,UDP)". A field with nothing but exclusions matches the packets that
// have such a field, with another value.
//
// Local and remote are relative to this host, not source and destination: one
// filter matches both directions of a conversation. When one of these four
// fields is set and the local address is not, it is any address of this host.
// Addresses match IP packets only, never ARP; ports match TCP, UDP and SCTP, and
// of a fragmented packet the first fragment.
type Structured struct {
	Protocol      string `json:"protocol,omitempty"` // TCP, UDP, ICMP (both families), … or a number; Any
	LocalAddress  string `json:"localAddress,omitempty"`
	RemoteAddress string `json:"remoteAddress,omitempty"`
	LocalPort     string `json:"localPort,omitempty"`
	RemotePort    string `json:"remotePort,omitempty"`

	EthernetType               string `json:"ethernetType,omitempty"` // IPv4, IPv6, ARP or a number
	EthernetAddress            string `json:"ethernetAddress,omitempty"`
	EthernetSourceAddress      string `json:"ethernetSourceAddress,omitempty"`
	EthernetDestinationAddress string `json:"ethernetDestinationAddress,omitempty"`
	IPv4Address                string `json:"ipv4Address,omitempty"`
	IPv4SourceAddress          string `json:"ipv4SourceAddress,omitempty"`
	IPv4DestinationAddress     string `json:"ipv4DestinationAddress,omitempty"`
	IPv6Address                string `json:"ipv6Address,omitempty"`
	IPv6SourceAddress          string `json:"ipv6SourceAddress,omitempty"`
	IPv6DestinationAddress     string `json:"ipv6DestinationAddress,omitempty"`
	CaptureInterface           string `json:"captureInterface,omitempty"` // name or index
}

// Host is what "local" and the names of interfaces are relative to. Without
// addresses, an unset local address is any address at all.
type Host struct {
	Addresses  []netip.Addr
	Interfaces map[string]int // index by name
}

// FieldError says which field of which structured filter, counted from 0, cannot
// be used, and why.
type FieldError struct {
	Filter               int
	Field, Value         string
	Message, Replacement string // Replacement is a value that would do, if there is an obvious one
}

func (e *FieldError) Error() string {
	s := fmt.Sprintf("%s %q: %s", e.Field, e.Value, e.Message)
	if e.Replacement != "" {
		s += fmt.Sprintf(", try %q", e.Replacement)
	}
	return s
}

// StructuredExpression writes the filters as one pcap-filter expression, which
// matches what any of them matches. No filters match everything.
func StructuredExpression(filters []Structured, host Host) (string, error) {
	_, together, err := StructuredExpressions(filters, host)
	return together, err
}

// StructuredExpressions writes each filter as an expression, and all of them as
// StructuredExpression does. An empty expression matches everything.
func StructuredExpressions(filters []Structured, host Host) (each []string, together string, err error) {
	var alternatives []clause
	everything := false
	for i := range filters {
		c, wrong := filters[i].clause(host)
		if wrong != nil {
			wrong.Filter = i
			return nil, "", wrong
		}
		each, alternatives = append(each, c.text), append(alternatives, c)
		everything = everything || c.text == ""
	}
	if everything {
		return each, "", nil
	}
	return each, anyOf(alternatives...).text, nil
}

// either is the one clause for a field that the source or the destination may have.
const either = ""

func (f *Structured) clause(host Host) (clause, *FieldError) {
	var parts []clause
	var first *FieldError
	add := func(c clause, err *FieldError) {
		if first == nil {
			first = err
		}
		parts = append(parts, c)
	}
	add(interfaceClause(f.CaptureInterface, host))
	add(etherTypeClause(f.EthernetType))
	add(etherClause("ethernetAddress", either, f.EthernetAddress))
	add(etherClause("ethernetSourceAddress", "src", f.EthernetSourceAddress))
	add(etherClause("ethernetDestinationAddress", "dst", f.EthernetDestinationAddress))
	add(protocolClause(f.Protocol))
	add(addressClause("ipv4Address", either, f.IPv4Address, ipv4))
	add(addressClause("ipv4SourceAddress", "src", f.IPv4SourceAddress, ipv4))
	add(addressClause("ipv4DestinationAddress", "dst", f.IPv4DestinationAddress, ipv4))
	add(addressClause("ipv6Address", either, f.IPv6Address, ipv6))
	add(addressClause("ipv6SourceAddress", "src", f.IPv6SourceAddress, ipv6))
	add(addressClause("ipv6DestinationAddress", "dst", f.IPv6DestinationAddress, ipv6))
	add(f.conversation(host))
	if first != nil {
		return clause{}, first
	}
	return allOf(parts...), nil
}

// conversation matches a packet from local to remote, or its mirror image.
func (f *Structured) conversation(host Host) (clause, *FieldError) {
	if f.LocalAddress == "" && f.RemoteAddress == "" && f.LocalPort == "" && f.RemotePort == "" {
		return clause{}, nil
	}
	localAddresses, err := readAddresses("localAddress", f.LocalAddress, ipv4|ipv6)
	if err != nil {
		return clause{}, err
	}
	localPorts, err := readPorts("localPort", f.LocalPort)
	if err != nil {
		return clause{}, err
	}
	remoteAddresses, err := readAddresses("remoteAddress", f.RemoteAddress, ipv4|ipv6)
	if err != nil {
		return clause{}, err
	}
	remotePorts, err := readPorts("remotePort", f.RemotePort)
	if err != nil {
		return clause{}, err
	}
	from := func(local, remote string) clause {
		own := localAddresses.clause(local)
		if f.LocalAddress == "" {
			own = addressesClause(local, hostPrefixes(host.Addresses))
		}
		return allOf(own, localPorts.clause(local), remoteAddresses.clause(remote), remotePorts.clause(remote))
	}
	return anyOf(from("src", "dst"), from("dst", "src")), nil
}

var anyIP = clause{"ip or ip6", "or"}

func interfaceClause(value string, host Host) (clause, *FieldError) {
	return listClause("captureInterface", value, clause{}, func(i item) (clause, *FieldError) {
		index, known := host.Interfaces[i.text]
		if !known {
			var err error
			if index, err = strconv.Atoi(i.text); err != nil || index <= 0 {
				return clause{}, &FieldError{Message: "no such interface"}
			}
		}
		return clause{text: fmt.Sprintf("ifindex %d", index)}, nil
	})
}

// etherTypes are the names that netsh has for Ethernet types, and ARP.
var etherTypes = map[string]uint64{"ipv4": 0x0800, "arp": 0x0806, "ipv6": 0x86dd}

func etherTypeClause(value string) (clause, *FieldError) {
	return listClause("ethernetType", value, clause{}, func(i item) (clause, *FieldError) {
		number, known := etherTypes[strings.ToLower(i.text)]
		if !known {
			var err error
			if number, err = strconv.ParseUint(i.text, 0, 16); err != nil || number < 0x600 {
				return clause{},
					&FieldError{Message: "an Ethernet type is IPv4, IPv6, ARP or a number from 0x600 to 0xffff"}
			}
		}
		return clause{text: fmt.Sprintf("ether proto 0x%04x", number)}, nil
	})
}

func etherClause(name, direction, value string) (clause, *FieldError) {
	return listClause(name, value, clause{}, func(i item) (clause, *FieldError) {
		address, err := net.ParseMAC(i.text)
		if err != nil || len(address) != 6 {
			return clause{}, &FieldError{Message: "a hardware address has six parts, like 00-0D-56-1F-73-64"}
		}
		return written("ether", direction, "host", address.String()), nil
	})
}

// protocolNames are the protocols known by name, in the words of the language.
// ICMP is that of both families: who asks for it wants to see pings.
var protocolNames = map[string]clause{
	"tcp": {text: "tcp"}, "udp": {text: "udp"}, "sctp": {text: "sctp"},
	"icmp": {"icmp or icmp6", "or"}, "icmpv4": {text: "icmp"}, "icmpv6": {text: "icmp6"}, "icmp6": {text: "icmp6"},
	"igmp": {text: "igmp"}, "esp": {text: "esp"}, "ah": {text: "ah"}, "pim": {text: "pim"},
	"gre": {text: "proto 47"}, "ospf": {text: "proto 89"}, "vrrp": {text: "proto 112"},
}

func protocolClause(value string) (clause, *FieldError) {
	if strings.EqualFold(strings.TrimSpace(value), "any") {
		return clause{}, nil
	}
	return listClause("protocol", value, anyIP, func(i item) (clause, *FieldError) {
		if c, known := protocolNames[strings.ToLower(i.text)]; known {
			return c, nil
		}
		low, errLow := strconv.ParseUint(i.low, 0, 8)
		high, errHigh := strconv.ParseUint(i.high, 0, 8)
		if errLow != nil || errHigh != nil || low > high {
			return clause{},
				&FieldError{
					Message: "a protocol is TCP, UDP, SCTP, ICMP, ICMPv6, IGMP, ESP, AH, GRE, OSPF, PIM, VRRP, " +
						"a number from 0 to 255 or a range of numbers, or Any"}
		}
		var numbers []string
		for n := low; n <= high; n++ {
			numbers = append(numbers, strconv.FormatUint(n, 10))
		}
		return written("proto", oneOrMore(numbers)), nil
	})
}
