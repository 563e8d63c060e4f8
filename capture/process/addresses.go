package process

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"syscall"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// addresses keeps a map of the addresses that this machine receives at, as its table of local routes
// has them. A packet to the port of a server that has no address of its own is for this server only
// if it is for this machine.
type addresses struct {
	known    *ebpf.Map // of prefixes
	question int       // a netlink socket in the right network namespace, to ask for routes
	news     *os.File  // one that hears of changes
	ended    chan struct{}
}

// A prefix is a key of the map. IPv4 addresses are as in IPv6.
type prefix struct {
	Bits    uint32
	Address [16]byte
}

func prefixOf(p netip.Prefix) prefix {
	bits := uint32(p.Bits())
	if p.Addr().Is4() {
		bits += 96
	}
	return prefix{bits, p.Addr().As16()}
}

// everywhere are the addresses of more than one machine.
var everywhere = []netip.Prefix{
	netip.MustParsePrefix("224.0.0.0/4"), netip.MustParsePrefix("255.255.255.255/32"), netip.MustParsePrefix("ff00::/8"),
}

// openAddresses fills a map for the network namespace of the calling thread, and keeps it current
// until close.
func openAddresses(known *ebpf.Map) (*addresses, error) {
	news, err := routeSocket(unix.SOCK_NONBLOCK, 1<<(unix.RTNLGRP_IPV4_ROUTE-1)|1<<(unix.RTNLGRP_IPV6_ROUTE-1))
	if err != nil {
		return nil, err
	}
	a := &addresses{known: known, question: -1, news: os.NewFile(uintptr(news), "netlink"), ended: make(chan struct{})}
	if a.question, err = routeSocket(0, 0); err == nil {
		err = a.fill()
	}
	if err != nil {
		close(a.ended)
		a.close()
		return nil, err
	}
	go a.watch()
	return a, nil
}

func routeSocket(kind int, groups uint32) (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|kind, unix.NETLINK_ROUTE)
	if err == nil {
		if err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
			unix.Close(fd)
		}
	}
	if err != nil {
		return -1, fmt.Errorf("the addresses of this machine cannot be listed: %w", err)
	}
	return fd, nil
}

// close may be called of nil.
func (a *addresses) close() error {
	if a == nil {
		return nil
	}
	err := a.news.Close()
	<-a.ended
	if a.question >= 0 {
		unix.Close(a.question)
	}
	return err
}

// watch fills the map again after each change, and when some news were lost.
func (a *addresses) watch() {
	defer close(a.ended)
	var text [16 << 10]byte
	for {
		n, err := a.news.Read(text[:])
		switch {
		case errors.Is(err, unix.ENOBUFS):
			a.fill()
			continue
		case err != nil:
			return
		}
		messages, err := syscall.ParseNetlinkMessage(text[:n])
		if err != nil || slices.ContainsFunc(messages, func(m syscall.NetlinkMessage) bool {
			_, ok := received(&m)
			return ok
		}) {
			a.fill()
		}
	}
}

// mostLists is how often routes are listed again that changed meanwhile.
const mostLists = 5

// fill makes the map what the table of routes is: first what is new, then without what is gone. What
// a list lacks that changed meanwhile need not be gone.
func (a *addresses) fill() error {
	now, whole, err := a.list()
	for n := 1; n < mostLists && err == nil && !whole; n++ {
		now, whole, err = a.list()
	}
	if err != nil {
		return err
	}
	wanted := make(map[prefix]bool)
	for _, p := range slices.Concat(everywhere, now) {
		key := prefixOf(p)
		wanted[key] = true
		if err := a.known.Put(key, uint8(1)); err != nil {
			return fmt.Errorf("the addresses of this machine cannot be noted: %w", err)
		}
	}
	var gone []prefix
	var key prefix
	var value uint8
	for all := a.known.Iterate(); whole && all.Next(&key, &value); {
		if !wanted[key] {
			gone = append(gone, key)
		}
	}
	for _, key := range gone {
		a.known.Delete(key)
	}
	return nil
}

// list asks for all routes, and returns where this machine receives. whole is false if they changed
// meanwhile, so that some may be missing.
func (a *addresses) list() (list []netip.Prefix, whole bool, err error) {
	request := binary.NativeEndian.AppendUint32(nil, unix.SizeofNlMsghdr+unix.SizeofRtMsg)
	request = binary.NativeEndian.AppendUint16(request, unix.RTM_GETROUTE)
	request = binary.NativeEndian.AppendUint16(request, unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	request = append(request, make([]byte, 8+unix.SizeofRtMsg)...) // of all families
	failed := func(err error) error { return fmt.Errorf("the addresses of this machine cannot be listed: %w", err) }
	if err := unix.Sendto(a.question, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, false, failed(err)
	}
	var text [32 << 10]byte
	for whole = true; ; {
		n, _, err := unix.Recvfrom(a.question, text[:], 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, false, failed(err)
		}
		messages, err := syscall.ParseNetlinkMessage(text[:n])
		if err != nil {
			return nil, false, failed(err)
		}
		for _, m := range messages {
			whole = whole && m.Header.Flags&unix.NLM_F_DUMP_INTR == 0
			switch m.Header.Type {
			case unix.NLMSG_DONE:
				return list, whole, nil
			case unix.NLMSG_ERROR:
				return nil, false, failed(errors.New("the kernel refuses"))
			}
			if p, ok := received(&m); ok {
				list = append(list, p)
			}
		}
	}
}

// received returns the destination of a route if what goes there is received by this machine.
func received(m *syscall.NetlinkMessage) (netip.Prefix, bool) {
	if m.Header.Type != unix.RTM_NEWROUTE && m.Header.Type != unix.RTM_DELROUTE || len(m.Data) < unix.SizeofRtMsg {
		return netip.Prefix{}, false
	}
	bits, kind := int(m.Data[1]), m.Data[7] // rtm_dst_len, rtm_type of struct rtmsg
	if kind != unix.RTN_LOCAL && kind != unix.RTN_BROADCAST && kind != unix.RTN_ANYCAST {
		return netip.Prefix{}, false
	}
	attributes, err := syscall.ParseNetlinkRouteAttr(m)
	if err != nil {
		return netip.Prefix{}, false
	}
	for _, at := range attributes {
		if address, ok := netip.AddrFromSlice(at.Value); at.Attr.Type == unix.RTA_DST && ok {
			return netip.PrefixFrom(address, bits), bits <= address.BitLen()
		}
	}
	return netip.Prefix{}, false
}
