// Package neighbours lists and empties the kernel's neighbour caches: ARP for IPv4, NDP for IPv6.
// See arp(7), ip-neighbour(8).
package neighbours

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"diagsh/diag/netlink"
)

// A Neighbour is an entry of a cache.
type Neighbour struct {
	Address     netip.Addr
	LinkAddress net.HardwareAddr // empty until it is known
	Index       int              // of the interface
	State       uint16           // unix.NUD_REACHABLE, ...
	Router      bool
	Proxy       bool          // this host answers for the address; the entry says nothing else
	Confirmed   time.Duration // age; 0, as Used, where the kernel does not say
	Used        time.Duration
	Updated     time.Duration
	// Expires is how long a reachable neighbour stays reachable without confirmation.
	Expires time.Duration
}

var stateNames = []struct {
	bit  uint16
	name string
}{
	{unix.NUD_INCOMPLETE, "INCOMPLETE"}, {unix.NUD_REACHABLE, "REACHABLE"}, {unix.NUD_STALE, "STALE"},
	{unix.NUD_DELAY, "DELAY"},
	{unix.NUD_PROBE, "PROBE"}, {unix.NUD_FAILED, "FAILED"}, {unix.NUD_NOARP, "NOARP"},
	{unix.NUD_PERMANENT, "PERMANENT"},
}

// StateName returns the state in the words of ip-neighbour(8).
func (n Neighbour) StateName() string {
	if n.Proxy {
		return "PROXY"
	}
	for _, s := range stateNames {
		if n.State&s.bit != 0 {
			return s.name
		}
	}
	return "NONE"
}

// Permanent reports whether the entry was set by hand: it does not expire and is not flushed.
func (n Neighbour) Permanent() bool { return n.State&unix.NUD_PERMANENT != 0 }

// List returns the entries of a family (unix.AF_INET, unix.AF_INET6), sorted by interface and
// address. Like ip-neighbour(8) it leaves out entries for addresses that need no neighbour, such as
// broadcast, except those that a program learnt elsewhere and told the kernel.
func List(ctx context.Context, family uint8) ([]Neighbour, error) {
	conn, err := netlink.Dial(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	reachable, err := reachableTimes(ctx, conn, family)
	if err != nil {
		return nil, err
	}
	var list []Neighbour
	for range attempts {
		list = list[:0]
		request := make([]byte, unix.SizeofNdMsg)
		request[0] = family
		err = conn.Dump(ctx, unix.RTM_GETNEIGH, request, func(_ uint16, b []byte) error {
			if n, ok := parse(b, family); ok {
				if n.State&unix.NUD_REACHABLE != 0 {
					n.Expires = max(0, reachable[n.Index]-n.Confirmed)
				}
				list = append(list, n)
			}
			return nil
		})
		if !errors.Is(err, netlink.ErrChanged) {
			break
		}
	}
	if err != nil && !errors.Is(err, netlink.ErrChanged) {
		return nil, fmt.Errorf("list the neighbours: %w", err)
	}
	if list, err = appendProxies(ctx, conn, family, list); err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b Neighbour) int {
		return cmp.Or(cmp.Compare(a.Index, b.Index), a.Address.Compare(b.Address))
	})
	return list, nil
}

// appendProxies appends the addresses that this host answers for. The kernel keeps them in a
// separate table (pneigh_dump_table in net/core/neighbour.c, Linux 6.18).
func appendProxies(ctx context.Context, conn *netlink.Conn, family uint8, list []Neighbour) ([]Neighbour, error) {
	before := len(list)
	var err error
	for range attempts {
		list = list[:before]
		request := make([]byte, unix.SizeofNdMsg)
		request[0], request[10] = family, unix.NTF_PROXY
		err = conn.Dump(ctx, unix.RTM_GETNEIGH, request, func(_ uint16, b []byte) error {
			if n, ok := parse(b, family); ok && n.Proxy {
				list = append(list, n)
			}
			return nil
		})
		if !errors.Is(err, netlink.ErrChanged) {
			break
		}
	}
	if err != nil && !errors.Is(err, netlink.ErrChanged) {
		return nil, fmt.Errorf("list the proxies: %w", err)
	}
	return list, nil
}

// attempts is how often a table is read if it changes meanwhile.
const attempts = 5

// tick is 1/USER_HZ, the kernel's unit of time for programs.
const tick = time.Second / 100

// parse parses struct ndmsg and its attributes.
func parse(b []byte, family uint8) (Neighbour, bool) {
	if len(b) < unix.SizeofNdMsg || b[0] != family {
		return Neighbour{}, false
	}
	n := Neighbour{
		Index: int(int32(binary.NativeEndian.Uint32(b[4:]))), State: binary.NativeEndian.Uint16(b[8:]),
		Router: b[10]&unix.NTF_ROUTER != 0, Proxy: b[10]&unix.NTF_PROXY != 0,
	}
	netlink.Attributes(b[unix.SizeofNdMsg:], func(kind uint16, value []byte) {
		switch kind {
		case unix.NDA_DST:
			n.Address, _ = netip.AddrFromSlice(value)
		case unix.NDA_LLADDR:
			n.LinkAddress = slices.Clone(value)
		case unix.NDA_CACHEINFO: // struct nda_cacheinfo
			if len(value) >= 12 {
				n.Confirmed = time.Duration(netlink.Uint32(value)) * tick
				n.Used = time.Duration(netlink.Uint32(value[4:])) * tick
				n.Updated = time.Duration(netlink.Uint32(value[8:])) * tick
			}
		}
	})
	return n, n.Address.IsValid() && (n.State&^unix.NUD_NOARP != 0 || n.Proxy || b[10]&unix.NTF_EXT_LEARNED != 0)
}

// Constants of linux/neighbour.h that x/sys/unix lacks.
const (
	rtmGetNeighTable   = 66
	neighTableParms    = 6
	neighParmIfIndex   = 1
	neighParmReachable = 3
	neighTableMsgSize  = 4
)

// reachableTimes returns for each interface how long the kernel now considers a neighbour
// reachable. It is a random time around base_reachable_time (arp(7)), which the kernel draws again
// every few minutes.
func reachableTimes(ctx context.Context, conn *netlink.Conn, family uint8) (map[int]time.Duration, error) {
	times := map[int]time.Duration{}
	request := make([]byte, neighTableMsgSize)
	request[0] = family
	err := conn.Dump(ctx, rtmGetNeighTable, request, func(_ uint16, b []byte) error {
		if len(b) < neighTableMsgSize || b[0] != family {
			return nil
		}
		netlink.Attributes(b[neighTableMsgSize:], func(kind uint16, value []byte) {
			if kind != neighTableParms {
				return
			}
			index, span := 0, time.Duration(0)
			netlink.Attributes(value, func(kind uint16, value []byte) {
				switch {
				case kind == neighParmIfIndex:
					index = int(netlink.Uint32(value))
				case kind == neighParmReachable && len(value) >= 8:
					span = time.Duration(binary.NativeEndian.Uint64(value)) * time.Millisecond
				}
			})
			if index != 0 {
				times[index] = span
			}
		})
		return nil
	})
	if err != nil && !errors.Is(err, netlink.ErrChanged) {
		return nil, fmt.Errorf("list the neighbour tables: %w", err)
	}
	return times, nil
}

// Flush removes every learnt entry of a family, and calls removed for each. Permanent entries stay.
func Flush(ctx context.Context, family uint8, removed func(Neighbour) error) error {
	list, err := List(ctx, family)
	if err != nil {
		return err
	}
	conn, err := netlink.Dial(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, n := range list {
		if n.Permanent() || n.Proxy {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := remove(conn, n); err != nil {
			return err
		}
		if err := removed(n); err != nil {
			return err
		}
	}
	return nil
}

func remove(conn *netlink.Conn, n Neighbour) error {
	request := make([]byte, unix.SizeofNdMsg)
	request[0] = unix.AF_INET6
	if n.Address.Is4() {
		request[0] = unix.AF_INET
	}
	binary.NativeEndian.PutUint32(request[4:], uint32(n.Index))
	binary.NativeEndian.PutUint16(request[8:], n.State)
	if n.Proxy {
		request[10] = unix.NTF_PROXY
	}
	err := conn.Do(unix.RTM_DELNEIGH, 0, netlink.AppendAttribute(request, unix.NDA_DST, n.Address.AsSlice()))
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove a neighbour: %w", err)
	}
	return nil
}
