package links

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// LeastIPv6MTU is the least MTU of a link with IPv6 (RFC 8200, section 5). Below it the kernel takes IPv6 off the link: addresses, routes,
// neighbours and the link's settings below /proc/sys/net/ipv6. A greater MTU brings the link-local address back, with the settings of
// new links, and nothing more (addrconf_notify, NETDEV_CHANGEMTU, in net/ipv6/addrconf.c).
const LeastIPv6MTU = 1280

// An IPv6 is what the kernel forgets of a link whose MTU falls below LeastIPv6MTU. The messages are the kernel's own, as `ip address
// save` and `ip route save` keep them: so nothing is lost that this package does not know. They are of use until the machine restarts.
//
// What a router advertised is not in it. It comes back by itself: when duplicate address detection of the new link-local address has
// ended, the kernel solicits routers (addrconf_dad_completed in net/ipv6/addrconf.c). Multicast groups that programs have joined do
// not come back.
type IPv6 struct {
	Boot       string            `json:"boot"`  // the kernel's name for the time since it started
	Index      int               `json:"index"` // of the link
	Taken      int64             `json:"taken"` // seconds since the start of the machine
	Settings   map[string]string `json:"settings"`
	Addresses  [][]byte          `json:"addresses"`
	Neighbours [][]byte          `json:"neighbours"`
	Routes     [][]byte          `json:"routes"`
}

// Current reports whether the record is of this start of the machine and of the link that now has the name.
func (Kernel) Current(name string, v IPv6) bool {
	link, err := netlink.LinkByName(name)
	return err == nil && link.Attrs().Index == v.Index && bootID() == v.Boot
}

// ReadIPv6 reads what RestoreIPv6 gives back.
func (Kernel) ReadIPv6(name string) (IPv6, error) {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return IPv6{}, gone(err)
	}
	v := IPv6{Boot: bootID(), Index: link.Attrs().Index, Taken: uptime(), Settings: settings(name)}
	own := map[string]bool{} // addresses of the link
	for _, table := range []struct {
		ask, answer uint16
		header      int
		into        *[][]byte
		keep        func(body []byte, a attributes) bool
	}{
		{unix.RTM_GETADDR, unix.RTM_NEWADDR, unix.SizeofIfAddrmsg, &v.Addresses, func(body []byte, a attributes) bool {
			if int(nl.DeserializeIfAddrmsg(body).Index) != v.Index || learntAddress(body, a) {
				return false
			}
			address := a[unix.IFA_LOCAL]
			if address == nil {
				address = a[unix.IFA_ADDRESS]
			}
			own[string(address)] = true
			return true
		}},
		{unix.RTM_GETNEIGH, unix.RTM_NEWNEIGH, sizeofNdmsg, &v.Neighbours, func(body []byte, _ attributes) bool {
			return int(nl.NativeEndian().Uint32(body[4:])) == v.Index && nl.NativeEndian().Uint16(body[8:])&unix.NUD_PERMANENT != 0
		}},
		{unix.RTM_GETROUTE, unix.RTM_NEWROUTE, unix.SizeofRtMsg, &v.Routes, func(body []byte, a attributes) bool {
			return !learntRoute(body) && (a.through(v.Index) || own[string(a[unix.RTA_PREFSRC])])
		}},
	} {
		messages, err := whole(func() ([][]byte, error) {
			request := nl.NewNetlinkRequest(int(table.ask), unix.NLM_F_DUMP)
			request.AddRawData(append([]byte{unix.AF_INET6}, make([]byte, table.header-1)...))
			return request.Execute(unix.NETLINK_ROUTE, table.answer)
		})
		if err != nil {
			return v, err
		}
		for _, m := range messages {
			if len(m) < table.header || m[0] != unix.AF_INET6 {
				continue
			}
			a, err := attributesOf(m[table.header:])
			if err != nil {
				return v, err
			}
			if table.keep(m, a) {
				*table.into = append(*table.into, m)
			}
		}
	}
	return v, nil
}

// sizeofNdmsg is the size of struct ndmsg in linux/neighbour.h.
const sizeofNdmsg = 12

// typeMask takes the flags off the type of an attribute (NLA_TYPE_MASK in linux/netlink.h).
const typeMask = 1<<14 - 1

// attributes are those of a message by their types.
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

// hopsThrough is the part of a route's next hops (struct rtnexthop in linux/rtnetlink.h) that leave by a link.
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

// learntAddress reports whether an address comes by itself: from an advertised prefix, or as the kernel's own link-local one. Kernels
// before 5.18 do not say of whom an address is; they give it back as it was, which does no harm.
func learntAddress(body []byte, a attributes) bool {
	by := a[ifaProto]
	return body[2]&unix.IFA_F_TEMPORARY != 0 || len(by) == 1 && (by[0] == ifaProtoKernelRA || by[0] == ifaProtoKernelLL)
}

// learntRoute reports whether a route comes by itself: with an address, from a router, or as an entry of a cache.
func learntRoute(body []byte) bool {
	protocol, flags := body[5], nl.NativeEndian().Uint32(body[8:])
	return protocol == unix.RTPROT_KERNEL || protocol == unix.RTPROT_RA || protocol == unix.RTPROT_REDIRECT || flags&unix.RTM_F_CLONED != 0
}

// RestoreIPv6 gives a link back what it does not have any more. It can be done again at any time, and tries everything; the error is
// of what the kernel refused.
func (Kernel) RestoreIPv6(name string, v IPv6) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return gone(err)
	}
	// Notices of addresses that end their duplicate address detection, asked for before they begin it.
	notices, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_IPV6_IFADDR)
	if err != nil {
		return err
	}
	defer notices.Close()
	elapsed := max(0, uptime()-v.Taken)
	failed := restoreSettings(name, v.Settings)
	for _, m := range v.Addresses {
		if m = aged(m, elapsed); m != nil {
			failed = append(failed, add(unix.RTM_NEWADDR, unix.NLM_F_EXCL, m))
		}
	}
	for _, m := range v.Neighbours {
		failed = append(failed, add(unix.RTM_NEWNEIGH, unix.NLM_F_REPLACE, m))
	}
	// The kernel takes no route from an address that it still examines.
	if slices.ContainsFunc(v.Routes, hasSource) {
		if err := examined(notices, link); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(append(failed, restoreRoutes(v.Routes, v.Index, elapsed)...)...)
}

// add sends a message; that there is the same already is no error.
func add(kind, flags int, body []byte) error {
	request := nl.NewNetlinkRequest(kind, unix.NLM_F_CREATE|unix.NLM_F_ACK|flags)
	request.AddRawData(body)
	_, err := request.Execute(unix.NETLINK_ROUTE, 0)
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}

// aged takes the time that has passed from the lifetimes of an address. nil: it is over.
func aged(body []byte, elapsed int64) []byte {
	body = bytes.Clone(body)
	for rest := body[unix.SizeofIfAddrmsg:]; len(rest) >= unix.SizeofRtAttr; {
		n, kind := int(nl.NativeEndian().Uint16(rest)), nl.NativeEndian().Uint16(rest[2:])
		if n < unix.SizeofRtAttr || n > len(rest) {
			break
		}
		if kind == unix.IFA_CACHEINFO && n >= unix.SizeofRtAttr+8 {
			for _, lifetime := range [][]byte{rest[4:8], rest[8:12]} { // preferred, valid
				if t := nl.NativeEndian().Uint32(lifetime); t != infinite {
					nl.NativeEndian().PutUint32(lifetime, uint32(max(0, int64(t)-elapsed)))
				}
			}
			if nl.NativeEndian().Uint32(rest[8:12]) == 0 {
				return nil
			}
		}
		rest = rest[min((n+3)&^3, len(rest)):]
	}
	return body
}

// infinite is the lifetime of what stays (INFINITY_LIFE_TIME in net/addrconf.h).
const infinite = 1<<32 - 1

func hasSource(body []byte) bool {
	a, err := attributesOf(body[unix.SizeofRtMsg:])
	return err == nil && a[unix.RTA_PREFSRC] != nil
}

// examination bounds the wait for duplicate address detection, which takes about two seconds on a link that works and does not end
// on one without a carrier.
const examination = 5 * time.Second

// examined waits until no address of a link is tentative.
func examined(notices *nl.NetlinkSocket, link netlink.Link) error {
	for end := time.Now().Add(examination); ; {
		list, err := whole(func() ([]netlink.Addr, error) { return netlink.AddrList(link, netlink.FAMILY_V6) })
		if err != nil {
			return err
		}
		left := time.Until(end)
		if left <= 0 || !slices.ContainsFunc(list, func(a netlink.Addr) bool {
			return a.Flags&unix.IFA_F_TENTATIVE != 0 && a.Flags&unix.IFA_F_DADFAILED == 0
		}) {
			return nil // A route that the kernel does not take all the same says so.
		}
		timeout := unix.NsecToTimeval(int64(left) + 1000)
		if err := notices.SetReceiveTimeout(&timeout); err != nil {
			return err
		}
		if _, _, err := notices.Receive(); err != nil && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.ENOBUFS) {
			return err
		}
	}
}

// restoreRoutes adds routes. One may need another before it, so those that fail are tried again while others succeed.
func restoreRoutes(routes [][]byte, index int, elapsed int64) []error {
	for {
		var failed [][]byte
		var reasons []error
		for _, m := range routes {
			if err := restoreRoute(m, index, elapsed); err != nil {
				failed, reasons = append(failed, m), append(reasons, err)
			}
		}
		if len(failed) == 0 || len(failed) == len(routes) {
			return reasons
		}
		routes = failed
	}
}

func restoreRoute(body []byte, index int, elapsed int64) error {
	list, err := nl.ParseRouteAttr(body[unix.SizeofRtMsg:])
	if err != nil {
		return err
	}
	flags := unix.NLM_F_APPEND
	message := bytes.Clone(body[:unix.SizeofRtMsg])
	// Of the flags only RTNH_F_ONLINK is asked for; the others say how the route was doing.
	nl.NativeEndian().PutUint32(message[8:], nl.NativeEndian().Uint32(message[8:])&unix.RTNH_F_ONLINK)
	for _, r := range list {
		kind, value := r.Attr.Type&typeMask, r.Value
		switch kind {
		case unix.RTA_MULTIPATH:
			// The hops through other links are still there, and these join them.
			if own := hopsThrough(value, index); len(own) > 0 {
				value = own
			}
		case unix.RTA_OIF:
			if int(nl.NativeEndian().Uint32(value)) != index {
				flags = unix.NLM_F_REPLACE // It is there and has lost its source address (rt6_remove_prefsrc in net/ipv6/route.c).
			}
		case unix.RTA_CACHEINFO:
			expires := int64(0)
			if len(value) >= 12 {
				expires = int64(int32(nl.NativeEndian().Uint32(value[8:]))) / ticks
			}
			if expires == 0 {
				continue
			}
			if expires -= elapsed; expires <= 0 {
				return nil
			}
			kind, value = unix.RTA_EXPIRES, binary.NativeEndian.AppendUint32(nil, uint32(expires))
		}
		message = append(message, nl.NewRtAttr(int(kind), value).Serialize()...)
	}
	return add(unix.RTM_NEWROUTE, flags, message)
}

// ticks are the kernel's for programs in a second (USER_HZ).
const ticks = 100

// settings reads /proc/sys/net/ipv6 of a link. What cannot be read is not set, as stable_secret.
func settings(name string) map[string]string {
	values := map[string]string{}
	for _, kind := range []string{"conf", "neigh"} {
		folder := filepath.Join("/proc/sys/net/ipv6", kind, name)
		entries, _ := os.ReadDir(folder) // none where IPv6 is off
		for _, e := range entries {
			if text, err := os.ReadFile(filepath.Join(folder, e.Name())); err == nil {
				values[kind+"/"+e.Name()] = strings.TrimSpace(string(text))
			}
		}
	}
	return values
}

// restoreSettings writes what is different. disable_ipv6 comes last: the others say what happens when IPv6 begins.
func restoreSettings(name string, values map[string]string) []error {
	const disable = "conf/disable_ipv6"
	now := settings(name)
	var failed []error
	write := func(key string) {
		if values[key] == now[key] {
			return
		}
		kind, file := filepath.Split(key)
		if err := os.WriteFile(filepath.Join("/proc/sys/net/ipv6", kind, name, file), []byte(values[key]), 0); err != nil {
			failed = append(failed, err)
		}
	}
	for key := range values {
		if key != disable {
			write(key)
		}
	}
	if _, ok := values[disable]; ok {
		write(disable)
	}
	return failed
}

// Toward is the link by which packets to an address leave; empty if none does.
func (Kernel) Toward(address netip.Addr) string {
	routes, err := netlink.RouteGet(address.AsSlice())
	if err != nil || len(routes) == 0 {
		return ""
	}
	link, err := netlink.LinkByIndex(routes[0].LinkIndex)
	if err != nil {
		return ""
	}
	return link.Attrs().Name
}

func bootID() string {
	text, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(text))
}

// uptime is the time since the machine started, sleep included.
func uptime() int64 {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &t) != nil {
		return 0
	}
	return t.Sec
}
