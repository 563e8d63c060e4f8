package netconf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Restore restores what a link lacks now; the link may have been made anew. It can be repeated at
// any time. It tries everything, and the error reports what the kernel refused.
func (Kernel) Restore(name string, f Forgotten) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return gone(err)
	}
	// Notices of the end of duplicate address detection, requested before it begins.
	notices, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_IPV6_IFADDR)
	if err != nil {
		return err
	}
	defer notices.Close()
	r := restorer{was: f.Index, is: link.Attrs().Index, elapsed: max(0, uptime()-f.Taken),
		indexes: map[int]bool{f.Index: true}}
	present, err := whole(netlink.LinkList)
	if err != nil {
		return err
	}
	for _, l := range present {
		r.indexes[l.Attrs().Index] = true
	}
	failed := restoreSettings(name, f.Settings, link.Attrs().MTU)
	for _, m := range f.Addresses {
		if m = aged(m, r.elapsed); m != nil {
			failed = append(failed, add(unix.RTM_NEWADDR, unix.NLM_F_EXCL, r.ofLink(m)))
		}
	}
	for _, m := range f.Neighbours {
		failed = append(failed, add(unix.RTM_NEWNEIGH, unix.NLM_F_REPLACE, r.ofLink(m)))
	}
	// The kernel accepts no route from an address whose detection is not finished.
	if slices.ContainsFunc(f.Routes, hasSource) {
		if err := examined(notices, link); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(append(failed, r.routes(f.Routes)...)...)
}

// A restorer restores what a link had when its index was another one.
type restorer struct {
	was, is int
	elapsed int64        // seconds since then
	indexes map[int]bool // of the existing links, and was
}

// ofLink returns a message about an address or a neighbour with the link's current index: both
// headers have it in the same place (struct ifaddrmsg, struct ndmsg).
func (r restorer) ofLink(message []byte) []byte {
	message = bytes.Clone(message)
	nl.NativeEndian().PutUint32(message[4:], uint32(r.is))
	return message
}

// add sends a message. If the same exists already, that is not an error.
func add(kind, flags int, body []byte) error {
	request := nl.NewNetlinkRequest(kind, unix.NLM_F_CREATE|unix.NLM_F_ACK|flags)
	request.AddRawData(body)
	_, err := request.Execute(unix.NETLINK_ROUTE, 0)
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}

// aged subtracts the elapsed time from the lifetimes of an address. It returns nil if the address
// has expired.
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

// infinite is the lifetime of permanent addresses (INFINITY_LIFE_TIME in net/addrconf.h).
const infinite = 1<<32 - 1

// hasSource reports whether a route of IPv6 has a preferred source.
func hasSource(body []byte) bool {
	a, err := attributesOf(body[unix.SizeofRtMsg:])
	return err == nil && body[0] == unix.AF_INET6 && a[unix.RTA_PREFSRC] != nil
}

// examination limits the wait for duplicate address detection, which takes about two seconds on a
// working link and does not end on one without a carrier.
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
			return nil // If the kernel still refuses a route, that is reported.
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

// routes adds routes. One may need another first, so those that fail are tried again while others
// succeed.
func (r restorer) routes(routes [][]byte) []error {
	for {
		var failed [][]byte
		var reasons []error
		for _, m := range routes {
			if err := r.route(m); err != nil {
				failed, reasons = append(failed, m), append(reasons, err)
			}
		}
		if len(failed) == 0 || len(failed) == len(routes) {
			return reasons
		}
		routes = failed
	}
}

// rtaNHID is RTA_NH_ID of linux/rtnetlink.h (Linux 5.3).
const rtaNHID = 30

// ofObject has the attributes that the kernel copies out of a nexthop object, and does not accept
// beside it.
var ofObject = []uint16{unix.RTA_OIF, unix.RTA_GATEWAY, unix.RTA_VIA, unix.RTA_MULTIPATH, unix.RTA_ENCAP,
	unix.RTA_ENCAP_TYPE}

// route adds a route. One through another missing link went with that link, and is in its record.
func (r restorer) route(body []byte) error {
	list, err := nl.ParseRouteAttr(body[unix.SizeofRtMsg:])
	if err != nil {
		return err
	}
	flags, isIPv6 := unix.NLM_F_APPEND, body[0] == unix.AF_INET6
	message := bytes.Clone(body[:unix.SizeofRtMsg])
	// Of the flags only RTNH_F_ONLINK is set; the others report the route's state.
	nl.NativeEndian().PutUint32(message[8:], nl.NativeEndian().Uint32(message[8:])&unix.RTNH_F_ONLINK)
	byObject := slices.ContainsFunc(list,
		func(attr syscall.NetlinkRouteAttr) bool { return attr.Attr.Type&typeMask == rtaNHID })
	if byObject && isIPv6 {
		flags = unix.NLM_F_REPLACE // It exists without its source, or its object is gone too.
	}
	for _, attr := range list {
		kind, value := attr.Attr.Type&typeMask, bytes.Clone(attr.Value)
		if byObject && slices.Contains(ofObject, kind) {
			continue
		}
		switch kind {
		case unix.RTA_MULTIPATH:
			// A route of IPv4 goes with the first of its hops. In IPv6 those through other links
			// are still there, and these join them.
			if own := hopsThrough(value, r.was); isIPv6 && len(own) > 0 {
				value = own
			} else if isIPv6 {
				flags = unix.NLM_F_REPLACE
			}
			if !r.hops(value) {
				return nil
			}
		case unix.RTA_OIF:
			switch index := int(nl.NativeEndian().Uint32(value)); {
			case !r.indexes[index]:
				return nil
			case index == r.was:
				nl.NativeEndian().PutUint32(value, uint32(r.is))
			case isIPv6:
				// It exists and has lost its source address (rt6_remove_prefsrc in
				// net/ipv6/route.c).
				flags = unix.NLM_F_REPLACE
			}
		case unix.RTA_CACHEINFO:
			expires := int64(0)
			if len(value) >= 12 {
				expires = int64(int32(nl.NativeEndian().Uint32(value[8:]))) / ticks
			}
			if expires == 0 {
				continue
			}
			if expires -= r.elapsed; expires <= 0 {
				return nil
			}
			kind, value = unix.RTA_EXPIRES, binary.NativeEndian.AppendUint32(nil, uint32(expires))
		}
		message = append(message, nl.NewRtAttr(int(kind), value).Serialize()...)
	}
	return add(unix.RTM_NEWROUTE, flags, message)
}

// hops sets in next hops (struct rtnexthop) the link's current index, and of their flags
// RTNH_F_ONLINK alone. It reports whether all their links exist.
func (r restorer) hops(hops []byte) bool {
	for len(hops) >= unix.SizeofRtNexthop {
		n := (int(nl.NativeEndian().Uint16(hops)) + 3) &^ 3
		if n < unix.SizeofRtNexthop || n > len(hops) {
			break
		}
		index := int(nl.NativeEndian().Uint32(hops[4:]))
		if !r.indexes[index] {
			return false
		}
		if index == r.was {
			nl.NativeEndian().PutUint32(hops[4:], uint32(r.is))
		}
		hops[2] &= unix.RTNH_F_ONLINK
		hops = hops[n:]
	}
	return true
}

// ticks is how many of the kernel's ticks for programs are in a second (USER_HZ).
const ticks = 100

// restoreSettings writes the settings that differ. disable_ipv6 comes last: the others decide what
// happens when IPv6 begins. The MTU of IPv6 cannot exceed that of the link, whatever it was, and
// has the link's already.
func restoreSettings(name string, values map[string]string, linkMTU int) []error {
	const disable = "ipv6/conf/disable_ipv6"
	now := settings("ipv6", name)
	maps.Copy(now, settings("ipv4", name))
	if mtu, err := strconv.Atoi(values["ipv6/conf/mtu"]); err == nil && mtu > linkMTU {
		values = maps.Clone(values)
		delete(values, "ipv6/conf/mtu")
	}
	var failed []error
	write := func(key string) {
		if values[key] == now[key] {
			return
		}
		kind, file := filepath.Split(key)
		if err := os.WriteFile(filepath.Join("/proc/sys/net", kind, name, file), []byte(values[key]), 0); err != nil {
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

// Toward returns the link by which packets to an address leave, or "".
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
