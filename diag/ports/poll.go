package ports

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"diagsh/diag/ports/procs"
	"diagsh/diag/sockets"
	"diagsh/internal/bpf"
)

// A poller is the feed of a kernel that takes no programs. It reads the table of sockets and who
// holds them, again and again, and hears from the kernel which sockets end (sock_diag(7)).
//
// Who holds a socket when the table is read need not be who opened or accepted it: that one may have
// passed it on, or have become another program. So only Held has a process, and all that happened
// between two readings has none.
type poller struct {
	why   string
	log   *slog.Logger
	netns uint64
	names procs.Users // by run

	destroyed int // a netlink socket that hears which sockets end, or -1
	wake      int // an eventfd
	done      chan struct{}

	asked struct {
		sync.Mutex
		answers []chan struct{} // closed when the table was read
		end     bool
	}

	mu      sync.Mutex // the table's lock
	tell    func([]Record, []Flow)
	since   time.Time
	known   map[uint32]*polled   // by inode
	cookies map[uint64]*polled   // the same but those of MPTCP, whose cookies are not unique
	halves  map[pollEnds]bool    // of MPTCP: the kernel has a TCP socket too, which no process holds
	gone    map[uint64]time.Time // cookies of sockets that a reading missed, until the kernel tells their end
	serial  uint64
	events  uint64
	lost    uint64
	gaps    uint64
	unread  bool  // the last reading failed
	out     batch // what is told when the table is released
}

// pollPause is the time between two readings. They take at most a hundredth of the time.
const (
	pollPause = time.Second
	pollShare = 100
)

// newPoller returns a poller; why says why it is needed.
func newPoller(o Options, why string) (feed, error) {
	p := &poller{why: why, log: o.Log, done: make(chan struct{}), known: map[uint32]*polled{},
		cookies: map[uint64]*polled{}, gone: map[uint64]time.Time{}, since: time.Now()}
	var err error
	if p.netns, err = procs.NetNS(); err != nil {
		return nil, err
	}
	if p.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, fmt.Errorf("make an eventfd: %w", err)
	}
	if p.destroyed, err = dialDestroy(); err != nil {
		p.log.Warn("the kernel does not tell which sockets end", "error", err)
		p.destroyed = -1
	}
	return p, nil
}

func (p *poller) start(tell func([]Record, []Flow)) error {
	p.tell = func([]Record, []Flow) {}
	_, err := p.read()
	p.tell = tell
	if err != nil {
		close(p.done)
		return err
	}
	go p.run()
	return nil
}

// follow does nothing: there are few flows.
func (p *poller) follow(bool) {}

// run reads the table until close. It alone changes the table.
func (p *poller) run() {
	defer close(p.done)
	pause := pollPause
	for next := time.Now().Add(pause); ; {
		fds := []unix.PollFd{{Fd: int32(p.wake), Events: unix.POLLIN}, {Fd: int32(p.destroyed), Events: unix.POLLIN}}
		unix.Poll(fds, int(max(0, time.Until(next)).Milliseconds())+1)
		answers, end := p.taken()
		if end {
			return
		}
		p.hear()
		if len(answers) == 0 && time.Now().Before(next) {
			continue
		}
		took, err := p.read()
		if len(answers) > 0 && err == nil {
			took, err = p.read() // the kernel may be late with the ends of sockets: see goneAfter
		}
		p.failed(err)
		for _, a := range answers {
			close(a)
		}
		next = time.Now().Add(max(pollPause, pollShare*took))
	}
}

// failed notes whether a reading failed, and logs the first one of several that do.
func (p *poller) failed(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil && !p.unread {
		p.log.Warn("the table of sockets cannot be read", "error", err)
	}
	p.unread = err != nil
}

// taken returns who waits for a reading.
func (p *poller) taken() (answers []chan struct{}, end bool) {
	var count [8]byte
	unix.Read(p.wake, count[:])
	p.asked.Lock()
	defer p.asked.Unlock()
	answers, p.asked.answers = p.asked.answers, nil
	return answers, p.asked.end
}

func (p *poller) ask(change func()) {
	p.asked.Lock()
	defer p.asked.Unlock()
	change()
	unix.Write(p.wake, binary.NativeEndian.AppendUint64(nil, 1))
}

func (p *poller) flush() {
	read := make(chan struct{})
	p.ask(func() { p.asked.answers = append(p.asked.answers, read) })
	select {
	case <-read:
	case <-p.done:
	}
}

func (p *poller) close() error {
	p.ask(func() { p.asked.end = true })
	if p.tell != nil { // it was started
		<-p.done
	}
	unix.Close(p.wake)
	if p.destroyed >= 0 {
		unix.Close(p.destroyed)
	}
	return nil
}

func (p *poller) held(f func([]Record, []Flow)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var now batch
	for _, s := range slices.SortedFunc(maps.Values(p.known), func(a, b *polled) int { return cmp.Compare(a.serial, b.serial) }) {
		now.records = p.appendHeld(now.records, s, time.Now(), s.holders)
		if s.flow.Socket != 0 {
			now.flows = append(now.flows, s.flow)
		}
	}
	f(now.records, now.flows)
}

func (p *poller) owner(cookie, inode uint64) (Owner, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.known[uint32(inode)]
	if s == nil {
		s = p.cookies[cookie]
	}
	if s == nil {
		return Owner{}, false
	}
	return Owner{Since: s.since, Before: s.before, Holders: s.holders}, true
}

func (p *poller) status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Status{Tier: Polling, Since: p.since, Sockets: len(p.known), Events: p.events, Lost: p.lost, Gaps: p.gaps,
		Blind: []string{
			"Programs of the kernel do not tell what happens: " + p.why + ". The table of sockets is read every second or less often",
			"Of sockets that begin and end between two readings only the end is seen, and no process",
			"Who opened, connected, accepted or closed a socket is not known. Processes are those that held it when the table was read",
			"Refused and failed connections, peers of unconnected UDP sockets, bytes, cgroups and other network namespaces are not seen",
		}}
	if p.unread {
		s.Blind = append(s.Blind, "The table of sockets cannot be read now; the log of the appliance says why")
	}
	if p.destroyed < 0 {
		s.Blind = append(s.Blind, "This kernel does not tell which sockets end, so most short connections are not seen at all")
	}
	if !bpf.Capable(unix.CAP_SYS_PTRACE) { // with which /proc shows descriptors of others (ptrace(2))
		s.Blind = append(s.Blind, "Processes of other users are not known: the appliance lacks CAP_SYS_PTRACE")
	}
	return s
}

// read reads the table and tells what is new.
func (p *poller) read() (took time.Duration, err error) {
	began := time.Now()
	rows, err := dumpTable(context.Background())
	if err != nil {
		return time.Since(began), err
	}
	// After the table: whoever has one of its sockets now may have got it meanwhile, but does hold it.
	owners, err := sockets.FindOwners(context.Background())
	if err != nil {
		return time.Since(began), err
	}
	now := time.Now()
	m := &pollMerger{poller: p, now: now, owners: owners, people: map[int]Process{}, listening: map[uint16][]pollRow{}}
	m.identify(rows)
	p.mu.Lock()
	defer p.mu.Unlock()
	m.merge(rows)
	p.release()
	return time.Since(began), nil
}

// release tells what was collected, with the table's lock.
func (p *poller) release() {
	if len(p.out.records)+len(p.out.flows) > 0 {
		p.tell(p.out.records, p.out.flows)
	}
	p.out = batch{}
}
