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

// Spare keeps rings of captures that have ended for captures that begin soon after. A ring
// cannot be taken from its socket, so sockets are kept with them: bound to a protocol that
// no packet is of, with a filter that refuses all.
type Spare struct{ store *spare.Store[shape, *ring] }

// NewSpare makes one that keeps the rings of one capture, each for so long.
func NewSpare(keep time.Duration) *Spare {
	return &Spare{spare.New[shape](DefaultRingBytes, keep, func(r *ring) {
		go func() { // the kernel takes its time
			runtime.LockOSThread() // for good: the thread ends with the goroutine
			r.close()
		}()
	})}
}

// Bytes is how much is kept.
func (s *Spare) Bytes() int64 {
	if s == nil {
		return 0
	}
	return s.store.Bytes()
}

// Clear gives back what is kept.
func (s *Spare) Clear() { s.store.Clear() }

// A shape is what two rings have in common of which one can serve as the other.
type shape struct {
	device, inode uint64 // of the network namespace (namespaces(7))
	size, number  int    // of blocks
}

// shapeOf is the shape of rings that the calling thread makes. False: it cannot be told.
func shapeOf(size, number int) (shape, bool) {
	var s unix.Stat_t
	if unix.Stat("/proc/thread-self/ns/net", &s) != nil {
		return shape{}, false
	}
	return shape{uint64(s.Dev), s.Ino, size, number}, true
}

// take takes a ring for a tap. False: there is none.
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
	// parked is a protocol that is reserved (RFC 1701), so that no interface has packets of it; whoever
	// sends some all the same meets the filter.
	parked = 0xffff

	// parkTime is far more than the kernel takes to hand over the last block.
	parkTime = 4 * retire * time.Millisecond
)

// park makes a ring as it was before its first packet, on no interface. False: it cannot be
// used again.
func (r *ring) park() bool {
	if attach(r.fd, refuseAll) != nil {
		return false
	}
	if r.promiscuous {
		r.membership(unix.PACKET_DROP_MEMBERSHIP) // it is gone already where the interface is
	}
	// When bind returns no processor is about to put a packet in any more
	// (packet_do_bind of net/packet/af_packet.c waits for that).
	if unix.Bind(r.fd, &unix.SockaddrLinklayer{Protocol: networkOrder(parked)}) != nil {
		return false
	}
	for end := time.Now().Add(parkTime); !r.skip(); time.Sleep(retire / 4 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	*r = ring{fd: r.fd, memory: r.memory, blockSize: r.blockSize, blocks: r.blocks, noted: r.noted, current: r.current, renamedAt: notRenamed, parked: true}
	return true
}

// skip passes over all packets that are there, and tells whether those are all that the
// kernel has: then the block that it is at is empty.
func (r *ring) skip() bool {
	for ok := true; ok; ok = r.ready(0) {
		r.taken += uint64(r.left)
		r.left = 0
	}
	r.release()
	r.count()
	return r.taken == r.received
}

// unpark has a ring that was kept be one for its tap.
func (r *ring) unpark() error {
	r.removed() // takes the error that the kernel noted when an interface went
	r.count()
	r.counters, r.received = capture.Counters{}, 0
	return r.bindTo(r.tap.Interface)
}

// membership has the kernel make the interface promiscuous, or undo that.
func (r *ring) membership(what int) error {
	return unix.SetsockoptPacketMreq(r.fd, unix.SOL_PACKET, what, &unix.PacketMreq{
		Ifindex: int32(r.tap.Interface.Index),
		Type:    unix.PACKET_MR_PROMISC,
	})
}

// bindTo has the packets of an interface come to a ring's filter.
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
