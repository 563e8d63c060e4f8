package ports

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"diagsh/diag/ports/procs"
	"diagsh/diag/ports/recent"
	"diagsh/internal/bpf"
)

const (
	// nap is how long events gather before they are read: each reading costs wake-ups, however many
	// they are. Where few come it is longNap; but not after the start of a process, whose file must
	// be read before it ends.
	nap     = 25 * time.Millisecond
	longNap = 50 * time.Millisecond
	few     = 16 // events in a reading

	// second is how often the engine looks whether events were lost, the clock was stepped, and
	// processes ended.
	second = time.Second

	// compareEvery is how often it compares its sockets with what is open, where it does not see ends.
	compareEvery = 30 * time.Second

	// portion is how many events are read before they are told.
	portion = 4096
)

// sizes are how much the feed of eBPF may hold.
type sizes struct {
	ring uint32 // bytes of the ring buffer, a power of two
}

var defaults = sizes{ring: 4 << 20}

// A kernel is the feed of eBPF: programs follow all sockets of the machine and write what happens
// into a ring buffer.
type kernel struct {
	set    *bpf.Set
	ring   *bpf.Ring
	cgroup string
	netns  uint64 // of the appliance
	tell   func([]Record, []Flow)
	quit   chan struct{} // closed by close
	done   chan struct{} // closed when the reader has ended

	mu             sync.Mutex // over what follows
	table          *table
	current        Status
	lost, attempts uint64    // as the programs count them: events, and attempts from outside
	compared       time.Time // when its sockets were compared with what is open
	full           time.Time // when the table last had no room for what happened

	waiting   []chan struct{} // those that flush; under waitingMu
	waitingMu sync.Mutex
}

// newKernel loads the programs. They are attached when it returns.
func newKernel(o Options, s sizes) (feed, error) {
	types, err := bpf.Describe()
	if err != nil {
		return nil, err
	}
	root, _ := bpf.CgroupRoot() // without one, what its hooks see is missing: Refused says so
	options := bpf.Options{Cgroup: root, Entries: map[string]uint32{"events": s.ring},
		Constants: map[string]any{"pidns": procs.PIDNamespace()}}
	switch {
	case o.Uncounted:
		options.Skipped = []string{"send", "receive"}
		options.Constants["uncounted"] = uint32(1)
	case types.Arguments("sock_send_length") == 0:
		options.Constants["uncounted"] = uint32(1)
	default:
		options.Skipped = []string{"reads"} // what it would say is known better
	}
	if o.Tier == WithoutAccept {
		options.Skipped = append(options.Skipped, "accept", "accept4")
	}
	// With the reason of a reset, Linux 6.10 began to tell of those that are no socket's.
	var untold []string
	if types.Arguments("tcp_send_reset") < 3 {
		untold = []string{"reset"}
		options.Skipped = append(options.Skipped, untold...)
	}
	set, err := bpf.Load(bpf.Ports, options)
	if err != nil {
		return nil, err
	}
	k := &kernel{set: set, cgroup: root, quit: make(chan struct{}), done: make(chan struct{})}
	if k.netns, err = procs.NetNS(); err == nil {
		err = k.usable()
	}
	if err != nil {
		set.Close()
		return nil, err
	}
	k.current = Status{Tier: WithoutAccept, Since: time.Now(), Cgroup: root}
	if set.Has("accept") && set.Has("accept4") {
		k.current.Tier = Full
		set.Remove("getpeername4") // what it would say is known better
		set.Remove("getpeername6")
	}
	k.table = newTable(newPeople(root))
	k.table.uncounted = !set.Has("send") || !set.Has("receive")
	k.current.Blind = k.blind(o, untold)
	if k.ring, err = set.Ring("events"); err != nil {
		k.table.people.close()
		set.Close()
		return nil, err
	}
	return k, nil
}

// start tells what is open, and reads from then on. The programs run already, so nothing is missed
// between the two.
func (k *kernel) start(tell func([]Record, []Flow)) error {
	k.tell = tell
	k.mu.Lock()
	k.iterate(bpf.Monotonic(), true)
	tell(k.table.take())
	k.mu.Unlock()
	go k.read()
	go k.tick()
	return nil
}

func (k *kernel) follow(flows bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.table.following = flows
}

// tick wakes the reader each second.
func (k *kernel) tick() {
	ticker := time.NewTicker(second)
	defer ticker.Stop()
	for {
		select {
		case <-k.quit:
			return
		case <-ticker.C:
			k.ring.Flush()
		}
	}
}

// urgent is the nice value of the thread that reads the ring buffer. With it the thread runs before
// the buffer is full, whatever else the machine does; it does not take more processor time for that.
const urgent = -10

// read reads the ring buffer until close. Its thread is its own, and ends with it. Where the kernel
// refuses the priority (setpriority(2)) it goes without, and what is lost is told as a Gap.
func (k *kernel) read() {
	defer close(k.done)
	runtime.LockOSThread()
	unix.Setpriority(unix.PRIO_PROCESS, 0, urgent)
	last, read := time.Now(), uint64(0)
	for {
		sample, err := k.ring.Read()
		if errors.Is(err, bpf.ErrClosed) {
			return
		}
		if err != nil {
			sample = nil
		}
		if !errors.Is(err, bpf.ErrFlushed) {
			rest := unix.NsecToTimespec(int64(napAfter(sample, read)))
			unix.Nanosleep(&rest, nil) // the thread is this goroutine's: time.Sleep would wake another one
		}
		k.waitingMu.Lock()
		waiting := k.waiting
		k.waiting = nil
		k.waitingMu.Unlock()
		k.mu.Lock()
		before := k.current.Events
		k.handle(sample)
		k.drain()
		read = k.current.Events - before
		if now := time.Now(); now.Sub(last) >= second {
			last = now
			k.second(now)
		}
		k.mu.Unlock()
		for _, w := range waiting {
			close(w)
		}
	}
}

// napAfter returns how long more events gather after the first, when the reading before had so many.
func napAfter(sample []byte, before uint64) time.Duration {
	if before >= few || len(sample) > 0 && (sample[0] == kindFork || sample[0] == kindExec) {
		return nap
	}
	return longNap
}

// drain handles what is in the ring, and tells it. The lock is held.
func (k *kernel) drain() {
	for n := 1; ; n++ {
		sample, err := k.ring.Next()
		if err != nil || sample == nil {
			break
		}
		k.handle(sample)
		if n%portion == 0 {
			k.tell(k.table.take())
		}
	}
	k.table.settle(bpf.Monotonic())
	k.tell(k.table.take())
}

// handle takes in what a program wrote. The lock is held.
func (k *kernel) handle(sample []byte) {
	if len(sample) == 0 {
		return
	}
	k.current.Events++
	if kind := sample[0]; kind >= kindFork {
		var c change
		if decodeChange(sample, &c) == nil {
			k.table.change(&c)
		}
		return
	}
	var e event
	if decodeEvent(sample, &e) == nil {
		k.table.event(&e)
	}
}

// second does what is due each second. The lock is held.
func (k *kernel) second(now time.Time) {
	k.table.clock.Set()
	k.table.people.expire(now)
	k.unheard()
	k.untold()
	if now.Sub(k.compared) >= compareEvery && !k.set.Has("release") {
		k.compare("its end is not seen here")
	}
	lost, err := k.set.Sum("lost", 0)
	if err != nil || lost == k.lost {
		return
	}
	k.table.records = append(k.table.records, gap(lost-k.lost))
	k.current.Lost += lost - k.lost
	k.current.Gaps++
	k.lost = lost
	k.table.ended = recent.New[ended]() // others may have had the same ends since
	k.compare("closed while events were lost")
}

// compare ends the sockets that are not open any more; why says why that was not told. The lock is held.
func (k *kernel) compare(why string) {
	began := bpf.Monotonic()
	if found := k.iterate(began, false); found != nil {
		k.drain() // what was closed meanwhile is told as such
		k.table.missed(found, began, why)
	}
	k.tell(k.table.take())
	k.compared = time.Now()
}

// unheard tells how many attempts from outside were too many to be told one by one. Nothing else was
// lost with them.
func (k *kernel) unheard() {
	n, err := k.set.Sum("lost", 1)
	if err != nil || n == k.attempts {
		return
	}
	r := gap(n - k.attempts)
	r.Reason = "more attempts to connect to closed ports than are told"
	k.table.records = append(k.table.records, r)
	k.current.Lost += n - k.attempts
	k.current.Gaps++
	k.attempts = n
	k.tell(k.table.take())
}

// untold tells how much was not told because the table has no room.
func (k *kernel) untold() {
	if k.table.untold == 0 {
		return
	}
	r := gap(k.table.untold)
	r.Reason = "the table of sockets is full"
	k.table.records = append(k.table.records, r)
	k.current.Gaps++
	k.current.Lost += k.table.untold
	k.table.untold, k.full = 0, r.Time
	k.tell(k.table.take())
}

// iterate enters the sockets that processes have open, and returns which they are; nil if they cannot
// be found. At the start those that are younger than the programs are left to their events. The lock
// is held.
func (k *kernel) iterate(began uint64, start bool) map[socketKey]bool {
	it, err := k.set.Iterate("held")
	if err != nil {
		return nil
	}
	defer it.Close()
	found := map[socketKey]bool{}
	sample := make([]byte, sizeClosing)
	for in := bufio.NewReaderSize(it, 256*sizeClosing); ; {
		if _, err := io.ReadFull(in, sample); err != nil {
			if errors.Is(err, io.EOF) {
				return found
			}
			return nil
		}
		var e event
		if decodeEvent(sample, &e) != nil || e.flags&flagAnnounced == 0 || start && e.flags&flagOld == 0 {
			continue
		}
		found[e.socketKey] = true
		k.table.found(&e, began)
	}
}

func (k *kernel) held(f func([]Record, []Flow)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f(k.table.held())
}

func (k *kernel) flush() {
	w := make(chan struct{})
	k.waitingMu.Lock()
	k.waiting = append(k.waiting, w)
	k.waitingMu.Unlock()
	k.ring.Flush()
	select {
	case <-w:
	case <-k.done:
	}
}

func (k *kernel) owner(cookie, inode uint64) (Owner, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.table.owner(cookie, inode)
}

func (k *kernel) status() Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.current
	s.Sockets = len(k.table.sockets)
	if !k.full.IsZero() || s.Sockets >= mostSockets {
		s.Blind = append(slices.Clone(s.Blind), k.fullness())
	}
	return s
}

// fullness says what a table without room means. The lock is held.
func (k *kernel) fullness() string {
	text := fmt.Sprintf("%d sockets are known at most. Of those beyond, who accepted them and their flows are not told, and their close has another number", mostSockets)
	if k.full.IsZero() {
		return text
	}
	return text + "; last at " + k.full.UTC().Format(time.RFC3339)
}

func (k *kernel) close() error {
	close(k.quit)
	err := k.ring.Close()
	if k.tell != nil {
		<-k.done
	}
	k.table.people.close()
	return errors.Join(err, k.set.Close())
}
