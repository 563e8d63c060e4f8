package routes

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"

	"diagsh/diag/netlink"
)

// A Query is a packet whose route is asked for. The zero value of a member leaves it to the kernel.
type Query struct {
	To        netip.Addr // its zone is Interface, unless that is given
	From      netip.Addr // an address of this host
	Interface string     // that the packet must leave by
	Mark      uint32     // of the firewall, for rules with fwmark
}

// ErrFrom reports that From is no address of this host. The kernel answers then as if there were
// no route (ip_route_output_key_hash_rcu in net/ipv4/route.c, Linux 6.18).
var ErrFrom = errors.New("the source is no address of this host")

// Get returns the route of a packet that this host sends, as `ip route get` does (ip-route(8)).
// Kind tells what becomes of the packet. A route of the kinds unreachable, prohibit and blackhole
// is no error; it has nothing but its kind. ENETUNREACH is the error where no route fits.
func Get(q Query) (Route, error) {
	if q.From.IsValid() && !own(q.From) {
		return Route{}, ErrFrom
	}
	request, err := q.request()
	if err != nil {
		return Route{}, err
	}
	conn, err := netlink.Dial(unix.NETLINK_ROUTE)
	if err != nil {
		return Route{}, err
	}
	defer conn.Close()
	var r Route
	err = conn.Ask(unix.RTM_GETROUTE, 0, request, func(kind uint16, b []byte) error {
		if kind == unix.RTM_NEWROUTE && len(b) >= unix.SizeofRtMsg {
			r, _ = parse(b)
		}
		return nil
	})
	for kind, nowhere := range nowhere {
		if errors.Is(err, nowhere) {
			return Route{Kind: kind}, nil
		}
	}
	if err != nil {
		return Route{}, fmt.Errorf("ask for the route to %s: %w", q.To, err)
	}
	return r, nil
}

// nowhere has the errors by which the kernel says what a route does that leads nowhere: fib_props
// in net/ipv4/fib_semantics.c, ip6_rt_type_to_error in net/ipv6/route.c (Linux 6.18).
var nowhere = map[uint8]unix.Errno{
	unix.RTN_UNREACHABLE: unix.EHOSTUNREACH, unix.RTN_PROHIBIT: unix.EACCES, unix.RTN_BLACKHOLE: unix.EINVAL,
}

// Err returns the error that sending gets where the route leads nowhere, otherwise nil.
func (r Route) Err() error {
	if err, ok := nowhere[r.Kind]; ok {
		return err
	}
	return nil
}

// request returns struct rtmsg with the attributes of the query.
func (q Query) request() ([]byte, error) {
	b := make([]byte, unix.SizeofRtMsg)
	b[0], b[1] = unix.AF_INET, 32
	if q.To.Is6() {
		b[0], b[1] = unix.AF_INET6, 128
	}
	binary.NativeEndian.PutUint32(b[8:], unix.RTM_F_LOOKUP_TABLE)
	b = netlink.AppendAttribute(b, unix.RTA_DST, q.To.AsSlice())
	if q.From.IsValid() {
		b[2] = b[1]
		b = netlink.AppendAttribute(b, unix.RTA_SRC, q.From.AsSlice())
	}
	if q.Interface == "" {
		q.Interface = q.To.Zone()
	}
	if q.Interface != "" {
		i, err := net.InterfaceByName(q.Interface)
		if err != nil {
			return nil, fmt.Errorf("find the interface %s: %w", q.Interface, unix.ENODEV)
		}
		b = netlink.AppendAttribute(b, unix.RTA_OIF, binary.NativeEndian.AppendUint32(nil, uint32(i.Index)))
	}
	if q.Mark != 0 {
		b = netlink.AppendAttribute(b, unix.RTA_MARK, binary.NativeEndian.AppendUint32(nil, q.Mark))
	}
	return b, nil
}

// own reports whether an address is one of this host.
func own(a netip.Addr) bool {
	if a.Is4() && a.IsLoopback() {
		return true // all of 127.0.0.0/8
	}
	list, _ := net.InterfaceAddrs() // none, where it cannot be known
	for _, i := range list {
		if p, err := netip.ParsePrefix(i.String()); err == nil && p.Addr() == a.WithZone("") {
			return true
		}
	}
	return false
}
