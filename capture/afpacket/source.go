package afpacket

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"diagsh/capture"

	"golang.org/x/sys/unix"
)

// Options are what the appliance decides about its rings.
type Options struct {
	// RingBytes is the memory for all rings of a capture together: how much traffic
	// the kernel can keep while nobody reads. 0 is DefaultRingBytes. Interfaces share
	// it, but none gets less than 2 MiB.
	RingBytes int

	// Rings is over how many rings the packets of an interface are spread; 0 is 1.
	Rings int

	// Follow makes Read wait for new interfaces when there are no others.
	Follow bool

	// Spare is where rings come from, and go to; nil: each capture makes its own.
	Spare *Spare

	// Promiscuous also shows packets that are addressed to other machines.
	Promiscuous bool
}

// DefaultRingBytes keeps 8 blocks: at least 0.32 s of any traffic that fills less than a
// block in 40 ms, as 100,000 small packets a second do. It is for moments without a reader;
// those without a disk are for the buffers behind it, which get their pages as they are
// needed, while a ring gets all at its start.
const DefaultRingBytes = 32 << 20

const (
	maxBlockSize = 4 << 20   // a wake-up for each block costs more than many packets
	minBlockSize = 256 << 10 // room for any packet of the usual limits: GRO makes them 64 KiB long
	minBlocks    = 8
)

// Open begins to take packets from interfaces of the calling thread's network
// namespace. Its error is capture.ErrNotPermitted, a *capture.NoSuchInterfaceError, or
// a sentence for the user. A source that follows the machine's interfaces does without those
// that went since they were listed, if there are others; Read says that they are gone.
func (o Options) Open(taps []capture.Tap) (capture.Source, error) {
	s := &Source{options: o, begin: time.Now(), wake: -1}
	if err := s.open(taps); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (o Options) blocks(taps int) (size, number int) {
	bytes := o.RingBytes
	if bytes == 0 {
		bytes = DefaultRingBytes
	}
	bytes = max(bytes/max(taps, 1)/max(o.Rings, 1), minBlockSize*minBlocks)
	size = maxBlockSize
	for bytes/size < minBlocks {
		size /= 2
	}
	return size, bytes / size
}

// Source reads the rings of a capture: it is a capture.Source.
type Source struct {
	options      Options
	begin        time.Time // where its clock starts
	size, number int       // of the blocks of each ring
	shape        shape

	rings []*ring // those that may still give packets
	all   []*ring
	wake  int // eventfd
	links *links

	polls  []unix.PollFd // what to wait for
	waiter *waiter

	finished bool
	changed  bool // there may be new interfaces, or new names

	vanished []int // positions of those that were listed and gone before they could; Read is yet to say so

	coming  []*newcomer    // whose rings are being made, or wait for the next Add
	beside  sync.WaitGroup // what is done beside the reader
	arrived atomic.Bool    // some of that is done
	woken   atomic.Bool    // by somebody else

	asking sync.Mutex // guards asked; taken before mutex
	asked  *devices   // for Counters: the kernel takes its time for many interfaces

	devices *devices // of the goroutine that reads, which would else wait for who asks

	mutex     sync.Mutex  // guards what follows, the counters, and descriptors against Close
	places    []place     // by position
	queue     []*newcomer // whose rings are to be made
	preparing bool        // somebody makes them
	closed    bool
}

func (s *Source) open(taps []capture.Tap) error {
	var err error
	if s.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return fmt.Errorf("the capture cannot be started: %w", err)
	}
	if s.links, err = openLinks(); err != nil {
		return err
	}
	s.devices, s.asked = openDevices(), openDevices()
	s.polls = make([]unix.PollFd, 2, 2+len(taps))
	if s.waiter, err = newWaiter(s.ready); err == nil {
		err = errors.Join(s.waiter.add(s.wake), s.waiter.add(s.links.fd))
	}
	if err != nil {
		return err
	}
	s.size, s.number = s.options.blocks(len(taps))
	all := make([]*newcomer, len(taps))
	for i, tap := range taps {
		all[i] = s.newcomer(tap)
	}
	s.makeReady(all)
	for _, err := range s.join(taps, all, true) {
		if err != nil {
			return err
		}
	}
	if len(s.rings) == 0 {
		return &capture.NoSuchInterfaceError{Name: taps[0].Interface.Name}
	}
	s.examine()                  // an interface may have gone since it was listed
	s.changed = s.options.Follow // or have come
	return nil
}

// now is a clock that nobody can set.
func (s *Source) now() time.Duration { return time.Since(s.begin) }

// Read implements capture.Source.
func (s *Source) Read(batch []capture.Packet, until time.Time) (int, error) {
	for {
		for _, r := range s.rings {
			r.release()
		}
		if n := s.fill(batch); n > 0 {
			return n, nil
		}
		if err := s.end(); err != nil {
			return 0, err
		}
		if again, err := s.wait(until); !again {
			return 0, err
		}
	}
}

// fill takes the packets that are there.
func (s *Source) fill(batch []capture.Packet) int {
	if len(s.rings) == 1 {
		r, n, now := s.rings[0], 0, s.now()
		for n < len(batch) && r.ready(now) {
			r.take(&batch[n])
			n++
		}
		return n
	}
	return s.merge(batch)
}

// window is how long a block waits for blocks of other rings with earlier packets.
// A packet is in a block that is handed over within two periods of the kernel's
// timer; the rest is for timers that run late.
const window = (2*retire + 20) * time.Millisecond

// merge takes the packets that are there in the order of time. The oldest one may go
// when the block of any packet as old or younger has waited for the window: nothing
// older can come then. It may also go when a ring fills.
func (s *Source) merge(batch []capture.Packet) int {
	now := s.now()
	n := 0
	for n < len(batch) {
		var oldest *ring
		oldestTime, nextTime := int64(math.MaxInt64), int64(math.MaxInt64)
		settled := false
		for _, r := range s.rings {
			if !r.ready(now) {
				continue
			}
			settled = settled || now-r.seen >= window || r.pressed()
			switch t := r.time(); {
			case oldest == nil || t < oldestTime:
				oldest, oldestTime, nextTime = r, t, oldestTime
			case t < nextTime:
				nextTime = t
			}
		}
		if oldest == nil || !settled {
			break
		}
		// Its other packets follow, up to the next ring's, or to the end of its block.
		for n < len(batch) && oldest.left > 0 && oldest.time() <= nextTime {
			oldest.take(&batch[n])
			n++
		}
	}
	return n
}

// end finds, when nothing is there to take, whether that remains so.
func (s *Source) end() error {
	if len(s.vanished) > 0 {
		position := s.vanished[0]
		s.vanished = s.vanished[1:]
		return &capture.InterfaceGoneError{Name: s.places[position].tap.Interface.Name, Position: position, Left: len(s.rings)}
	}
	allDrained := true
	for i := 0; i < len(s.rings); i++ {
		r := s.rings[i]
		drained := (r.gone || s.finished) && s.drained(r)
		if r.gone && drained {
			s.rings = slices.Concat(s.rings[:i], s.rings[i+1:])
			s.free(r)
			if !slices.ContainsFunc(s.rings, func(other *ring) bool { return other.position == r.position }) {
				return &capture.InterfaceGoneError{Name: r.tap.Interface.Name, Position: int(r.position), Left: len(s.rings)}
			}
			i-- // the last of an interface's rings tells
			continue
		}
		allDrained = allDrained && drained
	}
	switch {
	case s.finished:
	case s.changed:
		s.changed = false
		return capture.ErrInterfacesChanged
	case s.arrived.Load():
		s.arrived.Store(false)
		return capture.ErrInterfacesChanged
	}
	if allDrained && (s.finished || !s.options.Follow) {
		return io.EOF
	}
	return nil
}

// free gives back the memory of a ring that gets no more packets. Its counters stay.
func (s *Source) free(r *ring) {
	p := &s.places[r.position]
	all := s.devices.read([]int{p.tap.Interface.Index})
	s.mutex.Lock()
	defer s.mutex.Unlock()
	r.count()
	p.leave(all)
	// The kernel takes its time for it, and other rings have packets to read meanwhile.
	s.beside.Go(r.detach().close)
}

// drained tells whether a ring that gets no more packets has been read to its end.
// The kernel's count says so at once; the time is there in case that it never does, and
// has no say while there are packets that only wait for their turn.
func (s *Source) drained(r *ring) bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	r.count()
	return r.received == r.taken || !r.open && s.now() >= r.drainBy
}

// drainTime is far more than the kernel takes to hand over the last block.
const drainTime = time.Second

// wait blocks until something may have changed; again says that Read should look.
func (s *Source) wait(until time.Time) (again bool, err error) {
	now := s.now()
	const never = time.Duration(math.MaxInt64)
	deadline := never
	if !until.IsZero() {
		deadline = until.Sub(s.begin)
	}
	userDeadline := deadline

	s.polls = s.polls[:2]
	s.polls[0] = unix.PollFd{Fd: int32(s.wake), Events: unix.POLLIN}
	s.polls[1] = unix.PollFd{Fd: int32(s.links.fd), Events: unix.POLLIN}
	for _, r := range s.rings {
		poll := unix.PollFd{Fd: int32(r.fd), Events: unix.POLLIN}
		if r.open {
			// It has packets that wait for the window, and would not let us wait.
			poll.Fd = -1
			deadline = min(deadline, r.seen+window)
		}
		if (r.gone || s.finished) && !r.open {
			deadline = min(deadline, r.drainBy)
		}
		s.polls = append(s.polls, poll)
	}

	switch {
	case deadline == never:
		err = s.waiter.wait(time.Time{})
	case deadline > now:
		err = s.waiter.wait(s.begin.Add(deadline))
	default:
		s.ready()
	}
	if err != nil {
		return false, fmt.Errorf("the wait for packets failed: %w", err)
	}

	if s.polls[1].Revents != 0 {
		s.changed = s.hear() || s.changed
		s.examine()
	}
	for _, poll := range s.polls[2:] {
		if poll.Revents&(unix.POLLERR|unix.POLLHUP|unix.POLLNVAL) != 0 {
			s.examine()
			break
		}
	}
	if s.polls[0].Revents != 0 {
		var count [8]byte
		unix.Read(s.wake, count[:])
		if s.woken.Swap(false) {
			return false, nil
		}
	}
	return s.now() < userDeadline, nil
}

// ready asks the kernel which of the descriptors have something, and tells whether any has, or
// whether a ring fills whose packets wait for the window: the kernel tells of each of its
// blocks. It does not block, so the runtime, whose monitor looks after those who may, is not
// told.
func (s *Source) ready() bool {
	var now unix.Timespec
	n, _, _ := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&s.polls[0])), uintptr(len(s.polls)), uintptr(unsafe.Pointer(&now)), 0, 0, 0)
	fills := false
	for _, r := range s.rings {
		if r.open {
			r.note(s.now())
			fills = fills || r.pressed()
		}
	}
	return n != 0 || fills
}

// hear takes the news of interfaces, and tells whether there may be new ones or new names.
// examine finds out which were removed, also when some of the news were lost.
func (s *Source) hear() (changed bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.links.hear(func(index int, last device) {
		for i := range s.places {
			if s.places[i].tap.Interface.Index == index {
				s.places[i].end(last)
			}
		}
		for _, c := range s.coming {
			c.gone = c.gone || c.index == index // another one may get its index
		}
	})
}

// examine finds the rings whose interface was removed. Their last packets can still
// be taken.
func (s *Source) examine() {
	for _, r := range s.rings {
		if !r.gone && r.removed() {
			r.gone = true
			r.drainBy = s.now() + drainTime
		}
	}
}

// Finish implements capture.Source.
func (s *Source) Finish() error {
	s.finished = true
	for _, r := range s.rings {
		r.drainBy = s.now() + drainTime
		if err := attach(r.fd, refuseAll); err != nil {
			return err
		}
	}
	return nil
}

// Wake implements capture.Source.
func (s *Source) Wake() {
	s.woken.Store(true)
	s.interrupt()
}

// interrupt ends a wait of Read, or else the next one.
func (s *Source) interrupt() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if !s.closed {
		unix.Write(s.wake, binary.NativeEndian.AppendUint64(nil, 1))
	}
}

// Counters implements capture.Source.
func (s *Source) Counters() []capture.Counters {
	s.asking.Lock()
	defer s.asking.Unlock()
	s.look()
	s.mutex.Lock()
	defer s.mutex.Unlock()
	counters := make([]capture.Counters, len(s.places))
	for i := range s.places {
		counters[i] = s.places[i].counters()
	}
	for _, r := range s.all {
		if !s.closed {
			r.count()
		}
		counters[r.position].Received += r.counters.Received
		counters[r.position].Dropped += r.counters.Dropped
	}
	return counters
}

// look looks at the counters of the interfaces. Called with asking held, and without mutex.
func (s *Source) look() {
	s.mutex.Lock()
	if s.closed {
		s.mutex.Unlock()
		return
	}
	var indices []int
	those := len(s.places)
	for i := range s.places {
		if !s.places[i].over {
			indices = append(indices, s.places[i].tap.Interface.Index)
		}
	}
	s.mutex.Unlock()
	all := s.asked.read(indices)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for i := range those { // one that has come since began with later counters
		s.places[i].look(all)
	}
}

// Close implements capture.Source.
func (s *Source) Close() error {
	s.asking.Lock()
	s.look()
	s.mutex.Lock()
	defer s.mutex.Unlock()
	before := s.closed
	s.closed = true
	s.asking.Unlock()
	if before {
		return nil
	}
	var rings []*ring
	for _, r := range s.all {
		r.count()
		rings = append(rings, r.detach())
	}
	s.mutex.Unlock()
	s.options.Spare.give(s.shape, rings)
	s.beside.Wait()
	var unused []*ring
	for _, c := range s.coming {
		unused = append(unused, c.rings...)
	}
	s.coming = nil
	s.options.Spare.give(s.shape, unused)
	s.lastNews()
	s.mutex.Lock()
	s.devices.close()
	s.asked.close()
	s.links.close()
	s.waiter.close()
	if s.wake >= 0 {
		unix.Close(s.wake)
	}
	return nil
}

// lastNewsTime bounds the wait for what the kernel says of an interface that went, a moment
// after it has told its sockets.
const lastNewsTime = 200 * time.Millisecond

// lastNews waits for what removed interfaces had counted.
func (s *Source) lastNews() {
	if s.links == nil {
		return // it did not come that far
	}
	for end := time.Now().Add(lastNewsTime); ; {
		s.hear()
		left := time.Until(end)
		if left <= 0 || !slices.ContainsFunc(s.places, func(p place) bool { return p.awaits() }) {
			return
		}
		unix.Poll([]unix.PollFd{{Fd: int32(s.links.fd), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
	}
}
