package drops

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"diagsh/internal/bpf"
)

// Options say which drops an Engine sees.
type Options struct {
	// NetNS is the inode of the network namespace; 0 is that of the thread that calls New. Packets
	// whose namespace the kernel does not know any more are seen too.
	NetNS uint32

	// Like is the kernel that the running one is taken for, to see what the appliance does there.
	Like Kernel
}

// A Kernel is one that tells less of what it drops than others.
type Kernel string

const (
	Present    Kernel = ""                // the running one, as it is
	Untyped    Kernel = "without types"   // it does not describe its types (BTF)
	Silent     Kernel = "without reasons" // before Linux 5.17
	FewReasons Kernel = "few reasons"     // Linux 5.17
)

// An Engine is shared by all who want to know what the kernel drops: its program runs while at least
// one of them does. Its methods may be called from any goroutine.
type Engine struct {
	options Options
	own     own

	mu       sync.Mutex // guards what follows; taken before that of a run
	running  *run
	watching int
}

// A program is in the kernel, which looks at it only while it is attached.
type program struct {
	set     *bpf.Set
	reasons reasons
	blind   []string
}

// A run is the time in which the program is loaded and attached. It is not kept for the next who
// watches: to load it takes some 40 ms, and of a command that ended nothing is to be left.
type run struct {
	*program
	link  io.Closer
	ring  *bpf.Ring
	ended chan struct{}

	naming sync.Mutex // guards what follows
	places places
	clock  clock

	mu       sync.Mutex // guards what follows; held while watchers are told
	watchers []*watcher
	flushes  []chan struct{}
}

// A watcher is a function that is told of drops.
type watcher struct{ tell func(*Drop) }

// New returns an engine that does not run yet.
func New(o Options) *Engine {
	if o.NetNS == 0 {
		var s unix.Stat_t
		if unix.Stat("/proc/thread-self/ns/net", &s) == nil {
			o.NetNS = uint32(s.Ino)
		}
	}
	return &Engine{options: o, own: own{known: map[uint32]bool{}}}
}

// An UnavailableError says why this machine cannot see what its kernel drops, in a sentence for
// people without a full stop.
type UnavailableError struct{ Reason string }

func (e *UnavailableError) Error() string { return e.Reason }

// unavailable turns an error of package bpf into one that callers of this package know.
func unavailable(err error) error {
	var e *bpf.Error
	if errors.As(err, &e) {
		return &UnavailableError{e.Error()}
	}
	return err
}

// Watch tells a function of packets that are dropped, until stop is called; nil tells nothing, so
// that there are counts. One goroutine calls it and waits for it: it must be quick. Noise is told
// too; what the appliance's own packet sockets do not take is not. stop returns when it does not run
// any more, and what was dropped before was told. The error is an *UnavailableError where the machine cannot.
func (e *Engine) Watch(tell func(*Drop)) (stop func(), err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.running == nil {
		if e.running, err = e.begin(); err != nil {
			e.running = nil
			return nil, unavailable(err)
		}
	}
	e.watching++
	r, w := e.running, &watcher{tell}
	r.mu.Lock()
	r.watchers = append(r.watchers, w)
	r.mu.Unlock()
	return sync.OnceFunc(func() { e.leave(r, w) }), nil
}

func (e *Engine) leave(r *run, w *watcher) {
	r.flush()
	r.mu.Lock()
	r.watchers = slices.DeleteFunc(r.watchers, func(other *watcher) bool { return other == w })
	r.mu.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.watching--; e.watching == 0 {
		e.running = nil
		r.end()
	}
}

// tracepoint tells of packets that are dropped.
const tracepoint = "kfree_skb"

// begin loads the program and attaches it.
func (e *Engine) begin() (*run, error) {
	p, err := load(e.options)
	if err != nil {
		return nil, err
	}
	r := &run{program: p, ended: make(chan struct{})}
	r.places = places{named: r.siteName, known: map[uint64]string{}}
	if r.ring, err = r.set.Ring("packets"); err != nil {
		r.set.Close()
		return nil, err
	}
	if r.link, err = r.set.Attach("dropped"); err != nil {
		r.ring.Close()
		r.set.Close()
		return nil, err
	}
	go r.read(e)
	return r, nil
}

// load loads the program for one network namespace.
func load(o Options) (*program, error) {
	if o.Like == Untyped {
		return nil, bpf.NoTypes()
	}
	kernel, err := bpf.Describe()
	if err != nil {
		return nil, err
	}
	arguments := kernel.Arguments(tracepoint)
	if arguments < 3 || o.Like == Silent {
		return nil, &UnavailableError{"This kernel does not say why it drops packets, which Linux 5.17 and later do"}
	}
	receiver := uint32(0)
	if arguments > 3 && o.Like == Present {
		receiver = 1
	}
	p := &program{}
	if p.reasons, err = readReasons(kernel); err != nil {
		return nil, err
	}
	if o.Like == FewReasons {
		p.reasons = p.reasons.first()
	}
	p.blind = blindness(p.reasons, receiver != 0)
	p.set, err = bpf.Load(bpf.Drops, bpf.Options{
		Kernel: kernel, Loaded: []string{"dropped"},
		Constants: map[string]any{"netns": o.NetNS, "has_receiver": receiver, "only_counted": p.reasons.onlyCounted()},
	})
	return p, err
}

// blindness says in sentences what is not seen.
func blindness(r reasons, receivers bool) (sentences []string) {
	if r.few() {
		sentences = append(sentences, fmt.Sprintf("This kernel knows %d reasons only: most packets are NOT_SPECIFIED, "+
			"and their place says more", r.number()))
	}
	if !receivers {
		sentences = append(sentences, "This kernel does not say which socket did not take a packet")
	}
	return sentences
}

// Running reports whether the engine runs, and says in sentences what it cannot see.
func (e *Engine) Running() (blind []string, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.running == nil {
		return nil, false
	}
	return slices.Clone(e.running.blind), true
}

// Knows reports whether the running kernel can drop a packet for a reason of a name; ok is false if
// the engine does not run. The case of letters does not count.
func (e *Engine) Knows(reason string) (known, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.running == nil {
		return false, false
	}
	return e.running.reasons.has(reason), true
}

// siteName returns what the kernel calls a place, nil if it does not yet.
func (r *run) siteName(site uint64) []byte {
	text := make([]byte, 64)
	if r.set.Map("names").Lookup(site, text) != nil {
		return nil
	}
	return text
}

// read tells the watchers what comes, until the ring is closed.
func (r *run) read(e *Engine) {
	defer close(r.ended)
	for {
		record, err := r.ring.Read()
		switch {
		case errors.Is(err, bpf.ErrFlushed):
			r.flushed()
			continue
		case err != nil: // it was closed
			return
		}
		k := eventOf(record)
		if k == nil || e.own.has(k.Flow.Place.Listener) {
			continue
		}
		drop := r.drop(k)
		r.mu.Lock()
		for _, w := range r.watchers {
			if w.tell != nil {
				w.tell(drop)
			}
		}
		r.mu.Unlock()
	}
}

// flush waits until all that was dropped before is told.
func (r *run) flush() {
	done := make(chan struct{})
	r.mu.Lock()
	r.flushes = append(r.flushes, done)
	r.mu.Unlock()
	if r.ring.Flush() != nil {
		return
	}
	select {
	case <-done:
	case <-r.ended:
	}
}

func (r *run) flushed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, done := range r.flushes {
		close(done)
	}
	r.flushes = nil
}

func (r *run) end() {
	r.link.Close()
	r.ring.Close()
	<-r.ended
	r.set.Close()
}

// drop names what the kernel tells of a packet.
func (r *run) drop(k *kernelEvent) *Drop {
	r.naming.Lock()
	defer r.naming.Unlock()
	return &Drop{
		Where: r.where(&k.Flow.Place), Flow: k.Flow.flow(), Time: r.clock.time(k.Time), Incoming: k.Incoming != 0,
		Cookie: k.Cookie, Inode: uint64(k.Inode), Length: int(k.Length), Data: k.Data[:min(int(k.Kept), len(k.Data))],
	}
}

// where names a place. Called with naming held.
func (r *run) where(k *kernelPlace) Where {
	w := Where{Reason: r.reasons.name(k.Reason), Place: r.places.name(k.Site), EtherType: k.EtherType}
	w.Noise = isNoise(w)
	return w
}
