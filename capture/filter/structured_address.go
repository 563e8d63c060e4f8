package filter

import (
	"fmt"
	"net/netip"
	"strings"
)

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

// carrier returns the clause for the packets that have addresses of the families.
func (f family) carrier() clause {
	switch f {
	case ipv4:
		return clause{text: "ip"}
	case ipv6:
		return clause{text: "ip6"}
	}
	return anyIP
}

// addresses are the value of a field of addresses.
type addresses struct {
	wanted, excluded addressSet
	families         family
}

// readAddresses reads a field of addresses. It returns nil for an empty field.
func readAddresses(name, value string, families family) (*addresses, *FieldError) {
	a := &addresses{families: families}
	err := eachItem(name, value, func(i item) *FieldError {
		low, high, err := parseAddresses(i, families)
		switch {
		case err != nil:
		case i.excluded:
			a.excluded.add(low, high)
		default:
			a.wanted.add(low, high)
		}
		return err
	})
	if err != nil || value == "" {
		return nil, err
	}
	return a, nil
}

// clause makes one primitive for all addresses of a family: a list of networks in
// parentheses is shorter to read than so many primitives.
func (a *addresses) clause(direction string) clause {
	if a == nil {
		return clause{}
	}
	matches := a.wanted.clause(direction)
	if matches.text == "" {
		matches = a.families.carrier()
	}
	return allOf(matches, noneOf(a.excluded.clause(direction)))
}

// addressClause makes the clause of a field of addresses.
func addressClause(name, direction, value string, families family) (clause, *FieldError) {
	a, err := readAddresses(name, value, families)
	return a.clause(direction), err
}

// An addressSet is a set of addresses: networks, and ranges that would be many networks.
type addressSet struct {
	prefixes []netip.Prefix
	ranges   []addressRange
}

// mostNetworks is how many networks stand for a range. A longer list is harder to read than two
// comparisons, and needs more instructions.
const mostNetworks = 8

// add adds the addresses from low to high.
func (s *addressSet) add(low, high netip.Addr) {
	if cover := coverRange(low, high); len(cover) <= mostNetworks {
		s.prefixes = append(s.prefixes, cover...)
		return
	}
	s.ranges = append(s.ranges, addressRange{low, high})
}

func (s *addressSet) clause(direction string) clause {
	alternatives := []clause{addressesClause(direction, s.prefixes)}
	for _, r := range s.ranges {
		if direction == either {
			alternatives = append(alternatives, r.clause("src"), r.clause("dst"))
		} else {
			alternatives = append(alternatives, r.clause(direction))
		}
	}
	return anyOf(alternatives...)
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

// parseAddresses reads an address, a network or a range, and returns its ends.
func parseAddresses(i item, families family) (low, high netip.Addr, err *FieldError) {
	if strings.Contains(i.text, "/") {
		p, err := netip.ParsePrefix(i.text)
		switch {
		case err != nil:
			return low, high, &FieldError{Message: "this is not a network; one is written 192.0.2.0/24"}
		case p != p.Masked():
			return low, high,
				&FieldError{Message: "the address has bits after the prefix", Replacement: p.Masked().String()}
		}
		return p.Addr(), lastAddress(p), wrongFamily(p.Addr(), families)
	}
	if low, err = parseAddress(i.low); err != nil {
		if err.Replacement != "" && i.high != i.low {
			err.Replacement += "-" + i.high
		}
		return low, high, err
	}
	high = low
	if i.high != i.low {
		if high, err = parseAddress(i.high); err != nil {
			if err.Replacement != "" {
				err.Replacement = i.low + "-" + err.Replacement
			}
			return low, high, err
		}
	}
	switch {
	case low.Is4() != high.Is4():
		return low, high, &FieldError{Message: "the ends of the range are of different families"}
	case high.Less(low):
		return low, high, &FieldError{Message: "the range ends before it begins", Replacement: i.high + "-" + i.low}
	}
	return low, high, wrongFamily(low, families)
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
		largest := netip.PrefixFrom(low, low.BitLen())
		for largest.Bits() > 0 {
			wider := netip.PrefixFrom(low, largest.Bits()-1)
			if wider.Masked().Addr() != low || high.Less(lastAddress(wider)) {
				break
			}
			largest = wider
		}
		cover = append(cover, largest)
		last := lastAddress(largest)
		if last == high {
			return cover
		}
		low = last.Next()
	}
}

func lastAddress(p netip.Prefix) netip.Addr {
	b := p.Addr().As16()
	for i := len(b)*8 - p.Addr().BitLen() + p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	last := netip.AddrFrom16(b)
	if p.Addr().Is4() {
		return last.Unmap()
	}
	return last
}
