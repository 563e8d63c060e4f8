package afpacket

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"diagsh/capture"
	"diagsh/capture/spare"

	"golang.org/x/sys/unix"
)

// Spare keeps rings of ended captures for captures that start soon after. A ring cannot be removed
// from its socket, so their sockets are kept too: bound to a protocol without packets, with a
// filter that rejects all.
type Spare struct{ store *spare.Store[shape, *ring] }

// NewSpare returns a Spare that keeps the rings of one capture, each for the given time.
func NewSpare(keep time.Duration) *Spare {
	return &Spare{spare.New[shape](DefaultRingBytes, keep, func(r *ring) {
		go func() { // the kernel takes its time
			runtime.LockOSThread() // for good: the thread ends with the goroutine
			r.close()
		}()
	})}
}

// Bytes returns how much is kept.
func (s *Spare) Bytes() int64 {
	if s == nil {
		return 0
	}
	return s.store.Bytes()
}

// Clear frees what is kept.
func (s *Spare) Clear() { s.store.Clear() }

// A shape is what two rings must have in common so that one can replace the other.
type shape struct {
	device, inode uint64 // of the network namespace (namespaces(7))
	size, number  int    // of blocks
}

// shapeOf returns the shape of rings that the calling thread makes. It reports false if that is
// unknown.
func shapeOf(size, number int) (shape, bool) {
	var s unix.Stat_t
	if unix.Stat("/proc/thread-self/ns/net", &s) != nil {
		return shape{}, false
	}
	return shape{uint64(s.Dev), s.Ino, size, number}, true
}

// take returns a ring for a tap. It reports false if there is none.
func (s *Spare) take(tap capture.Tap, kind shape) (*ring, bool) {
	if s == nil {
		return nil, false
	}
	r, ok := s.store.Take(kind)
	if ok {
		r.tap = tap
	}
	return r, ok
}

// give keeps as many of the rings of a capture as there is room for, and closes the others.
func (s *Spare) give(kind shape, rings []*ring) {
	room := 0
	if s != nil && kind != (shape{}) {
		room = DefaultRingBytes / (kind.size * kind.number)
	}
	abreast(len(rings), func(i int) {
		r := rings[i]
		if i >= room || r.group != 0 || r.fd < 0 || r.memory == nil || !r.park() {
			r.close()
			return
		}
		s.store.Give(kind, int64(len(r.memory)), r)
	})
}

const (
	// parked is a reserved protocol (RFC 1701), so that no interface has packets of it. A sender
	// that uses it all the same meets the filter.
	parked = 0xffff

	// parkTime is far more than the kernel takes to hand over the last block.
	parkTime = 4 * retire * time.Millisecond
)

// park resets a ring to its state before the first packet, on no interface. It reports false if the
// ring cannot be reused.
func (r *ring) park() bool {
	if attach(r.fd, refuseAll) != nil {
		return false
	}
	if r.promiscuous {
		r.membership(unix.PACKET_DROP_MEMBERSHIP) // it is gone already if the interface is
	}
	// When bind returns, no processor is about to add a packet any more (packet_do_bind of
	// net/packet/af_packet.c waits for that).
	if unix.Bind(r.fd, &unix.SockaddrLinklayer{Protocol: networkOrder(parked)}) != nil {
		return false
	}
	for end := time.Now().Add(parkTime); !r.skip(); time.Sleep(retire / 4 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	*r = ring{fd: r.fd, memory: r.memory, blockSize: r.blockSize, blocks: r.blocks, noted: r.noted, current: r.current,
		renamedAt: notRenamed, parked: true}
	return true
}

// skip skips all packets that are there. It reports whether those are all that the kernel has: then
// the current block is empty.
func (r *ring) skip() bool {
	for ok := true; ok; ok = r.ready(0) {
		r.taken += uint64(r.left)
		r.left = 0
	}
	r.release()
	r.count()
	return r.taken == r.received
}

// unpark makes a kept ring one for its tap.
func (r *ring) unpark() error {
	r.removed() // clears the error that the kernel noted when an interface went
	r.count()
	r.counters, r.received = capture.Counters{}, 0
	return r.bindTo(r.tap.Interface)
}

// membership makes the interface promiscuous, or undoes that.
func (r *ring) membership(what int) error {
	return unix.SetsockoptPacketMreq(r.fd, unix.SOL_PACKET, what, &unix.PacketMreq{
		Ifindex: int32(r.tap.Interface.Index),
		Type:    unix.PACKET_MR_PROMISC,
	})
}

// bindTo makes the packets of an interface reach the ring's filter.
func (r *ring) bindTo(in capture.Interface) error {
	err := unix.Bind(r.fd, &unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_ALL), Ifindex: in.Index})
	switch {
	case errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENXIO):
		return &capture.NoSuchInterfaceError{Name: in.Name}
	case err != nil:
		return fmt.Errorf("interface %s cannot be captured: %w", in.Name, err)
	}
	return nil
}
