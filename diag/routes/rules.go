package routes

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"diagsh/diag/netlink"
)

// A Rule says which packets use which table (ip-rule(8)). The kernel tries rules in the order of
// their priorities.
type Rule struct {
	IPv6     bool
	Priority uint32
	Not      bool // the rule is for packets that do not match
	From, To netip.Prefix
	TOS      uint8
	Mark     uint32 // firewall mark, in the bits of Mask; 0 with a mask of 0: any
	Mask     uint32
	In, Out  string // interfaces
	Users    *[2]uint32
	Protocol uint8 // of IP; 0: any
	SPorts   *[2]uint16
	DPorts   *[2]uint16
	L3MDev   bool // use the table of the packet's VRF
	Table    uint32
	Action   uint8  // ruleToTable ...
	Goto     uint32 // the priority to continue at
	// SuppressPrefix is the length of prefixes that routes found must be longer than, or -1.
	// SuppressGroup is a group of interfaces that they must not use, or -1.
	SuppressPrefix int32
	SuppressGroup  int32
	SetBy          uint8 // unix.RTPROT_...
}

// Constants of linux/fib_rules.h.
const (
	ruleHeader = 12 // struct fib_rule_hdr
	ruleInvert = 2

	ruleToTable     = 1
	ruleGoto        = 2
	ruleNop         = 3
	ruleBlackhole   = 6
	ruleUnreachable = 7
	ruleProhibit    = 8
)

// Rules returns the rules of both versions of IP, in the kernel's order.
func Rules(ctx context.Context) ([]Rule, error) {
	conn, err := netlink.Dial(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	var list []Rule
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		before := len(list)
		for range attempts {
			list = list[:before]
			request := make([]byte, ruleHeader)
			request[0] = family
			err = conn.Dump(ctx, unix.RTM_GETRULE, request, func(_ uint16, b []byte) error {
				if len(b) >= ruleHeader && b[0] == family {
					list = append(list, readRule(b))
				}
				return nil
			})
			if !errors.Is(err, netlink.ErrChanged) {
				break
			}
		}
		// A kernel without policy routing has no rules.
		if err != nil && !errors.Is(err, netlink.ErrChanged) && !errors.Is(err, unix.EOPNOTSUPP) &&
			!errors.Is(err, unix.EAFNOSUPPORT) {
			return nil, fmt.Errorf("list the rules of routing: %w", err)
		}
	}
	return list, nil
}

// readRule parses struct fib_rule_hdr and its attributes.
func readRule(b []byte) Rule {
	r := Rule{IPv6: b[0] == unix.AF_INET6, TOS: b[3], Table: uint32(b[4]), Action: b[7],
		Not:            binary.NativeEndian.Uint32(b[8:])&ruleInvert != 0,
		SuppressPrefix: -1, SuppressGroup: -1}
	prefix := func(value []byte, bits byte) netip.Prefix {
		a, _ := netip.AddrFromSlice(value)
		return netip.PrefixFrom(a, int(bits))
	}
	netlink.Attributes(b[ruleHeader:], func(kind uint16, value []byte) {
		switch kind {
		case unix.FRA_DST:
			r.To = prefix(value, b[1])
		case unix.FRA_SRC:
			r.From = prefix(value, b[2])
		case unix.FRA_IIFNAME:
			r.In = text(value)
		case unix.FRA_OIFNAME:
			r.Out = text(value)
		case unix.FRA_GOTO:
			r.Goto = netlink.Uint32(value)
		case unix.FRA_PRIORITY:
			r.Priority = netlink.Uint32(value)
		case unix.FRA_FWMARK:
			r.Mark = netlink.Uint32(value)
		case unix.FRA_FWMASK:
			r.Mask = netlink.Uint32(value)
		case unix.FRA_TABLE:
			r.Table = netlink.Uint32(value)
		case unix.FRA_L3MDEV:
			r.L3MDev = len(value) > 0 && value[0] != 0
		case unix.FRA_PROTOCOL:
			r.SetBy = octet(value)
		case unix.FRA_IP_PROTO:
			r.Protocol = octet(value)
		case unix.FRA_SUPPRESS_PREFIXLEN:
			r.SuppressPrefix = int32(netlink.Uint32(value))
		case unix.FRA_SUPPRESS_IFGROUP:
			r.SuppressGroup = int32(netlink.Uint32(value))
		case unix.FRA_UID_RANGE:
			if len(value) >= 8 {
				r.Users = &[2]uint32{netlink.Uint32(value), netlink.Uint32(value[4:])}
			}
		case unix.FRA_SPORT_RANGE:
			r.SPorts = ports(value)
		case unix.FRA_DPORT_RANGE:
			r.DPorts = ports(value)
		}
	})
	return r
}

func text(value []byte) string { return strings.TrimRight(string(value), "\x00") }

func octet(value []byte) uint8 {
	if len(value) == 0 {
		return 0
	}
	return value[0]
}

func ports(value []byte) *[2]uint16 {
	if len(value) < 4 {
		return nil
	}
	return &[2]uint16{binary.NativeEndian.Uint16(value), binary.NativeEndian.Uint16(value[2:])}
}

// String returns the rule in the words of ip-rule(8).
func (r Rule) String() string {
	var b strings.Builder
	put := func(format string, args ...any) {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, format, args...)
	}
	if r.Not {
		put("not")
	}
	put("from %s", prefixText(r.From))
	if r.To.IsValid() {
		put("to %s", prefixText(r.To))
	}
	if r.TOS != 0 {
		put("tos 0x%02x", r.TOS)
	}
	switch {
	case r.Mask != 0 && r.Mask != 0xffffffff:
		put("fwmark %#x/%#x", r.Mark, r.Mask)
	case r.Mark != 0:
		put("fwmark %#x", r.Mark)
	}
	for _, word := range []struct{ name, value string }{{"iif", r.In}, {"oif", r.Out}} {
		if word.value != "" {
			put("%s %s", word.name, word.value)
		}
	}
	if r.L3MDev {
		put("lookup [l3mdev-table]")
	}
	if r.Users != nil {
		put("uidrange %d-%d", r.Users[0], r.Users[1])
	}
	if r.Protocol != 0 {
		put("ipproto %s", protocolText(r.Protocol))
	}
	if r.SPorts != nil {
		put("sport %s", portsText(*r.SPorts))
	}
	if r.DPorts != nil {
		put("dport %s", portsText(*r.DPorts))
	}
	if !r.L3MDev {
		put("%s", r.does())
	}
	if r.SuppressPrefix >= 0 {
		put("suppress_prefixlength %d", r.SuppressPrefix)
	}
	if r.SuppressGroup >= 0 {
		put("suppress_ifgroup %d", r.SuppressGroup)
	}
	return b.String()
}

// portsText returns a range of ports, or the port if it is only one.
func portsText(p [2]uint16) string {
	if p[0] == p[1] {
		return strconv.Itoa(int(p[0]))
	}
	return fmt.Sprintf("%d-%d", p[0], p[1])
}

// does returns what happens to a packet that matches.
func (r Rule) does() string {
	switch r.Action {
	case ruleToTable:
		return "lookup " + TableName(r.Table)
	case ruleGoto:
		return "goto " + strconv.FormatUint(uint64(r.Goto), 10)
	case ruleNop:
		return "nop"
	case ruleBlackhole:
		return "blackhole"
	case ruleUnreachable:
		return "unreachable"
	case ruleProhibit:
		return "prohibit"
	}
	return "action " + strconv.Itoa(int(r.Action))
}

func prefixText(p netip.Prefix) string {
	switch {
	case !p.IsValid():
		return "all"
	case p.IsSingleIP():
		return p.Addr().String()
	}
	return p.String()
}

// protocolText returns the word for protocols that are common in rules, or the number.
func protocolText(n uint8) string {
	switch n {
	case unix.IPPROTO_TCP:
		return "tcp"
	case unix.IPPROTO_UDP:
		return "udp"
	case unix.IPPROTO_ICMP:
		return "icmp"
	case unix.IPPROTO_ICMPV6:
		return "ipv6-icmp"
	}
	return strconv.Itoa(int(n))
}

// SetByName returns the origin of the rule, as in rt_protos of iproute2.
func (r Rule) SetByName() string { return named(protocols, r.SetBy) }
