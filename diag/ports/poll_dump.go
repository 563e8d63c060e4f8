package ports

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"diagsh/diag/netlink"
	"diagsh/diag/sockets"
)

// pollEnds are both ends of a socket. IPv4 addresses in IPv6 are unmapped.
type pollEnds struct{ local, remote netip.AddrPort }

// A pollRow is what the kernel's table has of a socket.
type pollRow struct {
	pollEnds
	protocol  Protocol
	multipath bool // MPTCP
	state     sockets.State
	cookie    uint64
	inode     uint32 // 0: nobody has it any more, or not yet
}

// Of struct inet_diag_req_v2 and its messages (include/uapi/linux/sock_diag.h and inet_diag.h).
const (
	sockDiagByFamily  = 20
	requestedProtocol = 3  // the attribute INET_DIAG_REQ_PROTOCOL of a request
	answeredProtocol  = 10 // INET_DIAG_PROTOCOL of an answer
	inetDiagSize      = 72
	everyState        = 1<<12 - 1
	destroyGroups     = 1<<0 | 1<<1 | 1<<2 | 1<<3 // SKNLGRP_INET_TCP_DESTROY to SKNLGRP_INET6_UDP_DESTROY
	destroyBuffer     = 8 << 20                   // bytes
)

// dumpTable reads the sockets of this network namespace.
func dumpTable(ctx context.Context) ([]pollRow, error) {
	c, err := netlink.Dial(unix.NETLINK_INET_DIAG)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	var all []pollRow
	for _, protocol := range []int{unix.IPPROTO_TCP, unix.IPPROTO_MPTCP, unix.IPPROTO_UDP, unix.IPPROTO_RAW} {
		for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
			err := c.Dump(ctx, sockDiagByFamily, tableRequest(family, protocol), func(_ uint16, body []byte) error {
				if r, ok := parseRow(body, protocol); ok {
					all = append(all, r)
				}
				return nil
			})
			switch {
			case errors.Is(err, netlink.ErrChanged):
			case protocol != unix.IPPROTO_TCP && errors.Is(err, unix.ENOENT):
				// This kernel has no such table: without MPTCP there is none of that.
			case err != nil:
				return nil, fmt.Errorf("read the table of sockets: %w", err)
			}
		}
	}
	return all, nil
}

// tableRequest encodes struct inet_diag_req_v2. A protocol above 255 is an attribute (Linux 5.10).
func tableRequest(family uint8, protocol int) []byte {
	r := make([]byte, 56)
	r[0], r[1] = family, uint8(protocol)
	binary.NativeEndian.PutUint32(r[4:], everyState)
	if protocol > 255 {
		return netlink.AppendAttribute(r, requestedProtocol, binary.NativeEndian.AppendUint32(nil, uint32(protocol)))
	}
	return r
}

// parseRow parses struct inet_diag_msg. A message of the table without ports is no row.
func parseRow(b []byte, protocol int) (pollRow, bool) {
	if len(b) < inetDiagSize {
		return pollRow{}, false
	}
	r := pollRow{
		state:    sockets.State(b[1]),
		cookie:   binary.NativeEndian.Uint64(b[44:]),
		inode:    binary.NativeEndian.Uint32(b[68:]),
		pollEnds: pollEnds{pollEnd(b[0], b[8:24], b[4:6]), pollEnd(b[0], b[24:40], b[6:8])},
	}
	switch protocol {
	case unix.IPPROTO_TCP, unix.IPPROTO_MPTCP:
		r.protocol, r.multipath = TCP, protocol == unix.IPPROTO_MPTCP
	case unix.IPPROTO_UDP:
		r.protocol = UDP
	default:
		// Its IP protocol stands in place of a port.
		r.protocol = Raw
		if n := r.local.Port(); n == unix.IPPROTO_ICMP || n == unix.IPPROTO_ICMPV6 {
			r.protocol = ICMP
		}
		r.local, r.remote = netip.AddrPortFrom(r.local.Addr(), 0), netip.AddrPortFrom(r.remote.Addr(), 0)
	}
	return r, r.state != sockets.TimeWait && r.state != sockets.SynRcvd
}

func pollEnd(family uint8, address, port []byte) netip.AddrPort {
	n := binary.BigEndian.Uint16(port)
	if family == unix.AF_INET6 {
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(address)).Unmap(), n)
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(address[:4])), n)
}

// dialDestroy opens a netlink socket to which the kernel tells the TCP and UDP sockets that end (Linux
// 4.5).
func dialDestroy() (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_INET_DIAG)
	if err != nil {
		return -1, err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, destroyBuffer); err != nil {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, destroyBuffer) // as much as anybody may
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: destroyGroups}); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// hear takes what the kernel said of sockets that ended.
func (p *poller) hear() {
	if p.destroyed < 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.release()
	buffer := make([]byte, 64<<10)
	for {
		n, err := unix.Read(p.destroyed, buffer)
		switch {
		case err == unix.EINTR:
		case err == unix.ENOBUFS:
			// How many is not said. The next reading finds which known sockets are gone.
			p.lost++
			p.gaps++
			p.out.records = append(p.out.records, Record{Time: time.Now(), Event: Gap})
		case err != nil || n <= 0:
			return
		default:
			p.heard(buffer[:n])
		}
	}
}

// heard takes messages, each the end of a socket.
func (p *poller) heard(b []byte) {
	for len(b) >= unix.NLMSG_HDRLEN {
		length := int(binary.NativeEndian.Uint32(b))
		if length < unix.NLMSG_HDRLEN || length > len(b) {
			return
		}
		body := b[unix.NLMSG_HDRLEN:length]
		protocol := unix.IPPROTO_TCP
		if len(body) >= inetDiagSize {
			netlink.Attributes(body[inetDiagSize:], func(kind uint16, value []byte) {
				if kind == answeredProtocol && len(value) > 0 {
					protocol = int(value[0])
				}
			})
		}
		if r, ok := parseRow(body, protocol); ok {
			p.ended(&r)
		}
		b = b[min((length+3)&^3, len(b)):]
	}
}
