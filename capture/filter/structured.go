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
	Protocol        string `json:"protocol,omitempty"` // TCP, UDP, ICMP (both families), … or a number; Any
	LocalIPAddress  string `json:"localIPAddress,omitempty"`
	RemoteIPAddress string `json:"remoteIPAddress,omitempty"`
	LocalPort       string `json:"localPort,omitempty"`
	RemotePort      string `json:"remotePort,omitempty"`

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
	var alternatives []clause
	for i := range filters {
		c, err := filters[i].clause(host)
		if err != nil {
			err.Filter = i
			return "", err
		}
		if c.text == "" {
			return "", nil
		}
		alternatives = append(alternatives, c)
	}
	return anyOf(alternatives...).text, nil
}

// clause is part of an expression, and how its parts are joined.
type clause struct {
	text   string
	joined string // "and", "or", or empty for a part that needs no parentheses
}

func (c clause) group() string {
	if c.joined == "" {
		return c.text
	}
	return "(" + c.text + ")"
}

func join(word string, parts []clause) clause {
	var texts []string
	var only clause
	for _, c := range parts {
		if c.text == "" {
			continue
		}
		only = c
		texts = append(texts, c.group())
	}
	if len(texts) <= 1 {
		return only
	}
	return clause{strings.Join(texts, " "+word+" "), word}
}

// anyOf and allOf pass over empty clauses. And and or have the same precedence in
// the language, so a joined clause inside another is always in parentheses.
func anyOf(parts ...clause) clause { return join("or", parts) }
func allOf(parts ...clause) clause { return join("and", parts) }

func noneOf(c clause) clause {
	if c.text == "" {
		return c
	}
	return clause{text: "not " + c.group()}
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
	if f.LocalIPAddress == "" && f.RemoteIPAddress == "" && f.LocalPort == "" && f.RemotePort == "" {
		return clause{}, nil
	}
	from := func(local, remote string) (clause, *FieldError) {
		var parts [4]clause
		var err *FieldError
		if f.LocalIPAddress == "" {
			parts[0] = addressesClause(local, hostPrefixes(host.Addresses))
		} else if parts[0], err = addressClause("localIPAddress", local, f.LocalIPAddress, ipv4|ipv6); err != nil {
			return clause{}, err
		}
		if parts[1], err = portClause("localPort", local, f.LocalPort); err != nil {
			return clause{}, err
		}
		if parts[2], err = addressClause("remoteIPAddress", remote, f.RemoteIPAddress, ipv4|ipv6); err != nil {
			return clause{}, err
		}
		if parts[3], err = portClause("remotePort", remote, f.RemotePort); err != nil {
			return clause{}, err
		}
		return allOf(parts[:]...), nil
	}
	out, err := from("src", "dst")
	if err != nil {
		return clause{}, err
	}
	in, _ := from("dst", "src")
	return anyOf(out, in), nil
}

// item is one entry of a list: a single value, or the ends of a range.
type item struct {
	text      string
	low, high string
	excluded  bool
}

// splitList takes a field apart. A range is an entry with one hyphen; hardware
// addresses, which may have five, are not.
func splitList(value string) []item {
	value = strings.TrimSpace(value)
	excluded := false
	if rest, ok := strings.CutPrefix(value, "!("); ok && strings.HasSuffix(rest, ")") {
		value, excluded = rest[:len(rest)-1], true
	} else if rest, ok := strings.CutPrefix(value, "("); ok && strings.HasSuffix(rest, ")") {
		value = rest[:len(rest)-1]
	}
	var items []item
	for text := range strings.FieldsFuncSeq(value, func(r rune) bool { return r == ';' || r == ',' }) {
		text = strings.TrimSpace(text)
		if text == "" {
			continue
		}
		i := item{excluded: excluded}
		if rest, ok := strings.CutPrefix(text, "!"); ok {
			text, i.excluded = strings.TrimSpace(rest), !excluded
		}
		i.text, i.low, i.high = text, text, text
		if low, high, ok := strings.Cut(text, "-"); ok && !strings.Contains(high, "-") {
			i.low, i.high = strings.TrimSpace(low), strings.TrimSpace(high)
		}
		items = append(items, i)
	}
	return items
}

// eachItem hands out the entries of a field; an empty field has none.
func eachItem(name, value string, use func(item) *FieldError) *FieldError {
	if value == "" {
		return nil
	}
	items := splitList(value)
	if len(items) == 0 {
		return &FieldError{Field: name, Value: value, Message: "there is no value in it"}
	}
	for _, i := range items {
		if err := use(i); err != nil {
			err.Field, err.Value = name, i.text
			return err
		}
	}
	return nil
}

// listClause makes the clause of a field from the clauses of its entries. carrier
// matches the packets that have the field, if not all packets have it.
func listClause(name, value string, carrier clause, entry func(item) (clause, *FieldError)) (clause, *FieldError) {
	var wanted, excluded []clause
	err := eachItem(name, value, func(i item) *FieldError {
		c, err := entry(i)
		if i.excluded {
			excluded = append(excluded, c)
		} else {
			wanted = append(wanted, c)
		}
		return err
	})
	if err != nil || value == "" {
		return clause{}, err
	}
	if len(wanted) == 0 {
		wanted = []clause{carrier}
	}
	return allOf(anyOf(wanted...), noneOf(anyOf(excluded...))), nil
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
				return clause{}, &FieldError{Message: "an Ethernet type is IPv4, IPv6, ARP or a number from 0x600 to 0xffff"}
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

// written writes a primitive from its words, without those that are empty.
func written(words ...string) clause {
	var set []string
	for _, w := range words {
		if w != "" {
			set = append(set, w)
		}
	}
	return clause{text: strings.Join(set, " ")}
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
			return clause{}, &FieldError{Message: "a protocol is TCP, UDP, SCTP, ICMP, ICMPv6, IGMP, ESP, AH, GRE, OSPF, PIM, VRRP, " +
				"a number from 0 to 255 or a range of numbers, or Any"}
		}
		var numbers []string
		for n := low; n <= high; n++ {
			numbers = append(numbers, strconv.FormatUint(n, 10))
		}
		return written("proto", oneOrMore(numbers)), nil
	})
}

// oneOrMore writes values for a primitive that takes several in parentheses.
func oneOrMore(values []string) string {
	if len(values) == 1 {
		return values[0]
	}
	return "(" + strings.Join(values, " or ") + ")"
}

// family is a set of the two address families.
type family int

const (
	ipv4 family = 1 << iota
	ipv6
)

func familyOf(a netip.Addr) family {
	if a.Is4() {
		return ipv4
	}
	return ipv6
}

// carrier is the clause for the packets that have addresses of the families.
func (f family) carrier() clause {
	switch f {
	case ipv4:
		return clause{text: "ip"}
	case ipv6:
		return clause{text: "ip6"}
	}
	return anyIP
}

// addressClause makes one primitive for all addresses of a family: a list of
// networks in parentheses is shorter to read than so many primitives.
func addressClause(name, direction, value string, families family) (clause, *FieldError) {
	var wanted, excluded []netip.Prefix
	err := eachItem(name, value, func(i item) *FieldError {
		prefixes, err := parseAddresses(i, families)
		if i.excluded {
			excluded = append(excluded, prefixes...)
		} else {
			wanted = append(wanted, prefixes...)
		}
		return err
	})
	if err != nil || value == "" {
		return clause{}, err
	}
	matches := addressesClause(direction, wanted)
	if len(wanted) == 0 {
		matches = families.carrier()
	}
	return allOf(matches, noneOf(addressesClause(direction, excluded))), nil
}

func addressesClause(direction string, prefixes []netip.Prefix) clause {
	var words [2][]string
	host := [2]bool{true, true}
	for _, p := range prefixes {
		f := 0
		if p.Addr().Is6() {
			f = 1
		}
		if p.IsSingleIP() {
			words[f] = append(words[f], p.Addr().String())
		} else {
			words[f] = append(words[f], p.String())
			host[f] = false
		}
	}
	var alternatives []clause
	for f, qualifier := range []string{"ip", "ip6"} {
		if len(words[f]) == 0 {
			continue
		}
		kind := "net"
		if host[f] {
			kind = "host"
		}
		alternatives = append(alternatives, written(qualifier, direction, kind, oneOrMore(words[f])))
	}
	return anyOf(alternatives...)
}

func hostPrefixes(addresses []netip.Addr) []netip.Prefix {
	var prefixes []netip.Prefix
	for _, a := range addresses {
		a = a.Unmap().WithZone("")
		prefixes = append(prefixes, netip.PrefixFrom(a, a.BitLen()))
	}
	return prefixes
}

// parseAddresses reads an address, a network, or a range, which becomes the
// fewest networks that cover it.
func parseAddresses(i item, families family) ([]netip.Prefix, *FieldError) {
	if strings.Contains(i.text, "/") {
		p, err := netip.ParsePrefix(i.text)
		switch {
		case err != nil:
			return nil, &FieldError{Message: "this is not a network; one is written 192.0.2.0/24"}
		case p != p.Masked():
			return nil, &FieldError{Message: "the address has bits behind the prefix", Replacement: p.Masked().String()}
		}
		return []netip.Prefix{p}, wrongFamily(p.Addr(), families)
	}
	low, err := parseAddress(i.low)
	if err != nil {
		return nil, err
	}
	high := low
	if i.high != i.low {
		if high, err = parseAddress(i.high); err != nil {
			if err.Replacement != "" {
				err.Replacement = i.low + "-" + err.Replacement
			}
			return nil, err
		}
	}
	switch {
	case low.Is4() != high.Is4():
		return nil, &FieldError{Message: "the ends of the range are of different families"}
	case high.Less(low):
		return nil, &FieldError{Message: "the range ends before it begins", Replacement: i.high + "-" + i.low}
	}
	return coverRange(low, high), wrongFamily(low, families)
}

func parseAddress(s string) (netip.Addr, *FieldError) {
	a, err := netip.ParseAddr(s)
	if err == nil && a.Zone() == "" {
		return a.Unmap(), nil
	}
	e := &FieldError{Message: fmt.Sprintf("%q is not an IP address", s)}
	// Azure itself writes a last address of three parts, 255.255.255.
	if strings.Count(s, ".") == 2 {
		if a, err := netip.ParseAddr(s + s[strings.LastIndexByte(s, '.'):]); err == nil {
			e.Replacement = a.String()
		}
	}
	return netip.Addr{}, e
}

func wrongFamily(a netip.Addr, families family) *FieldError {
	if families&familyOf(a) != 0 {
		return nil
	}
	if a.Is4() {
		return &FieldError{Message: "an IPv6 address is needed here"}
	}
	return &FieldError{Message: "an IPv4 address is needed here"}
}

// coverRange covers the addresses from low to high with the fewest networks: from
// the low end, always the largest that starts there and does not pass the high end.
func coverRange(low, high netip.Addr) []netip.Prefix {
	var cover []netip.Prefix
	for {
		for bits := 0; ; bits++ {
			p := netip.PrefixFrom(low, bits).Masked()
			last := lastAddress(p)
			if p.Addr() != low || high.Less(last) {
				continue
			}
			cover = append(cover, p)
			if last == high {
				return cover
			}
			low = last.Next()
			break
		}
	}
}

func lastAddress(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	last, _ := netip.AddrFromSlice(b)
	return last
}

// portClause writes the ports that are left when the excluded ones are taken
// out, so that no packet without ports matches.
func portClause(name, direction, value string) (clause, *FieldError) {
	var wanted, excluded portSet
	onlyExcluded := true
	err := eachItem(name, value, func(i item) *FieldError {
		if i.excluded {
			return excluded.add(i)
		}
		onlyExcluded = false
		return wanted.add(i)
	})
	if err != nil || value == "" {
		return clause{}, err
	}
	for port := range wanted {
		wanted[port] = (wanted[port] || onlyExcluded) && !excluded[port]
	}
	single, ranges := wanted.words()
	if len(single)+len(ranges) == 0 {
		return clause{}, &FieldError{Field: name, Value: value, Message: "no port is left"}
	}
	var alternatives []clause
	if len(single) > 0 {
		alternatives = append(alternatives, written(direction, "port", oneOrMore(single)))
	}
	if len(ranges) > 0 {
		alternatives = append(alternatives, written(direction, "portrange", oneOrMore(ranges)))
	}
	return anyOf(alternatives...), nil
}

type portSet [1 << 16]bool

// add reads a port or a range of ports.
func (s *portSet) add(i item) *FieldError {
	low, errLow := strconv.ParseUint(i.low, 10, 16)
	high, errHigh := strconv.ParseUint(i.high, 10, 16)
	switch {
	case errLow != nil || errHigh != nil:
		return &FieldError{Message: "a port is a number from 0 to 65535, or a range of them"}
	case low > high:
		return &FieldError{Message: "the range ends before it begins", Replacement: i.high + "-" + i.low}
	}
	for port := low; port <= high; port++ {
		s[port] = true
	}
	return nil
}

// words are the ports as the language writes them: alone, and in ranges.
func (s *portSet) words() (single, ranges []string) {
	for low := 0; low < len(s); low++ {
		if !s[low] {
			continue
		}
		high := low
		for high+1 < len(s) && s[high+1] {
			high++
		}
		if low == high {
			single = append(single, strconv.Itoa(low))
		} else {
			ranges = append(ranges, fmt.Sprintf("%d-%d", low, high))
		}
		low = high
	}
	return single, ranges
}
