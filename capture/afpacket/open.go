package afpacket

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"diagsh/capture"
	"diagsh/capture/process"

	"golang.org/x/sys/unix"
)

// How interfaces join a source, and leave it.

// groups counts the groups of rings in this process, to give each its own number.
var groups atomic.Uint32

// A newcomer is an interface whose rings are being made.
//
// The kernel takes milliseconds to give a socket its ring: it waits for other processors
// (packet_set_ring of net/packet/af_packet.c) and fills the memory with zeros. Making an interface
// promiscuous waits for all other changes to interfaces. So that happens in another goroutine than
// the reader's, because there are rings already that receive packets. The rest costs microseconds
// each.
type newcomer struct {
	index int // of the interface
	rings []*ring
	err   error       // why it does not get them
	ready atomic.Bool // it has them, or err
	gone  bool        // the interface was removed since
}

// newcomer starts with an interface. It makes the sockets here, because a socket belongs to the
// network namespace of the thread that makes it.
func (s *Source) newcomer(tap capture.Tap) *newcomer {
	each := max(s.options.Rings, 1)
	s.shape, _ = shapeOf(s.size, s.number)
	group := uint16(0)
	if each > 1 {
		// The PID makes it differ from the groups of other processes.
		group = uint16(uint32(unix.Getpid())<<6+groups.Add(1))%math.MaxUint16 + 1
	}
	c := &newcomer{index: tap.Interface.Index}
	for range each {
		r, err := s.ring(tap, group)
		if err != nil {
			c.err = err
			break
		}
		c.rings = append(c.rings, r)
	}
	return c
}

// makeReady makes the rings of newcomers in parallel, unless the source is closed meanwhile.
func (s *Source) makeReady(newcomers []*newcomer) {
	var rings []*ring
	var whose []*newcomer
	for _, c := range newcomers {
		for _, r := range c.rings {
			rings, whose = append(rings, r), append(whose, c)
		}
	}
	var mutex sync.Mutex
	abreast(len(rings), func(i int) {
		if s.isClosed() {
			return
		}
		if err := rings[i].makeReady(s.options.Promiscuous, s.only); err != nil {
			mutex.Lock()
			whose[i].err = err
			mutex.Unlock()
		}
	})
	for _, c := range newcomers {
		c.ready.Store(true)
	}
}

func (s *Source) isClosed() bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.closed
}

// Beside implements capture.Follower.
func (s *Source) Beside(work func()) {
	s.beside.Go(func() {
		work()
		s.arrive()
	})
}

// arrive makes Read report that the interfaces must be looked at.
func (s *Source) arrive() {
	s.arrived.Store(true)
	s.interrupt()
}

// Add implements capture.Follower.
func (s *Source) Add(taps []capture.Tap) []error {
	ready := make([]*newcomer, len(taps))
	var fresh, coming []*newcomer
	for i, tap := range taps {
		n := slices.IndexFunc(s.coming, func(c *newcomer) bool { return c.index == tap.Interface.Index && !c.gone })
		switch {
		case n < 0:
			fresh = append(fresh, s.newcomer(tap))
			continue
		case s.coming[n].ready.Load():
			ready[i] = s.coming[n]
		default:
			coming = append(coming, s.coming[n])
		}
		s.coming = slices.Delete(s.coming, n, n+1)
	}
	for _, c := range s.coming { // which are not wanted any more
		if c.ready.Load() {
			s.discard(c.rings)
		} else {
			coming = append(coming, c)
		}
	}
	s.coming = append(coming, fresh...)
	s.prepare(fresh)
	return s.join(taps, ready, false)
}

// prepare makes newcomers ready, as many at a time as is faster.
func (s *Source) prepare(fresh []*newcomer) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.queue = append(s.queue, fresh...)
	if s.preparing || len(s.queue) == 0 {
		return
	}
	s.preparing = true
	s.beside.Go(func() {
		for some := s.dequeue(); len(some) > 0; some = s.dequeue() {
			s.makeReady(some)
			s.arrive()
		}
	})
}

func (s *Source) dequeue() []*newcomer {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	n := min(len(s.queue), abreastMost)
	some := s.queue[:n:n]
	s.queue, s.preparing = s.queue[n:], n > 0
	return some
}

// join binds newcomers, whose packets get the next positions: one for each tap, or nil for one that
// is not ready. For the first taps of a source that follows, it is no error if an interface has
// gone since it was listed.
func (s *Source) join(taps []capture.Tap, ready []*newcomer, first bool) []error {
	failures := make([]error, len(taps))
	var indices []int
	for _, c := range ready {
		if c != nil {
			indices = append(indices, c.index)
		}
	}
	before := s.devices.read(indices)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for i, tap := range taps {
		c := ready[i]
		if c == nil {
			failures[i] = capture.ErrNotReady
			continue
		}
		if failures[i] = c.err; c.err == nil {
			failures[i] = s.bind(tap, c.rings)
		}
		var missing *capture.NoSuchInterfaceError
		if first && s.options.Follow && errors.As(failures[i], &missing) {
			// It keeps its position, because later ones are counted from it, and Read reports that
			// it is gone.
			failures[i] = nil
			s.vanished = append(s.vanished, len(s.places))
			s.places = append(s.places, place{tap: tap, known: true, now: true, over: true})
			s.discard(c.rings)
			continue
		}
		if failures[i] != nil {
			s.discard(c.rings)
			continue
		}
		counted, known := before[tap.Interface.Index]
		s.places = append(s.places, place{tap: tap, before: counted.seenBy(tap), known: known, now: known})
		s.all = append(s.all, c.rings...)
		s.rings = append(s.rings, c.rings...)
		s.links.names[tap.Interface.Index] = tap.Interface.Name
	}
	return failures
}

// discard closes rings, for which the kernel takes its time.
func (s *Source) discard(rings []*ring) {
	if len(rings) > 0 {
		s.beside.Go(func() { abreast(len(rings), func(i int) { rings[i].close() }) })
	}
}

// ring returns a ring for a tap: a spare one of an earlier capture, or a new one.
func (s *Source) ring(tap capture.Tap, group uint16) (*ring, error) {
	if group == 0 { // a ring in a group cannot leave it
		if r, ok := s.options.Spare.take(tap, s.shape); ok {
			return r, nil
		}
	}
	return newRing(tap, s.size, s.number, group)
}

// bind binds the rings of one interface, whose packets get the next position. The interface may
// have been renamed since they were made.
func (s *Source) bind(tap capture.Tap, rings []*ring) error {
	for _, r := range rings {
		r.tap = tap
		r.position, r.label = uint32(len(s.places)), uint32(len(s.places))
		if err := errors.Join(s.waiter.add(r.fd), r.begin()); err != nil {
			return err
		}
	}
	return nil
}

// Rename implements capture.Follower.
func (s *Source) Rename(position int, in capture.Interface) {
	all := s.devices.read([]int{in.Index})
	s.mutex.Lock()
	defer s.mutex.Unlock()
	old := &s.places[position]
	old.leave(all)
	tap := old.tap
	tap.Interface = in
	first, known := all[in.Index]
	for _, r := range s.rings {
		if int(r.position) == position {
			old.past = r.rename(tap, len(s.places), old.past)
		}
	}
	s.places = append(s.places, place{tap: tap, before: first.seenBy(tap), known: known, now: known})
}

// Drop implements capture.Follower.
func (s *Source) Drop(position int) {
	for _, r := range s.rings {
		if int(r.position) == position && attach(r.fd, refuseAll) == nil {
			r.gone, r.drainBy = true, s.now()+drainTime
		}
	}
}

// abreastMost is how many rings are made ready, or closed, at the same time.
const abreastMost = 32

// abreast calls f with 0 to n-1, some at the same time, each on a thread of its own. It returns
// when all calls have returned, which ends the threads.
func abreast(n int, f func(i int)) {
	if n == 1 {
		f(0)
		return
	}
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(n, abreastMost) {
		all.Go(func() {
			runtime.LockOSThread() // for good: a thread that waited in the kernel ends with its goroutine
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	all.Wait()
}

// newRing makes a socket for a tap, which receives no packet yet. group is the number of the group
// of rings that share the packets of the tap; 0: none.
func newRing(tap capture.Tap, blockSize, blocks int, group uint16) (*ring, error) {
	// Protocol 0 receives nothing. bind sets the protocols when all is ready.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	switch {
	case errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES):
		return nil, capture.ErrNotPermitted
	case err != nil:
		return nil, fmt.Errorf("packets cannot be captured on this machine: %w", err)
	}
	return &ring{tap: tap, fd: fd, blockSize: blockSize, blocks: blocks, noted: make([]time.Duration, blocks),
		group: group, renamedAt: notRenamed}, nil
}

// makeReady does the slow part of setting up a ring. only may be nil.
func (r *ring) makeReady(promiscuous bool, only *process.Filter) error {
	// Nothing passes until all is ready. A socket that is not yet in its group would receive the
	// packets for all of it.
	if err := attach(r.fd, refuseAll); err != nil {
		return err
	}
	if only != nil {
		var err error
		if r.program, err = only.Load(program(r.tap), r.tap.Interface); err != nil {
			return err
		}
	}
	prepare := r.setUp
	if r.parked {
		prepare = r.unpark
	}
	if err := prepare(); err != nil {
		return err
	}
	if r.promiscuous = promiscuous && !r.tap.Interface.Loopback; !r.promiscuous {
		return nil
	}
	// The kernel drops the membership when the socket is closed.
	switch err := r.membership(unix.PACKET_ADD_MEMBERSHIP); {
	case errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENXIO):
		return &capture.NoSuchInterfaceError{Name: r.tap.Interface.Name}
	case err != nil:
		return fmt.Errorf("interface %s cannot be made promiscuous: %w", r.tap.Interface.Name, err)
	}
	return nil
}

// setUp gives a socket its ring.
func (r *ring) setUp() error {
	for _, option := range []struct{ name, value int }{
		{unix.PACKET_VERSION, unix.TPACKET_V3},
		{unix.PACKET_RESERVE, tagLength},
	} {
		if err := unix.SetsockoptInt(r.fd, unix.SOL_PACKET, option.name, option.value); err != nil {
			return fmt.Errorf("this kernel has no packet rings of version 3: %w", err)
		}
	}
	err := unix.SetsockoptTpacketReq3(r.fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &unix.TpacketReq3{
		Block_size: uint32(r.blockSize),
		Block_nr:   uint32(r.blocks),
		// Frames have no meaning in version 3, but the kernel checks their arithmetic.
		Frame_size:     uint32(r.blockSize),
		Frame_nr:       uint32(r.blocks),
		Retire_blk_tov: retire,
	})
	if err != nil {
		return fmt.Errorf("there is no memory for a capture buffer of %d bytes: %w", r.blockSize*r.blocks, err)
	}
	r.memory, err = unix.Mmap(r.fd, 0, r.blockSize*r.blocks, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("the capture buffer cannot be mapped: %w", err)
	}
	return nil
}

// begin sets the ring's filter: from its return on, packets are kept.
func (r *ring) begin() error {
	if !r.parked {
		if err := r.bindTo(r.tap.Interface); err != nil {
			return err
		}
	}
	if r.group != 0 {
		if err := r.share(); err != nil {
			return err
		}
	}
	if r.program == nil {
		return attach(r.fd, program(r.tap))
	}
	defer func() { r.program.Close(); r.program = nil }()
	return r.program.Attach(r.fd)
}

// share adds a ring to its group, over which the kernel spreads the packets. Each CPU fills its own
// ring, so that none waits for another's, and the next one when that is full. See packet(7),
// PACKET_FANOUT.
func (r *ring) share() error {
	how := int(r.group) | (unix.PACKET_FANOUT_CPU|unix.PACKET_FANOUT_FLAG_ROLLOVER)<<16
	if err := unix.SetsockoptInt(r.fd, unix.SOL_PACKET, unix.PACKET_FANOUT, how); err != nil {
		return fmt.Errorf("the packets of interface %s cannot be spread over several rings: %w",
			r.tap.Interface.Name, err)
	}
	return nil
}
