// Package netlink reads the kernel's tables: sockets, links, addresses, routes, neighbours. It
// reads a dump message by message into few buffers, so that a table of any length needs no more
// memory. It allocates nothing per message. See netlink(7).
package netlink

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// ErrChanged reports that a table changed while it was read, so that rows may be missing or
// duplicate. Each row is valid by itself.
var ErrChanged = errors.New("the table changed while it was read")

// Number and size of the buffers of a dump, which stay in a processor's cache. The kernel prepares
// the next pieces while the previous ones are parsed. It makes a piece as large as the buffer of
// the last read, up to 32 KiB (netlink_recvmsg in net/netlink/af_netlink.c, Linux 6.18).
const (
	bufferSize = 32 << 10
	buffers    = 16
)

// patience limits the wait for the kernel's answer, which comes at once or never.
const patience = 10 * time.Second

// A Conn is a netlink socket. It is for one goroutine at a time.
type Conn struct {
	fd       int
	sequence uint32
}

// Dial opens a socket of a netlink family, such as unix.NETLINK_ROUTE.
func Dial(family int) (*Conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, family)
	if err != nil {
		return nil, fmt.Errorf("open a netlink socket: %w", err)
	}
	c := &Conn{fd: fd}
	timeout := unix.NsecToTimeval(int64(patience))
	if err := errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, buffers*bufferSize),
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

// Dump requests a table and calls each for every message of the answer. body is valid during the
// call. It stops early if ctx ends or each fails; the Conn cannot be used after that. It returns
// ErrChanged after all rows were read.
func (c *Conn) Dump(ctx context.Context, kind uint16, request []byte, each func(kind uint16, body []byte) error) error {
	return DumpTogether(ctx, []*Conn{c}, kind, [][]byte{request}, each)
}

// DumpTogether is Dump for several requests at once, each on its own Conn, so that the kernel works
// on them on several CPUs. The order of their messages is not defined. One goroutine calls each.
func DumpTogether(ctx context.Context, conns []*Conn, kind uint16, requests [][]byte,
	each func(kind uint16, body []byte) error) error {
	for i, c := range conns {
		if err := c.send(kind, unix.NLM_F_REQUEST|unix.NLM_F_DUMP, requests[i]); err != nil {
			return err
		}
	}
	ctx, stop := context.WithCancel(ctx)
	free, pieces := make(chan []byte, buffers), make(chan piece, buffers)
	for range buffers {
		free <- nil // made on demand: most tables are short
	}
	var reading sync.WaitGroup
	for _, c := range conns {
		reading.Go(func() { c.readPieces(ctx, free, pieces) })
	}
	go func() {
		reading.Wait()
		close(pieces)
	}()
	// The readers must have ended before the caller closes the sockets.
	defer func() {
		stop()
		for range pieces {
		}
	}()
	changed, left := false, len(conns)
	for p := range pieces {
		if p.err != nil {
			return p.err
		}
		done, err := p.conn.messages(p.data, func(h header, body []byte) error {
			changed = changed || h.flags&unix.NLM_F_DUMP_INTR != 0
			return each(h.kind, body)
		})
		if err != nil {
			return err
		}
		if done {
			left--
		}
		switch {
		case left == 0 && changed:
			return ErrChanged
		case left == 0:
			return nil
		}
		free <- p.data[:cap(p.data)]
	}
	return context.Cause(ctx)
}

// A piece is the result of one read.
type piece struct {
	conn *Conn
	data []byte
	err  error
}

// readPieces reads to the end of a dump.
func (c *Conn) readPieces(ctx context.Context, free <-chan []byte, pieces chan<- piece) {
	for {
		var buffer []byte
		select {
		case buffer = <-free:
		case <-ctx.Done():
			return
		}
		if buffer == nil {
			buffer = make([]byte, bufferSize)
		}
		n, err := c.read(buffer)
		last := err != nil
		if !last {
			done, err := c.messages(buffer[:n], func(header, []byte) error { return nil })
			last = done || err != nil // which the receiver finds too
		}
		pieces <- piece{c, buffer[:n], err} // never blocks: there is room for every buffer
		if last || ctx.Err() != nil {
			return
		}
	}
}

// Do sends a request for a change and waits for the kernel's answer.
func (c *Conn) Do(kind, flags uint16, request []byte) error {
	return c.Ask(kind, flags, request, func(uint16, []byte) error { return nil })
}

// Ask sends a request for one thing and calls each for every message of the answer. body is valid
// during the call.
func (c *Conn) Ask(kind, flags uint16, request []byte, each func(kind uint16, body []byte) error) error {
	if err := c.send(kind, unix.NLM_F_REQUEST|unix.NLM_F_ACK|flags, request); err != nil {
		return err
	}
	buffer := make([]byte, bufferSize)
	for {
		n, err := c.read(buffer)
		if err != nil {
			return err
		}
		done, err := c.messages(buffer[:n], func(h header, body []byte) error { return each(h.kind, body) })
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
	if err := unix.Sendto(c.fd, append(message, request...), 0,
		&unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("ask the kernel: %w", err)
	}
	return nil
}

type header struct {
	kind, flags uint16
}

// messages calls each for the messages of a piece. done reports the end of the answer.
func (c *Conn) messages(piece []byte, each func(h header, body []byte) error) (done bool, err error) {
	for rest := piece; len(rest) >= unix.NLMSG_HDRLEN; {
		length := int(binary.NativeEndian.Uint32(rest))
		if length < unix.NLMSG_HDRLEN || length > len(rest) {
			return false, errors.New("the kernel's answer has a broken length")
		}
		h := header{binary.NativeEndian.Uint16(rest[4:]), binary.NativeEndian.Uint16(rest[6:])}
		sequence, body := binary.NativeEndian.Uint32(rest[8:]), rest[unix.NLMSG_HDRLEN:length]
		rest = rest[min(aligned(length), len(rest)):]
		if sequence != c.sequence {
			continue // of a dump that was abandoned
		}
		switch h.kind {
		case unix.NLMSG_DONE, unix.NLMSG_ERROR:
			if len(body) >= 4 {
				if code := int32(binary.NativeEndian.Uint32(body)); code < 0 {
					return true, unix.Errno(-code)
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

func (c *Conn) read(buffer []byte) (int, error) {
	for {
		// unix.Recvfrom would allocate the sender's address at each read.
		n, err := unix.Read(c.fd, buffer)
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

// Attributes calls each for every attribute in b (rtnetlink(7)). value is a part of b. An
// incomplete attribute at the end is ignored.
func Attributes(b []byte, each func(kind uint16, value []byte)) {
	for len(b) >= unix.SizeofRtAttr {
		length := int(binary.NativeEndian.Uint16(b))
		if length < unix.SizeofRtAttr || length > len(b) {
			return
		}
		// The two upper bits mean "nested" and "network byte order" (linux/netlink.h).
		each(binary.NativeEndian.Uint16(b[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER),
			b[unix.SizeofRtAttr:length])
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

// Uint32 reads a number from an attribute. It returns 0 if the attribute is too short.
func Uint32(value []byte) uint32 {
	if len(value) < 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(value)
}
