// Package management says in the language of filters which packets are of this appliance's own
// management sessions.
package management

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// Filter returns an expression for all packets but those of TCP connections to the given
// ports of this machine; "" if there are no ports. It names addresses and directions. So other
// machines' connections to such ports are captured, and this machine's connections to such ports
// elsewhere.
//
// A BPF program rejects a packet when it reads beyond its end, wherever in the expression that is.
// So the length is compared first: a packet that is too short to have ports belongs to no
// management session. The limits are those of Ethernet, the longest header of a capture: the ports
// end at byte 38, or 58 with IPv6. A whole segment after any header is longer.
func Filter(ports []uint16, addresses []netip.Addr) string {
	if len(ports) == 0 {
		return ""
	}
	ports = slices.Compact(slices.Sorted(slices.Values(ports)))
	const four, six = "len >= 38 and ip and len >= 18 + ((ip[0] & 15) << 2) and tcp", "len >= 58 and ip6 and tcp"
	if len(addresses) == 0 || len(addresses) > maxAddresses {
		port := either("port", ports)
		return fmt.Sprintf("not ((%s and %s) or (%s and %s))", four, port, six, port)
	}
	var parts []string
	for _, family := range []struct {
		packets string
		is      func(netip.Addr) bool
	}{{four, netip.Addr.Is4}, {six, netip.Addr.Is6}} {
		own := slices.DeleteFunc(slices.Clone(addresses), func(a netip.Addr) bool { return !family.is(a) })
		if len(own) > 0 {
			parts = append(parts, fmt.Sprintf("(%s and ((%s and %s) or (%s and %s)))", family.packets,
				either("dst port", ports), either("dst host", own), either("src port", ports), either("src host", own)))
		}
	}
	return "not (" + strings.Join(parts, " or ") + ")"
}

// either returns a qualifier with one value, `dst port 22`, or with several, `dst port (22 or
// 2222)`.
func either[T any](qualifier string, values []T) string {
	var words []string
	for _, v := range values {
		words = append(words, fmt.Sprint(v))
	}
	if len(words) == 1 {
		return qualifier + " " + words[0]
	}
	return qualifier + " (" + strings.Join(words, " or ") + ")"
}

// maxAddresses is how many addresses of this machine a filter names. With more of them,
// management ports are left out by number alone.
const maxAddresses = 32

// Addresses returns the addresses of this machine.
func Addresses() []netip.Addr {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var list []netip.Addr
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok {
			if addr, ok := netip.AddrFromSlice(n.IP); ok {
				list = append(list, addr.Unmap())
			}
		}
	}
	slices.SortFunc(list, netip.Addr.Compare)
	return slices.Compact(list)
}
