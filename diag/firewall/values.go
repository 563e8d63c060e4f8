package firewall

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"diagsh/diag/netlink"
)

// A kind is how a value is written.
type kind int

const (
	hex     kind = iota // bytes
	host                // a number in the order of the machine
	network             // a number in the order of the network
	ip4
	ip6
	mac
	words // a string, in quotes
	protocol
	etherType
	family
	state   // of a connection
	icmp    // a type of ICMP
	verdict // of a map
)

// types are the kinds of the types that nft(8) gives the keys of sets (enum datatypes), by their numbers.
var types = map[uint32]kind{1: verdict, 2: family, 4: network, 5: words, 6: mac, 7: ip4, 8: ip6, 9: mac, 10: etherType,
	12: protocol, 13: network, 14: icmp, 15: network, 19: host, 20: host, 26: state, 29: network, 41: words}

// typesOf returns the kinds of a key, which may be several: six bits each.
func typesOf(number uint32) (list []kind) {
	for ; number != 0; number >>= 6 {
		list = append([]kind{types[number&0x3f]}, list...)
	}
	return list
}

var protocols = map[byte]string{1: "icmp", 2: "igmp", 6: "tcp", 17: "udp", 33: "dccp", 41: "ipv6", 47: "gre", 50: "esp", 51: "ah",
	58: "ipv6-icmp", 89: "ospf", 103: "pim", 112: "vrrp", 132: "sctp", 136: "udplite"}

var etherTypes = map[uint64]string{0x0800: "ip", 0x0806: "arp", 0x86dd: "ip6", 0x8100: "8021q", 0x88a8: "8021ad"}

var states = []string{"invalid", "established", "related", "new"} // by bits; untracked is the 6th

// write writes a value of a kind.
func (k kind) write(b []byte) string {
	switch {
	case k == ip4 && len(b) == 4, k == ip6 && len(b) == 16:
		a, _ := netip.AddrFromSlice(b)
		return a.String()
	case k == mac && len(b) == 6:
		return net.HardwareAddr(b).String()
	case k == words:
		if name := text(b); len(b) < unix.IFNAMSIZ && len(name) == len(b) {
			return strconv.Quote(name + "*") // only how it begins is compared
		} else {
			return strconv.Quote(name)
		}
	case len(b) == 0 || len(b) > 8:
		return fmt.Sprintf("0x%x", b)
	case k == host:
		return strconv.FormatUint(native(b), 10)
	case k == state:
		return stateNames(native(b))
	}
	n := uint64(0)
	for _, one := range b {
		n = n<<8 | uint64(one)
	}
	name := ""
	switch k {
	case protocol:
		name = protocols[byte(n)]
	case etherType:
		name = etherTypes[n]
	case family:
		name = map[uint64]string{unix.AF_INET: "ipv4", unix.AF_INET6: "ipv6"}[n]
	case hex:
		return fmt.Sprintf("0x%x", b)
	}
	if name == "" {
		return strconv.FormatUint(n, 10)
	}
	return name
}

// native returns a number in the order of the machine.
func native(b []byte) uint64 {
	whole := make([]byte, 8)
	if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		copy(whole, b)
	} else {
		copy(whole[8-len(b):], b)
	}
	return binary.NativeEndian.Uint64(whole)
}

func stateNames(bits uint64) string {
	var names []string
	for i, name := range states {
		if bits&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	if bits&(1<<6) != 0 {
		names = append(names, "untracked")
	}
	if known := uint64(1<<len(states) - 1 | 1<<6); len(names) == 0 || bits&^known != 0 {
		return fmt.Sprintf("0x%x", bits)
	}
	return strings.Join(names, ",")
}

// prefix returns how many bits a mask begins with, and whether it has no others.
func prefix(mask []byte) (bits int, ok bool) {
	for _, b := range mask {
		for bit := 7; bit >= 0; bit-- {
			if b&(1<<bit) != 0 {
				bits++
			}
		}
	}
	return bits, slices.Equal(mask, net.CIDRMask(bits, 8*len(mask)))
}

// A set is a set or a map of values.
type set struct {
	anonymous, isMap, interval bool
	key, data                  []kind
	length                     int // of a key
	elements                   []element
	more                       int // elements that are not read
}

type element struct {
	key, end []byte
	value    string
	ends     bool // it is the end of the interval before it, and no element
}

// add reads an element.
func (s *set) add(b []byte) {
	if len(s.elements) == mostElements {
		s.more++
		return
	}
	var e element
	netlink.Attributes(b, func(number uint16, value []byte) {
		switch number {
		case unix.NFTA_SET_ELEM_KEY:
			e.key = dataOf(value)
		case keyEnd:
			e.end = dataOf(value)
		case unix.NFTA_SET_ELEM_FLAGS:
			e.ends = number32(value)&unix.NFT_SET_ELEM_INTERVAL_END != 0
		case unix.NFTA_SET_ELEM_DATA:
			if e.value = verdictOf(value); e.value == "" {
				e.value = writeAll(s.data, dataOf(value))
			}
		}
	})
	s.elements = append(s.elements, e)
}

// keyEnd is NFTA_SET_ELEM_KEY_END of Linux 5.6 and later.
const keyEnd = 10

// texts returns the elements as nft(8) writes them.
func (s *set) texts() (list []string) {
	elements := slices.Clone(s.elements)
	slices.SortStableFunc(elements, func(a, b element) int { return slices.Compare(a.key, b.key) })
	for i, e := range elements {
		if e.ends {
			continue
		}
		one := writeAll(s.key, e.key)
		switch {
		case e.end != nil && !slices.Equal(e.key, e.end):
			one += "-" + writeAll(s.key, e.end)
		case s.interval && len(s.key) == 1 && e.end == nil:
			one = interval(s.key[0], e.key, elements[i+1:])
		}
		if e.value != "" {
			one += " : " + e.value
		}
		list = append(list, one)
	}
	if s.more > 0 {
		list = append(list, fmt.Sprintf("[%d more]", s.more))
	}
	return list
}

// interval writes what begins with a key and ends before the next end.
func interval(k kind, from []byte, rest []element) string {
	last := slices.Repeat([]byte{0xff}, len(from))
	if len(rest) > 0 {
		last = slices.Clone(rest[0].key)
		for i := len(last) - 1; i >= 0; i-- { // less by one
			if last[i]--; last[i] != 0xff {
				break
			}
		}
	}
	if slices.Equal(from, last) {
		return k.write(from)
	}
	if k == ip4 || k == ip6 {
		mask := make([]byte, len(from))
		for i := range mask {
			mask[i] = ^(from[i] ^ last[i])
		}
		if bits, ok := prefix(mask); ok && slices.Equal(and(from, mask), from) {
			return fmt.Sprintf("%s/%d", k.write(from), bits)
		}
	}
	return k.write(from) + "-" + k.write(last)
}

func and(a, b []byte) []byte {
	c := slices.Clone(a)
	for i := range min(len(a), len(b)) {
		c[i] &= b[i]
	}
	return c
}

// sizes are of the values of kinds whose size follows from the kind.
var sizes = map[kind]int{ip4: 4, ip6: 16, mac: 6, protocol: 1, etherType: 2, family: 1, icmp: 1, words: unix.IFNAMSIZ, state: 4, host: 4}

// writeAll writes a value of several kinds, each of which begins at a multiple of four bytes.
func writeAll(kinds []kind, b []byte) string {
	if len(kinds) == 0 {
		return hex.write(b)
	}
	if len(kinds) == 1 {
		return kinds[0].write(b)
	}
	var list []string
	for _, k := range kinds {
		size := sizes[k]
		if size == 0 {
			size = 2 // a port
		}
		if len(b) < size {
			return hex.write(b)
		}
		list = append(list, k.write(b[:size]))
		b = b[min((size+3)&^3, len(b)):]
	}
	return strings.Join(list, " . ")
}

// dataOf returns the value in an attribute of nested data.
func dataOf(b []byte) (data []byte) {
	netlink.Attributes(b, func(number uint16, value []byte) {
		if number == unix.NFTA_DATA_VALUE {
			data = slices.Clone(value)
		}
	})
	return data
}

// verdictOf returns the verdict in an attribute of nested data, "" if it is none.
func verdictOf(b []byte) (name string) {
	netlink.Attributes(b, func(number uint16, value []byte) {
		if number != unix.NFTA_DATA_VERDICT {
			return
		}
		chain := ""
		netlink.Attributes(value, func(number uint16, value []byte) {
			switch number {
			case unix.NFTA_VERDICT_CODE:
				name = verdictName(number32(value))
			case unix.NFTA_VERDICT_CHAIN:
				chain = " " + text(value)
			}
		})
		name += chain
	})
	return name
}
