// Package netlink asks the kernel for its tables: sockets, links, addresses, routes, neighbours. It reads a dump message by message in
// one buffer, so that a table of any length costs no memory, and it allocates nothing for a message. See netlink(7).
package netlink

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrChanged says that a table changed while it was read, so that a row may be missing or come twice. What was read is still right
// row by row.
var ErrChanged = errors.New("the table changed while it was read")

// bufferSize is room for the largest piece in which the kernel sends a dump, and for the socket to hold the next ones. The kernel makes
// a piece as large as the buffer that it saw in the last read, up to 32 KiB (netlink_recvmsg in net/netlink/af_netlink.c, Linux 6.18).
const bufferSize = 1 << 20

// patience bounds the wait for an answer of the kernel, which comes at once or never.
const patience = 10 * time.Second

// A Conn is a netlink socket. It is for one goroutine.
type Conn struct {
	fd       int
	sequence uint32
	buffer   []byte
}

// Dial opens a socket of a netlink family, such as unix.NETLINK_ROUTE.
func Dial(family int) (*Conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, family)
	if err != nil {
		return nil, fmt.Errorf("open a netlink socket: %w", err)
	}
	c := &Conn{fd: fd, buffer: make([]byte, bufferSize)}
	timeout := unix.NsecToTimeval(int64(patience))
	if err := errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, bufferSize),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout),
		unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}),
	); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("prepare a netlink socket: %w", err)
	}
	return c, nil
}

// Close frees the socket.
func (c *Conn) Close() error { return unix.Close(c.fd) }

// Dump asks for a table and calls each for every message of the answer; body is valid during the call. It ends early when ctx ends or
// each fails. ErrChanged comes after every row was read.
func (c *Conn) Dump(ctx context.Context, kind uint16, request []byte, each func(kind uint16, body []byte) error) error {
	if err := c.send(kind, unix.NLM_F_REQUEST|unix.NLM_F_DUMP, request); err != nil {
		return err
	}
	changed := false
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		done, err := c.receive(func(h header, body []byte) error {
			changed = changed || h.flags&unix.NLM_F_DUMP_INTR != 0
			return each(h.kind, body)
		})
		if err != nil {
			return err
		}
		if done {
			break
		}
	}
	if changed {
		return ErrChanged
	}
	return nil
}

// Do sends a request that changes something and waits for the kernel's answer.
func (c *Conn) Do(kind, flags uint16, request []byte) error {
	if err := c.send(kind, unix.NLM_F_REQUEST|unix.NLM_F_ACK|flags, request); err != nil {
		return err
	}
	for {
		done, err := c.receive(func(header, []byte) error { return nil })
		if done || err != nil {
			return err
		}
	}
}

func (c *Conn) send(kind, flags uint16, request []byte) error {
	c.sequence++
	message := make([]byte, unix.NLMSG_HDRLEN, unix.NLMSG_HDRLEN+len(request))
	binary.NativeEndian.PutUint32(message[0:], uint32(unix.NLMSG_HDRLEN+len(request)))
	binary.NativeEndian.PutUint16(message[4:], kind)
	binary.NativeEndian.PutUint16(message[6:], flags)
	binary.NativeEndian.PutUint32(message[8:], c.sequence)
	if err := unix.Sendto(c.fd, append(message, request...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("ask the kernel: %w", err)
	}
	return nil
}

type header struct {
	kind, flags uint16
}

// receive reads one piece of an answer. done says that it was the last.
func (c *Conn) receive(each func(h header, body []byte) error) (done bool, err error) {
	n, err := c.read()
	if err != nil {
		return false, err
	}
	for rest := c.buffer[:n]; len(rest) >= unix.NLMSG_HDRLEN; {
		length := int(binary.NativeEndian.Uint32(rest))
		if length < unix.NLMSG_HDRLEN || length > len(rest) {
			return false, errors.New("the kernel's answer has a broken length")
		}
		h := header{binary.NativeEndian.Uint16(rest[4:]), binary.NativeEndian.Uint16(rest[6:])}
		sequence, body := binary.NativeEndian.Uint32(rest[8:]), rest[unix.NLMSG_HDRLEN:length]
		rest = rest[min(aligned(length), len(rest)):]
		if sequence != c.sequence {
			continue // of a dump that was given up
		}
		switch h.kind {
		case unix.NLMSG_DONE, unix.NLMSG_ERROR:
			if len(body) >= 4 {
				if code := int32(binary.NativeEndian.Uint32(body)); code < 0 {
					return true, syscall.Errno(-code)
				}
			}
			return true, nil
		case unix.NLMSG_NOOP:
		default:
			if err := each(h, body); err != nil {
				return false, err
			}
		}
	}
	return false, nil
}

func (c *Conn) read() (int, error) {
	for {
		// Not unix.Recvfrom, which allocates the sender's address for each read.
		n, err := unix.Read(c.fd, c.buffer)
		switch err {
		case nil:
			return n, nil
		case unix.EINTR:
		case unix.EAGAIN:
			return 0, errors.New("the kernel does not answer")
		default:
			return 0, fmt.Errorf("read the kernel's answer: %w", err)
		}
	}
}

func aligned(n int) int { return (n + 3) &^ 3 }

// Attributes calls each for every attribute in b (rtnetlink(7)); value is a part of b. A broken end of b is ignored.
func Attributes(b []byte, each func(kind uint16, value []byte)) {
	for len(b) >= unix.SizeofRtAttr {
		length := int(binary.NativeEndian.Uint16(b))
		if length < unix.SizeofRtAttr || length > len(b) {
			return
		}
		// The two upper bits say "nested" and "network byte order" (linux/netlink.h).
		each(binary.NativeEndian.Uint16(b[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER), b[unix.SizeofRtAttr:length])
		b = b[min(aligned(length), len(b)):]
	}
}

// AppendAttribute appends an attribute with its padding.
func AppendAttribute(b []byte, kind uint16, value []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(unix.SizeofRtAttr+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, value...)
	return append(b, make([]byte, aligned(len(value))-len(value))...)
}

// Uint32 reads a number of an attribute, 0 if the attribute is too short for one.
func Uint32(value []byte) uint32 {
	if len(value) < 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(value)
}
