// Package interfaces lists this host's network interfaces with their addresses and counters.
package interfaces

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"diagsh/diag/netlink"
)

// An Interface is a network interface.
type Interface struct {
	Index     int
	Name      string
	Up        bool // administratively up; Running reports a carrier too
	Running   bool
	Loopback  bool
	Ethernet  bool
	MTU       int
	Address   net.HardwareAddr // empty if the interface has none
	Addresses []netip.Prefix   // IPv4 first, then in the order they were set
	flags     map[netip.Addr]uint32
	Counters  Counters
}

// Counters is struct rtnl_link_stats64 (include/uapi/linux/if_link.h), counted since the interface
// was made.
type Counters struct {
	RxPackets, TxPackets, RxBytes, TxBytes, RxErrors, TxErrors, RxDropped, TxDropped, Multicast, Collisions uint64
	RxLength, RxOver, RxCRC, RxFrame, RxFIFO, RxMissed, TxAborted, TxCarrier, TxFIFO, TxHeartbeat, TxWindow uint64
	RxCompressed, TxCompressed, RxNoHandler                                                                 uint64
}

// List returns the interfaces, sorted by index.
func List(ctx context.Context) ([]Interface, error) {
	list, err := Bare(ctx)
	if err != nil {
		return nil, err
	}
	byIndex := map[int]*Interface{}
	for i := range list {
		byIndex[list[i].Index] = &list[i]
	}
	err = dump(ctx, unix.RTM_GETADDR, make([]byte, unix.SizeofIfAddrmsg), func(b []byte) {
		if index, prefix, flags, ok := parseAddress(b); ok && byIndex[index] != nil {
			l := byIndex[index]
			l.Addresses = append(l.Addresses, prefix)
			if l.flags == nil {
				l.flags = map[netip.Addr]uint32{}
			}
			l.flags[prefix.Addr()] = flags
		}
	})
	for i := range list {
		slices.SortStableFunc(list[i].Addresses,
			func(a, b netip.Prefix) int { return cmp.Compare(a.Addr().BitLen(), b.Addr().BitLen()) })
	}
	return list, err
}

// Bare is List without addresses, which saves a request.
func Bare(ctx context.Context) ([]Interface, error) {
	var list []Interface
	err := dump(ctx, unix.RTM_GETLINK, make([]byte, unix.SizeofIfInfomsg), func(b []byte) {
		if l, ok := parseLink(b); ok {
			list = append(list, l)
		}
	})
	slices.SortFunc(list, func(a, b Interface) int { return cmp.Compare(a.Index, b.Index) })
	return list, err
}

// dump reads a table, and reads it again if it changed meanwhile, because a row may be missing. It
// accepts what the last attempt gave.
func dump(ctx context.Context, kind uint16, request []byte, each func(body []byte)) error {
	conn, err := netlink.Dial(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer conn.Close()
	var bodies [][]byte
	for range attempts {
		bodies = bodies[:0]
		err = conn.Dump(ctx, kind, request, func(_ uint16, b []byte) error {
			bodies = append(bodies, slices.Clone(b))
			return nil
		})
		if !errors.Is(err, netlink.ErrChanged) {
			break
		}
	}
	if err != nil && !errors.Is(err, netlink.ErrChanged) {
		return fmt.Errorf("list the interfaces: %w", err)
	}
	for _, b := range bodies {
		each(b)
	}
	return nil
}

const attempts = 5

// parseLink parses struct ifinfomsg and its attributes.
func parseLink(b []byte) (Interface, bool) {
	if len(b) < unix.SizeofIfInfomsg {
		return Interface{}, false
	}
	flags := binary.NativeEndian.Uint32(b[8:])
	l := Interface{
		Index:    int(int32(binary.NativeEndian.Uint32(b[4:]))),
		Up:       flags&unix.IFF_UP != 0,
		Running:  flags&unix.IFF_RUNNING != 0,
		Loopback: flags&unix.IFF_LOOPBACK != 0,
		Ethernet: binary.NativeEndian.Uint16(b[2:]) == unix.ARPHRD_ETHER,
	}
	netlink.Attributes(b[unix.SizeofIfInfomsg:], func(kind uint16, value []byte) {
		switch kind {
		case unix.IFLA_IFNAME:
			l.Name = unix.ByteSliceToString(value)
		case unix.IFLA_MTU:
			l.MTU = int(netlink.Uint32(value))
		case unix.IFLA_ADDRESS:
			l.Address = net.HardwareAddr(slices.Clone(value))
		case unix.IFLA_STATS64:
			l.Counters = parseCounters(value)
		}
	})
	return l, l.Name != ""
}

// parseCounters parses what there is: an older kernel's struct is shorter.
func parseCounters(b []byte) Counters {
	next := func() (n uint64) {
		if len(b) >= 8 {
			n, b = binary.NativeEndian.Uint64(b), b[8:]
		}
		return n
	}
	var c Counters
	for _, field := range []*uint64{
		&c.RxPackets, &c.TxPackets, &c.RxBytes, &c.TxBytes, &c.RxErrors, &c.TxErrors, &c.RxDropped, &c.TxDropped,
		&c.Multicast, &c.Collisions,
		&c.RxLength, &c.RxOver, &c.RxCRC, &c.RxFrame, &c.RxFIFO, &c.RxMissed, &c.TxAborted, &c.TxCarrier, &c.TxFIFO,
		&c.TxHeartbeat, &c.TxWindow,
		&c.RxCompressed, &c.TxCompressed, &c.RxNoHandler,
	} {
		*field = next()
	}
	return c
}

// parseAddress parses struct ifaddrmsg. IFA_LOCAL is the interface's own address; on a
// point-to-point link IFA_ADDRESS is the peer's.
func parseAddress(b []byte) (index int, p netip.Prefix, flags uint32, ok bool) {
	if len(b) < unix.SizeofIfAddrmsg {
		return 0, p, 0, false
	}
	flags = uint32(b[2])
	var own, other netip.Addr
	netlink.Attributes(b[unix.SizeofIfAddrmsg:], func(kind uint16, value []byte) {
		switch kind {
		case unix.IFA_LOCAL:
			own, _ = netip.AddrFromSlice(value)
		case unix.IFA_ADDRESS:
			other, _ = netip.AddrFromSlice(value)
		case unix.IFA_FLAGS: // all 32 of them
			flags = netlink.Uint32(value)
		}
	})
	if !own.IsValid() {
		own = other
	}
	return int(binary.NativeEndian.Uint32(b[4:])), netip.PrefixFrom(own, int(b[1])), flags, own.IsValid()
}

// States that restrict the use of an address, in the words of ip-address(8).
const (
	Duplicate  = "dadfailed"  // another host on the link has it too (RFC 4862, section 5.4)
	Tentative  = "tentative"  // duplicate address detection is not finished
	Deprecated = "deprecated" // new connections do not use it unless it is named
)

// States returns what restricts the use of one of the interface's addresses. Most have none.
func (l Interface) States(a netip.Addr) (list []string) {
	flags := l.flags[a]
	if flags&unix.IFA_F_OPTIMISTIC != 0 {
		flags &^= unix.IFA_F_TENTATIVE // it is in use meanwhile (RFC 4429)
	}
	for _, s := range []struct {
		flag uint32
		name string
	}{{unix.IFA_F_DADFAILED, Duplicate}, {unix.IFA_F_TENTATIVE, Tentative}, {unix.IFA_F_DEPRECATED, Deprecated}} {
		if flags&s.flag != 0 {
			list = append(list, s.name)
		}
	}
	return list
}

// StateText explains in words what restricts the use of an address, or returns "".
func (l Interface) StateText(a netip.Addr) string {
	list := l.States(a)
	switch {
	case len(list) == 0:
		return ""
	case list[0] == Duplicate: // it stays tentative for ever
		return "duplicated"
	}
	return list[0]
}
