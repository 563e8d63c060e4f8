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
	hex     kind = iota // bytes whose meaning is not known
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
	icmp6   // a type of ICMPv6
	verdict // of a map
	mark
	index      // of an interface
	packetType // to whom the link brought it
	direction  // of a packet in its connection
	status     // of a connection
	tcpFlags
	hardware  // the type of an interface
	operation // of ARP
)

// ofMachine reports whether values of a kind are numbers in the order of the machine.
func (k kind) ofMachine() bool {
	return k == host || k == mark || k == index || k == state || k == status || k == hardware
}

// isFlags reports whether a value of a kind is several flags.
func (k kind) isFlags() bool { return k == state || k == status || k == tcpFlags }

// types are the kinds of the types that nft(8) gives the keys of sets (enum datatypes), by their numbers.
var types = map[uint32]kind{1: verdict, 2: family, 7: ip4, 8: ip6, 9: mac, 10: etherType, 11: operation,
	12: protocol, 13: network, 14: icmp, 15: tcpFlags, 19: mark, 20: index, 21: hardware, 24: host, 25: host, 26: state, 27: direction,
	28: status, 29: icmp6, 31: packetType, 41: words}

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

// names are those of the values of a kind.
var names = map[kind]map[uint64]string{
	etherType:  etherTypes,
	family:     {unix.AF_INET: "ipv4", unix.AF_INET6: "ipv6"},
	packetType: {0: "host", 1: "broadcast", 2: "multicast", 3: "other"},
	direction:  {0: "original", 1: "reply"},
	operation:  {1: "request", 2: "reply", 3: "rrequest", 4: "rreply", 8: "inrequest", 9: "inreply", 10: "nak"},
	hardware:   {1: "ether", 512: "ppp", 768: "ipip", 769: "ip6tnl", 772: "loopback", 776: "sit", 778: "ipgre"},
	icmp: {0: "echo-reply", 3: "destination-unreachable", 4: "source-quench", 5: "redirect", 8: "echo-request", 9: "router-advertisement",
		10: "router-solicitation", 11: "time-exceeded", 12: "parameter-problem", 13: "timestamp-request", 14: "timestamp-reply", 15: "info-request",
		16: "info-reply", 17: "address-mask-request", 18: "address-mask-reply"},
	icmp6: {1: "destination-unreachable", 2: "packet-too-big", 3: "time-exceeded", 4: "parameter-problem", 128: "echo-request", 129: "echo-reply",
		130: "mld-listener-query", 131: "mld-listener-report", 132: "mld-listener-done", 133: "nd-router-solicit", 134: "nd-router-advert",
		135: "nd-neighbor-solicit", 136: "nd-neighbor-advert", 137: "nd-redirect", 138: "router-renumbering", 141: "ind-neighbor-solicit",
		142: "ind-neighbor-advert", 143: "mld2-listener-report"},
}

// flags are the names of bits, from the first on.
var flags = map[kind][]string{
	state:    {"invalid", "established", "related", "new", "", "", "untracked"},
	status:   {"expected", "seen-reply", "assured", "confirmed", "snat", "dnat", "", "", "", "dying"},
	tcpFlags: {"fin", "syn", "rst", "psh", "ack", "urg", "ecn", "cwr"},
}

// write writes a value of a kind, in brackets where it is not known how nft writes it.
func (k kind) write(b []byte) string {
	switch {
	case k == ip4 && len(b) == 4, k == ip6 && len(b) == 16:
		return address(b)
	case k == mac && len(b) == 6:
		return net.HardwareAddr(b).String()
	case k == words:
		if name := text(b); len(b) < unix.IFNAMSIZ && len(name) == len(b) {
			return quoted(name + "*") // only how it begins is compared
		} else if begin, ok := strings.CutSuffix(name, "*"); ok {
			return quoted(begin + `\*`)
		} else {
			return quoted(name)
		}
	case k == hex, k == ip4, k == ip6, k == mac, k == verdict, len(b) == 0 || len(b) > 8:
		return fmt.Sprintf("[0x%x]", b)
	}
	n := uint64(0)
	for _, one := range b {
		n = n<<8 | uint64(one)
	}
	if k.ofMachine() {
		n = native(b)
	}
	switch k {
	case mark:
		return fmt.Sprintf("0x%08x", n)
	case index:
		if i, err := net.InterfaceByIndex(int(n)); err == nil {
			return quoted(i.Name)
		}
		return strconv.FormatUint(n, 10)
	case state, status, tcpFlags:
		return flagNames(n, flags[k])
	}
	name := names[k][n]
	if k == protocol {
		name = protocols[byte(n)]
	}
	switch {
	case name != "":
		return name
	case k == etherType:
		return fmt.Sprintf("0x%04x", n)
	case k == family, k == packetType, k == direction, k == operation, k == hardware:
		return fmt.Sprintf("[0x%x]", b)
	}
	return strconv.FormatUint(n, 10)
}

// address writes an address as inet_ntop(3) does, which nft uses.
func address(b []byte) string {
	a, _ := netip.AddrFromSlice(b)
	if len(b) == 16 && isZero(b[:12]) && !isZero(b[12:14]) { // compatible to IPv4
		v4, _ := netip.AddrFromSlice(b[12:])
		return "::" + v4.String()
	}
	return a.String()
}

// quoted writes a text in quotes, as nft does, and in brackets what nft could not say so.
func quoted(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return r == '"' || r < ' ' || r == 0x7f }) {
		return "[" + bare(strconv.Quote(s)) + "]"
	}
	return `"` + s + `"`
}

// bare replaces brackets in what stands in brackets itself.
func bare(s string) string { return strings.NewReplacer("[", "(", "]", ")").Replace(s) }

// identifier writes the name of a chain or a set, in brackets if it is none that nft could read: the
// kernel takes any.
func identifier(s string) string {
	ok := s != ""
	for i, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '_'
		ok = ok && (letter || i > 0 && (r >= '0' && r <= '9' || strings.ContainsRune(`/\.-`, r)))
	}
	if ok {
		return s
	}
	return "[" + bare(strconv.Quote(s)) + "]"
}

// native returns a number in the order of the machine.
func native(b []byte) uint64 {
	whole := make([]byte, 8)
	if littleEndian() {
		copy(whole, b)
	} else {
		copy(whole[8-len(b):], b)
	}
	return binary.NativeEndian.Uint64(whole)
}

func littleEndian() bool { return binary.NativeEndian.Uint16([]byte{1, 0}) == 1 }

// reversed returns a number in the order of the network in that of the machine.
func reversed(b []byte) []byte {
	b = slices.Clone(b)
	if littleEndian() {
		slices.Reverse(b)
	}
	return b
}

func flagNames(bits uint64, of []string) string {
	var list []string
	for i, name := range of {
		if name != "" && bits&(1<<i) != 0 {
			list = append(list, name)
			bits &^= 1 << i
		}
	}
	if len(list) == 0 || bits != 0 {
		return fmt.Sprintf("[0x%x]", bits)
	}
	return strings.Join(list, ",")
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
	data     []byte // of a map
	value    string // of a map of verdicts
	more     string // what an element has beside
	others   bool   // it is for all that no other is for
	ends     bool   // it is the end of the interval before it, and no element
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
			e.others = number32(value)&catchAll != 0
		case unix.NFTA_SET_ELEM_DATA:
			e.value, e.data = verdictOf(value), dataOf(value)
		case unix.NFTA_SET_ELEM_EXPR, elementExpressions:
			e.more += " [statement]"
		case unix.NFTA_SET_ELEM_TIMEOUT:
			e.more += " [timeout]"
		case unix.NFTA_SET_ELEM_OBJREF:
			e.value = "[object " + bare(strconv.Quote(text(value))) + "]"
		}
	})
	s.elements = append(s.elements, e)
}

const (
	keyEnd             = 10 // NFTA_SET_ELEM_KEY_END of Linux 5.6 and later
	catchAll           = 2  // NFT_SET_ELEM_CATCHALL of Linux 5.13 and later
	elementExpressions = 11 // NFTA_SET_ELEM_EXPRESSIONS of Linux 5.11 and later
)

// written returns the elements as nft(8) writes them, those of a kind that the set does not tell as of
// the kind of what is looked up.
func (s *set) written(k kind) []string {
	if len(s.key) == 0 || len(s.key) == 1 && s.key[0] == hex {
		of := *s
		of.key = []kind{k}
		s = &of
	}
	return s.texts()
}

// texts returns the elements as nft(8) writes them.
func (s *set) texts() (list []string) {
	elements := slices.Clone(s.elements)
	slices.SortStableFunc(elements, func(a, b element) int { return slices.Compare(a.key, b.key) })
	for i, e := range elements {
		if e.ends {
			continue
		}
		one := s.concatenation(e.key, e.end)
		switch {
		case e.others:
			one = "*"
		case s.interval && len(s.key) == 1:
			one = s.intervalOf(e, elements[i+1:])
		case len(s.key) == 1 && s.key[0].isFlags():
			one = strings.ReplaceAll(one, ",", " | ")
		}
		one += e.more
		switch {
		case e.value != "":
			one += " : " + e.value
		case len(s.data) == 1 && s.data[0].keySize() > 0 && len(e.data) >= s.data[0].keySize():
			one += " : " + s.data[0].write(e.data[:s.data[0].keySize()])
		case s.isMap:
			one += " : [value]"
		}
		list = append(list, one)
	}
	if s.more > 0 {
		list = append(list, fmt.Sprintf("[%d more]", s.more))
	}
	return list
}

// intervalOf writes what begins with an element and ends before the next.
func (s *set) intervalOf(e element, rest []element) string {
	k := s.key[0]
	for len(rest) > 0 && slices.Equal(rest[0].key, e.key) { // the end of the interval before
		rest = rest[1:]
	}
	last := slices.Repeat([]byte{0xff}, len(e.key))
	switch {
	case e.end != nil:
		last = e.end
	case len(rest) > 0:
		last = slices.Clone(rest[0].key)
		for i := len(last) - 1; i >= 0; i-- { // less by one
			if last[i]--; last[i] != 0xff {
				break
			}
		}
	case s.more > 0:
		return between(k, e.key, e.key) + "-[not read]"
	}
	return between(k, e.key, last)
}

// inRange returns how the ends of a range of a kind are written: nft does not name them.
func (k kind) inRange() kind {
	switch k {
	case protocol, icmp, icmp6:
		return network
	case state, status, tcpFlags, etherType, family, packetType, direction, hardware, operation, index:
		return hex
	}
	return k
}

// between writes the values from one to another in the order of the network.
func between(k kind, from, to []byte) string {
	if !slices.Equal(from, to) {
		k = k.inRange()
	}
	write := k.write
	if k.ofMachine() {
		write = func(b []byte) string { return k.write(reversed(b)) }
	}
	if k == words { // names that begin alike
		if name := text(from); !slices.Equal(from, to) {
			return quoted(name + "*")
		}
	}
	if slices.Equal(from, to) {
		return write(from)
	}
	if k == ip4 || k == ip6 {
		mask := make([]byte, len(from))
		for i := range mask {
			mask[i] = ^(from[i] ^ to[i])
		}
		if bits, ok := prefix(mask); ok && slices.Equal(and(from, mask), from) {
			return fmt.Sprintf("%s/%d", write(from), bits)
		}
	}
	return write(from) + "-" + write(to)
}

// concatenation writes the values of a key, each of which begins at a multiple of four bytes, to those
// of end, if there is one.
func (s *set) concatenation(b, end []byte) string {
	if len(s.key) == 0 {
		return hex.write(b)
	}
	if len(s.key) == 1 {
		return s.key[0].write(b)
	}
	var list []string
	for _, k := range s.key {
		size := k.keySize()
		if size == 0 || len(b) < size || end != nil && (len(end) < size || k.ofMachine() || k == words) {
			return "[element]"
		}
		one := k.write(b[:size])
		if next := min((size+3)&^3, len(b)); end != nil {
			one = between(k, b[:size], end[:size])
			end = end[min(next, len(end)):]
		}
		list = append(list, one)
		b = b[min((size+3)&^3, len(b)):]
	}
	return strings.Join(list, " . ")
}

func and(a, b []byte) []byte {
	c := slices.Clone(a)
	for i := range min(len(a), len(b)) {
		c[i] &= b[i]
	}
	return c
}

// keySize returns the size of a value of a kind in a key, 0 if it is not known.
func (k kind) keySize() int {
	if k == network {
		return 2 // a port
	}
	return sizes[k]
}

// sizes are of the values of kinds whose size follows from the kind.
var sizes = map[kind]int{ip4: 4, ip6: 16, mac: 6, protocol: 1, etherType: 2, family: 1, icmp: 1, icmp6: 1, words: unix.IFNAMSIZ, state: 4, host: 4,
	mark: 4, index: 4, packetType: 1, direction: 1, status: 4, tcpFlags: 1, hardware: 2, operation: 2}

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
				chain = " " + identifier(text(value))
			}
		})
		name += chain
	})
	return name
}
