// Package routes lists the kernel's routing tables.
package routes

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"diagsh/diag/netlink"
)

// A Route is one way to a destination. A route over several gateways becomes several Routes.
type Route struct {
	Destination netip.Prefix // of length 0 for the default route
	From        netip.Prefix // only for packets from here; invalid: all
	TOS         uint8        // only for packets with this type of service; 0: all
	Encap       string       // encapsulation on this way, such as mpls
	Gateway     netip.Addr   // invalid for a directly connected network
	Index       int          // of the interface; 0 for a route that leads nowhere
	Source      netip.Addr   // source address of packets; invalid if the kernel chooses
	Table       uint32
	Metric      uint32
	MTU         int   // 0: that of the interface
	Kind        uint8 // unix.RTN_UNICAST, ...
	Protocol    uint8 // origin: unix.RTPROT_STATIC, ...
	Scope       uint8
	Weight      int           // among several gateways
	Expires     time.Duration // 0: never
	Down        bool          // its interface has no carrier
}

// Main is the table that users' routes go to.
const Main = unix.RT_TABLE_MAIN

// Flags returns the letters of netstat(1) on BSD: U usable, G over a gateway, H to a single host, R
// unreachable, B packets are dropped, S set by hand, D made by a redirect, b a broadcast address, m
// multicast, L an address of this host, T the next table is consulted.
func (r Route) Flags() string {
	var b strings.Builder
	put := func(letter byte, on bool) {
		if on {
			b.WriteByte(letter)
		}
	}
	put('U', !r.Down)
	put('G', r.Gateway.IsValid())
	put('H', r.Destination.IsValid() && r.Destination.IsSingleIP())
	put('R', r.Kind == unix.RTN_UNREACHABLE || r.Kind == unix.RTN_PROHIBIT)
	put('T', r.Kind == unix.RTN_THROW)
	put('B', r.Kind == unix.RTN_BLACKHOLE)
	put('D', r.Protocol == unix.RTPROT_REDIRECT)
	put('S', r.Protocol == unix.RTPROT_STATIC || r.Protocol == unix.RTPROT_BOOT)
	put('L', r.Kind == unix.RTN_LOCAL)
	put('b', r.Kind == unix.RTN_BROADCAST || r.Kind == unix.RTN_ANYCAST)
	put('m', r.Kind == unix.RTN_MULTICAST)
	return b.String()
}

// KindName returns the kind in the words of ip-route(8).
func (r Route) KindName() string { return named(kinds, r.Kind) }

// ProtocolName returns the origin of the route, as in rt_protos of iproute2.
func (r Route) ProtocolName() string { return named(protocols, r.Protocol) }

// ScopeName returns the scope of the destination, as in rt_scopes of iproute2.
func (r Route) ScopeName() string { return named(scopes, r.Scope) }

var (
	kinds = map[uint8]string{
		unix.RTN_UNICAST: "unicast", unix.RTN_LOCAL: "local", unix.RTN_BROADCAST: "broadcast",
		unix.RTN_ANYCAST:   "anycast",
		unix.RTN_MULTICAST: "multicast", unix.RTN_BLACKHOLE: "blackhole", unix.RTN_UNREACHABLE: "unreachable",
		unix.RTN_PROHIBIT: "prohibit", unix.RTN_THROW: "throw", unix.RTN_NAT: "nat",
	}
	protocols = map[uint8]string{
		unix.RTPROT_UNSPEC: "unspec", unix.RTPROT_REDIRECT: "redirect", unix.RTPROT_KERNEL: "kernel",
		unix.RTPROT_BOOT:   "boot",
		unix.RTPROT_STATIC: "static", unix.RTPROT_GATED: "gated", unix.RTPROT_RA: "ra", unix.RTPROT_ZEBRA: "zebra",
		unix.RTPROT_BIRD: "bird", unix.RTPROT_DHCP: "dhcp", unix.RTPROT_BGP: "bgp", unix.RTPROT_ISIS: "isis",
		unix.RTPROT_OSPF: "ospf",
	}
	scopes = map[uint8]string{
		unix.RT_SCOPE_UNIVERSE: "global", unix.RT_SCOPE_SITE: "site", unix.RT_SCOPE_LINK: "link",
		unix.RT_SCOPE_HOST:    "host",
		unix.RT_SCOPE_NOWHERE: "nowhere",
	}
)

func named(names map[uint8]string, n uint8) string {
	if name, ok := names[n]; ok {
		return name
	}
	return strconv.Itoa(int(n))
}

// TableName returns main, local, default, or the number.
func TableName(table uint32) string {
	switch table {
	case unix.RT_TABLE_MAIN:
		return "main"
	case unix.RT_TABLE_LOCAL:
		return "local"
	case unix.RT_TABLE_DEFAULT:
		return "default"
	}
	return strconv.FormatUint(uint64(table), 10)
}

// attempts is how often a table is read if it changes meanwhile.
const attempts = 5

// List returns the routes of every table, IPv4 before IPv6, in the kernel's order. It leaves out
// the kernel's cache for single destinations (redirects, path MTU).
func List(ctx context.Context) ([]Route, error) {
	conn, err := netlink.Dial(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	var list []Route
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		before := len(list)
		for range attempts {
			list = list[:before]
			request := make([]byte, unix.SizeofRtMsg)
			request[0] = family
			err = conn.Dump(ctx, unix.RTM_GETROUTE, request, func(_ uint16, b []byte) error {
				list = appendRoutes(list, b, family)
				return nil
			})
			if !errors.Is(err, netlink.ErrChanged) {
				break
			}
		}
		if err != nil && !errors.Is(err, netlink.ErrChanged) &&
			!(family == unix.AF_INET6 && errors.Is(err, unix.EOPNOTSUPP)) {
			return nil, fmt.Errorf("list the routes: %w", err)
		}
	}
	return list, nil
}

// appendRoutes appends the routes of a message, none for an entry of the kernel's cache.
func appendRoutes(list []Route, b []byte, family uint8) []Route {
	if len(b) < unix.SizeofRtMsg || b[0] != family || binary.NativeEndian.Uint32(b[8:])&unix.RTM_F_CLONED != 0 {
		return list
	}
	r, hops := parse(b)
	if hops == nil {
		return append(list, r)
	}
	return appendHops(list, r, hops)
}

// parse reads struct rtmsg, which b is long enough for, and its attributes. hops are those of
// RTA_MULTIPATH.
func parse(b []byte) (r Route, hops []byte) {
	flags := binary.NativeEndian.Uint32(b[8:])
	r = Route{TOS: b[3], Table: uint32(b[4]), Protocol: b[5], Scope: b[6], Kind: b[7],
		Down: flags&(unix.RTNH_F_LINKDOWN|unix.RTNH_F_DEAD) != 0}
	unspecified := netip.IPv4Unspecified()
	if b[0] == unix.AF_INET6 {
		unspecified = netip.IPv6Unspecified()
	}
	r.Destination = netip.PrefixFrom(unspecified, int(b[1]))
	netlink.Attributes(b[unix.SizeofRtMsg:], func(kind uint16, value []byte) {
		switch kind {
		case unix.RTA_DST:
			if a, ok := netip.AddrFromSlice(value); ok {
				r.Destination = netip.PrefixFrom(a, int(b[1]))
			}
		case unix.RTA_SRC:
			if a, ok := netip.AddrFromSlice(value); ok {
				r.From = netip.PrefixFrom(a, int(b[2]))
			}
		case unix.RTA_TABLE:
			r.Table = netlink.Uint32(value)
		case unix.RTA_PRIORITY:
			r.Metric = netlink.Uint32(value)
		case unix.RTA_PREFSRC:
			r.Source, _ = netip.AddrFromSlice(value)
		case unix.RTA_CACHEINFO: // struct rta_cacheinfo: expires is its third member, in clock ticks
			if len(value) >= 12 {
				r.Expires = time.Duration(int32(netlink.Uint32(value[8:]))) * tick
			}
		case unix.RTA_METRICS:
			netlink.Attributes(value, func(kind uint16, value []byte) {
				if kind == unix.RTAX_MTU {
					r.MTU = int(netlink.Uint32(value))
				}
			})
		case unix.RTA_MULTIPATH:
			hops = value
		default:
			r.hop(kind, value)
		}
	})
	return r, hops
}

// tick is 1/USER_HZ, the kernel's unit of time for programs.
const tick = time.Second / 100

// hop reads the attributes that each of several gateways has of its own.
func (r *Route) hop(kind uint16, value []byte) {
	switch kind {
	case unix.RTA_OIF:
		r.Index = int(netlink.Uint32(value))
	case unix.RTA_GATEWAY:
		r.Gateway, _ = netip.AddrFromSlice(value)
	case unix.RTA_ENCAP_TYPE:
		if len(value) >= 2 {
			r.Encap = encapName(binary.NativeEndian.Uint16(value))
		}
	case unix.RTA_VIA: // struct rtvia: an IPv6 gateway of an IPv4 route
		if len(value) > 2 {
			r.Gateway, _ = netip.AddrFromSlice(value[2:])
		}
	}
}

// encapName returns the name of an encapsulation as ip-route(8) has it (linux/lwtunnel.h).
func encapName(n uint16) string {
	names := []string{"", "mpls", "ip", "ila", "ip6", "seg6", "bpf", "seg6local", "rpl", "ioam6", "xfrm"}
	if int(n) < len(names) {
		return names[n]
	}
	return strconv.Itoa(int(n))
}

// appendHops parses the struct rtnexthop entries of RTA_MULTIPATH.
func appendHops(list []Route, r Route, b []byte) []Route {
	for len(b) >= unix.SizeofRtNexthop {
		length := int(binary.NativeEndian.Uint16(b))
		if length < unix.SizeofRtNexthop || length > len(b) {
			break
		}
		hop := r
		hop.Down = b[2]&(unix.RTNH_F_LINKDOWN|unix.RTNH_F_DEAD) != 0
		hop.Weight = int(b[3]) + 1
		hop.Index = int(int32(binary.NativeEndian.Uint32(b[4:])))
		netlink.Attributes(b[unix.SizeofRtNexthop:length], hop.hop)
		list = append(list, hop)
		b = b[min((length+3)&^3, len(b)):]
	}
	return list
}
