package afpacket

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// links receives news of interfaces from rtnetlink(7). The kernel tells a packet socket that its
// interface goes down, but not that it is removed after that, or renamed.
type links struct {
	fd    int
	names map[int]string // by index, as far as known
}

// linksBuffer has room for the news of some thousand interfaces that go at once.
const linksBuffer = 8 << 20

func openLinks() (*links, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("changes to interfaces cannot be watched: %w", err)
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, linksBuffer) != nil {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, linksBuffer) // as much as is permitted
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK,
		Groups: 1 << (unix.RTNLGRP_LINK - 1)}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("changes to interfaces cannot be watched: %w", err)
	}
	return &links{fd: fd, names: make(map[int]string)}, nil
}

func (l *links) close() {
	if l != nil {
		unix.Close(l.fd)
	}
}

// hear reads all news from the socket. changed reports that there may be a new interface or a new
// name. It calls removed with the last counters of each interface that was removed, or moved to
// another network namespace.
func (l *links) hear(removed func(index int, last device)) (changed bool) {
	var news [16 << 10]byte
	for {
		n, _, err := unix.Recvfrom(l.fd, news[:], 0)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ENOBUFS): // some news were lost
			clear(l.names)
			changed = true
			continue
		case err != nil:
			return changed
		}
		messages, err := syscall.ParseNetlinkMessage(news[:n])
		if err != nil {
			changed = true
		}
		for _, m := range messages {
			link, ok := linkOf(&m)
			switch {
			case !ok:
			case m.Header.Type == unix.RTM_DELLINK:
				delete(l.names, link.index)
				if link.counted {
					removed(link.index, link.last)
				}
			case l.names[link.index] != link.name:
				l.names[link.index] = link.name
				changed = true
			}
		}
	}
}

// A link is what a message says about an interface.
type link struct {
	index   int
	name    string
	last    device
	counted bool // last is known
}

// linkOf parses a message about an interface. It reports false for other messages: RTM_DELLINK with
// family AF_BRIDGE says that a bridge lost a port.
func linkOf(m *syscall.NetlinkMessage) (l link, ok bool) {
	if m.Header.Type != unix.RTM_NEWLINK && m.Header.Type != unix.RTM_DELLINK || len(m.Data) < unix.SizeofIfInfomsg ||
		m.Data[0] != unix.AF_UNSPEC {
		return l, false
	}
	attributes, err := syscall.ParseNetlinkRouteAttr(m)
	if err != nil {
		return l, false
	}
	l.index = int(int32(binary.NativeEndian.Uint32(m.Data[4:])))
	for _, a := range attributes {
		switch {
		case a.Attr.Type == unix.IFLA_IFNAME:
			l.name = string(bytes.TrimRight(a.Value, "\x00"))
		// struct rtnl_link_stats64 begins with rx_packets and tx_packets
		case a.Attr.Type == unix.IFLA_STATS64 && len(a.Value) >= 16:
			l.last, l.counted = device{binary.NativeEndian.Uint64(a.Value), binary.NativeEndian.Uint64(a.Value[8:])},
				true
		}
	}
	return l, true
}
