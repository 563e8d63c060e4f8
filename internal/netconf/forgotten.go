package netconf

import (
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// LeastIPv6MTU is the least MTU of a link with IPv6 (RFC 8200, section 5). Below it the kernel
// removes IPv6 from the link: addresses, routes, neighbours and the link's settings below
// /proc/sys/net/ipv6. A greater MTU only brings back the link-local address, with the settings of
// new links (addrconf_notify, NETDEV_CHANGEMTU, in net/ipv6/addrconf.c).
const LeastIPv6MTU = 1280

// Forgotten is what the kernel forgets with a change of a link or of an address: all IPv6 of a link
// whose MTU falls below LeastIPv6MTU, everything of a link that is removed, and the routes whose
// preferred source is an address that is removed. The messages are the kernel's own, as `ip address
// save` and `ip route save` keep them, so that nothing is lost that this package does not know.
// They are valid until the machine restarts.
//
// It does not contain what a router advertised, which comes back by itself: when duplicate address
// detection of the new link-local address has ended, the kernel solicits routers
// (addrconf_dad_completed in net/ipv6/addrconf.c). Multicast groups that programs have joined do
// not come back. Routes through nexthop objects (ip-nexthop(8)) of a removed link are refused,
// because those went with it.
type Forgotten struct {
	Boot       string            `json:"boot"`  // the kernel's ID of its current start
	Index      int               `json:"index"` // of the link
	Taken      int64             `json:"taken"` // seconds since the start of the machine
	Settings   map[string]string `json:"settings,omitempty"`
	Addresses  [][]byte          `json:"addresses,omitempty"`
	Neighbours [][]byte          `json:"neighbours,omitempty"`
	Routes     [][]byte          `json:"routes,omitempty"`
}

// Recent reports whether the record is of this start of the machine.
func (Kernel) Recent(f Forgotten) bool { return bootID() == f.Boot }

// SameLink reports whether the link that now has the name is the one of the record.
func (Kernel) SameLink(name string, f Forgotten) bool {
	link, err := netlink.LinkByName(name)
	return err == nil && link.Attrs().Index == f.Index
}

// ReadIPv6 reads what a link loses below LeastIPv6MTU.
func (Kernel) ReadIPv6(name string) (Forgotten, error) {
	return ofLink(name, family{"ipv6", unix.AF_INET6})
}

// ReadLink reads what is lost with a link.
func (Kernel) ReadLink(name string) (Forgotten, error) {
	return ofLink(name, family{"ipv4", unix.AF_INET}, family{"ipv6", unix.AF_INET6})
}

// ReadSourced reads the routes, of any table and through any link, that lose an address of the
// loopback interface as their preferred source. The kernel deletes those of IPv4 in the main table
// (fib_sync_down_addr in net/ipv4/fib_semantics.c) and removes the source from those of IPv6
// (rt6_remove_prefsrc in net/ipv6/route.c).
func (Kernel) ReadSourced(address netip.Addr) (Forgotten, error) {
	f, err := record(loopback)
	if err != nil {
		return f, err
	}
	of := byte(unix.AF_INET)
	if address.Is6() {
		of = unix.AF_INET6
	}
	f.Routes, err = saved(routeTable, of, func(body []byte, a attributes) bool {
		return !learntRoute(body) && string(a[unix.RTA_PREFSRC]) == string(address.AsSlice())
	})
	return f, err
}

// A family is a protocol's directory below /proc/sys/net and its number.
type family struct {
	folder string
	number byte
}

// record starts the record of a link.
func record(name string) (Forgotten, error) {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return Forgotten{}, gone(err)
	}
	return Forgotten{Boot: bootID(), Index: link.Attrs().Index, Taken: uptime(), Settings: map[string]string{}}, nil
}

func ofLink(name string, families ...family) (Forgotten, error) {
	f, err := record(name)
	if err != nil {
		return f, err
	}
	for _, of := range families {
		maps.Copy(f.Settings, settings(of.folder, name))
		own := map[string]bool{} // addresses of the link
		for _, part := range []struct {
			table table
			into  *[][]byte
			keep  func(body []byte, a attributes) bool
		}{
			{addressTable, &f.Addresses, func(body []byte, a attributes) bool {
				if int(nl.DeserializeIfAddrmsg(body).Index) != f.Index ||
					of.number == unix.AF_INET6 && learntAddress(body, a) {
					return false
				}
				address := a[unix.IFA_LOCAL]
				if address == nil {
					address = a[unix.IFA_ADDRESS]
				}
				own[string(address)] = true
				return true
			}},
			{neighbourTable, &f.Neighbours, func(body []byte, _ attributes) bool {
				return int(nl.NativeEndian().Uint32(body[4:])) == f.Index &&
					nl.NativeEndian().Uint16(body[8:])&unix.NUD_PERMANENT != 0
			}},
			{routeTable, &f.Routes, func(body []byte, a attributes) bool {
				return !learntRoute(body) && (a.through(f.Index) || own[string(a[unix.RTA_PREFSRC])])
			}},
		} {
			messages, err := saved(part.table, of.number, part.keep)
			if err != nil {
				return f, err
			}
			*part.into = append(*part.into, messages...)
		}
	}
	return f, nil
}

// A table is one of the kernel's tables: the request for it, and the kind and header of its
// messages.
type table struct {
	ask, answer uint16
	header      int
}

var (
	addressTable   = table{unix.RTM_GETADDR, unix.RTM_NEWADDR, unix.SizeofIfAddrmsg}
	neighbourTable = table{unix.RTM_GETNEIGH, unix.RTM_NEWNEIGH, sizeofNdmsg}
	routeTable     = table{unix.RTM_GETROUTE, unix.RTM_NEWROUTE, unix.SizeofRtMsg}
)

// saved reads the messages of a table that keep selects.
func saved(t table, family byte, keep func(body []byte, a attributes) bool) (kept [][]byte, err error) {
	messages, err := whole(func() ([][]byte, error) {
		request := nl.NewNetlinkRequest(int(t.ask), unix.NLM_F_DUMP)
		request.AddRawData(append([]byte{family}, make([]byte, t.header-1)...))
		return request.Execute(unix.NETLINK_ROUTE, t.answer)
	})
	if err != nil {
		return nil, err
	}
	for _, m := range messages {
		if len(m) < t.header || m[0] != family {
			continue
		}
		a, err := attributesOf(m[t.header:])
		if err != nil {
			return nil, err
		}
		if keep(m, a) {
			kept = append(kept, m)
		}
	}
	return kept, nil
}

// sizeofNdmsg is the size of struct ndmsg in linux/neighbour.h.
const sizeofNdmsg = 12

// typeMask removes the flags from the type of an attribute (NLA_TYPE_MASK in linux/netlink.h).
const typeMask = 1<<14 - 1

// attributes are those of a message by type.
type attributes map[uint16][]byte

func attributesOf(data []byte) (attributes, error) {
	list, err := nl.ParseRouteAttr(data)
	a := attributes{}
	for _, r := range list {
		a[r.Attr.Type&typeMask] = r.Value
	}
	return a, err
}

// through reports whether a route leaves by a link.
func (a attributes) through(index int) bool {
	if oif := a[unix.RTA_OIF]; len(oif) == 4 {
		return int(nl.NativeEndian().Uint32(oif)) == index
	}
	return len(hopsThrough(a[unix.RTA_MULTIPATH], index)) > 0
}

// hopsThrough returns those of a route's next hops (struct rtnexthop in linux/rtnetlink.h) that
// leave by a link.
func hopsThrough(hops []byte, index int) []byte {
	var own []byte
	for len(hops) >= unix.SizeofRtNexthop {
		n := (int(nl.NativeEndian().Uint16(hops)) + 3) &^ 3
		if n < unix.SizeofRtNexthop || n > len(hops) {
			break
		}
		if int(nl.NativeEndian().Uint32(hops[4:])) == index {
			own = append(own, hops[:n]...)
		}
		hops = hops[n:]
	}
	return own
}

// Values of IFA_PROTO (linux/if_addr.h, Linux 5.18).
const (
	ifaProto         = 11
	ifaProtoKernelRA = 2
	ifaProtoKernelLL = 3
)

// learntAddress reports whether an address comes back by itself: from an advertised prefix, or as
// the kernel's own link-local one. Kernels before 5.18 do not report an address's origin; then it
// is restored as it was, which does no harm.
func learntAddress(body []byte, a attributes) bool {
	by := a[ifaProto]
	return body[2]&unix.IFA_F_TEMPORARY != 0 || len(by) == 1 && (by[0] == ifaProtoKernelRA || by[0] == ifaProtoKernelLL)
}

// learntRoute reports whether a route comes back by itself: with an address, from a router, or as
// an entry of a cache.
func learntRoute(body []byte) bool {
	protocol, flags := body[5], nl.NativeEndian().Uint32(body[8:])
	return protocol == unix.RTPROT_KERNEL || protocol == unix.RTPROT_RA || protocol == unix.RTPROT_REDIRECT ||
		flags&unix.RTM_F_CLONED != 0
}

// settings reads those of a link below /proc/sys/net/ipv4 or ipv6. What cannot be read, such as
// stable_secret, is not set.
func settings(family, name string) map[string]string {
	values := map[string]string{}
	for _, kind := range []string{"conf", "neigh"} {
		entries, _ := os.ReadDir(filepath.Join("/proc/sys/net", family, kind, name)) // none if IPv6 is off
		for _, e := range entries {
			if text, err := os.ReadFile(filepath.Join("/proc/sys/net", family, kind, name, e.Name())); err == nil {
				values[family+"/"+kind+"/"+e.Name()] = strings.TrimSpace(string(text))
			}
		}
	}
	return values
}

func bootID() string {
	text, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(text))
}

// uptime returns the time since the machine started, including sleep.
func uptime() int64 {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &t) != nil {
		return 0
	}
	return t.Sec
}
