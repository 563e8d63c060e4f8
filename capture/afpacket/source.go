package afpacket

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"diagsh/capture"
	"diagsh/capture/process"

	"golang.org/x/sys/unix"
)

// Options are the appliance's decisions about its rings.
type Options struct {
	// RingBytes is the memory for all rings of a capture together: how much traffic the kernel can
	// keep while no reader runs. 0 is DefaultRingBytes. Interfaces share it, but none gets less
	// than 2 MiB.
	RingBytes int

	// Blocks is into how many blocks at least the memory of a ring is divided, as far as each has room
	// for a packet; 0 is 8. The kernel hands over a block every 40 ms, also if it has one packet: a reader
	// who lets packets wait needs more blocks, of the same memory.
	Blocks int

	// Rings is how many rings share the packets of an interface; 0 is 1.
	Rings int

	// Follow makes Read wait for new interfaces when there are no others.
	Follow bool

	// Spare is where rings come from and go to. If nil, each capture makes its own.
	Spare *Spare

	// Promiscuous captures packets that are addressed to other machines too.
	Promiscuous bool

	// Process is the number or the name of a process, if only its packets are captured.
	Process string
}

// DefaultRingBytes keeps 8 blocks: at least 0.32 s of any traffic that fills less than a block in
// 40 ms, as 100,000 small packets a second do. It bridges moments without a reader. A slow disk is
// bridged by the buffers after the ring, which get their pages when needed, while a ring gets all
// its pages at its start.
const DefaultRingBytes = 32 << 20

const (
	maxBlockSize = 4 << 20   // a wake-up for each block costs more than many packets
	minBlockSize = 256 << 10 // room for any packet of the usual limits: GRO makes them 64 KiB long
	minBlocks    = 8
)

// Open starts to capture from interfaces of the calling thread's network namespace. Its error is
// capture.ErrNotPermitted, a *capture.NoSuchInterfaceError, what process.Open returns, or a sentence
// for the user. A source
// that follows the machine's interfaces accepts that some have gone since they were listed, if
// others exist; Read reports those as gone.
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
	for size > minBlockSize && bytes/size < max(o.Blocks, minBlocks) {
		size /= 2
	}
	return size, bytes / size
}

// Source reads the rings of a capture. It is a capture.Source.
type Source struct {
	options      Options
	begin        time.Time // where its clock starts
	size, number int       // of the blocks of each ring
	shape        shape

	rings []*ring // those that may still have packets
	all   []*ring
	wake  int // eventfd
	links *links
	only  *process.Filter // of Options.Process

	followed capture.Followed // when it was closed

	polls  []unix.PollFd // what to wait for
	waiter *waiter

	finished bool
	changed  bool // there may be new interfaces, or new names

	vanished []int // positions of interfaces that had gone before they were bound; Read has to report them

	coming  []*newcomer    // whose rings are being made, or wait for the next Add
	beside  sync.WaitGroup // work in other goroutines
	arrived atomic.Bool    // some of that work is done
	woken   atomic.Bool    // by Wake

	asking sync.Mutex // guards asked; locked before mutex
	asked  *devices   // for Counters: the kernel takes its time for many interfaces

	devices *devices // for the goroutine that reads, which would otherwise wait for Counters

	mutex     sync.Mutex  // guards what follows, the counters, and descriptors against Close
	places    []place     // by position
	queue     []*newcomer // whose rings are to be made
	preparing bool        // a goroutine makes them
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
	if s.options.Process != "" {
		if s.only, err = process.Open(s.options.Process); err != nil {
			return err
		}
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

// now returns the time of a monotonic clock.
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

// window is how long a block waits for blocks of other rings with earlier packets. A packet's block
// is handed over within two periods of the kernel's timer; the rest is for timers that run late.
const window = (2*retire + 20) * time.Millisecond

// merge takes the packets that are there in the order of time. The oldest may go once the blocks of
// all packets as old or younger have waited for the window: nothing older can come after that. It
// may also go when a ring fills.
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

// end returns, when there is no packet, whether it stays so.
func (s *Source) end() error {
	if len(s.vanished) > 0 {
		position := s.vanished[0]
		s.vanished = s.vanished[1:]
		return &capture.InterfaceGoneError{Name: s.places[position].tap.Interface.Name, Position: position,
			Left: len(s.rings)}
	}
	allDrained := true
	for i := 0; i < len(s.rings); i++ {
		r := s.rings[i]
		drained := (r.gone || s.finished) && s.drained(r)
		if r.gone && drained {
			s.rings = slices.Concat(s.rings[:i], s.rings[i+1:])
			s.free(r)
			if !slices.ContainsFunc(s.rings, func(other *ring) bool { return other.position == r.position }) {
				return &capture.InterfaceGoneError{Name: r.tap.Interface.Name, Position: int(r.position),
					Left: len(s.rings)}
			}
			i-- // the last of an interface's rings reports it
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

// free frees the memory of a ring that gets no more packets. Its counters stay.
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

// drained reports whether a ring that gets no more packets was read to its end. The kernel's count
// tells at once. drainBy is for the case that the count never matches; it is ignored while packets
// only wait for their turn.
func (s *Source) drained(r *ring) bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	r.count()
	return r.received == r.taken || !r.open && s.now() >= r.drainBy
}

// drainTime is far more than the kernel takes to hand over the last block.
const drainTime = time.Second

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

// Processes implements capture.Following.
func (s *Source) Processes() (n capture.Followed, ok bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.only == nil || s.closed {
		return s.followed, false
	}
	return s.only.Followed(), true
}

// Counters implements capture.Source.
func (s *Source) Counters() []capture.Counters {
	s.asking.Lock()
	defer s.asking.Unlock()
	counters := s.countRings()
	s.look()
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for i := range counters {
		its := s.places[i].counters()
		counters[i].Seen, counters[i].SeenKnown = its.Seen, its.SeenKnown
	}
	return counters
}

// countRings returns what the rings of each place have counted. It comes before look, so that no
// ring has a packet that its interface has not counted.
func (s *Source) countRings() []capture.Counters {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	counters := make([]capture.Counters, len(s.places))
	for i := range s.places {
		counters[i] = s.places[i].past
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

// look updates the counters of the interfaces. The caller holds asking, and not mutex.
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
	s.countRings()
	s.look()
	s.mutex.Lock()
	defer s.mutex.Unlock()
	before := s.closed
	s.closed = true
	s.asking.Unlock()
	if before {
		return nil
	}
	if s.only != nil {
		s.followed.NoRoom = s.only.Followed().NoRoom
	}
	var rings []*ring
	for _, r := range s.all {
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
	if s.only != nil {
		s.only.Close()
	}
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

// lastNewsTime limits the wait for the last counters of a removed interface. The kernel sends them
// a moment after it told the sockets.
const lastNewsTime = 200 * time.Millisecond

// lastNews waits for the last counters of removed interfaces.
func (s *Source) lastNews() {
	if s.links == nil {
		return // Open did not come that far
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
