package ports

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
)

// Options say how an engine sees sockets.
type Options struct {
	Log *slog.Logger // nil: discarded

	// Tier is the best tier that may be used; empty is Full. Tests and administrators lower it.
	Tier Tier

	// Uncounted is to see no more than before Linux 6.3, which does not tell who sends and receives.
	// Tests set it.
	Uncounted bool
}

// A feed is a source of what happens to sockets: eBPF's programs, or polling. It keeps a table of the
// sockets that exist, under a lock of its own.
type feed interface {
	// start learns what is open, and then calls tell with what happens, under the table's lock and
	// from a goroutine of its own, until close. Records that are told are not changed afterwards.
	start(tell func([]Record, []Flow)) error

	// follow says whether anybody wants flows from now on; else none need be told.
	follow(flows bool)

	// held calls f with what is open, under the table's lock: nothing is told meanwhile.
	held(f func([]Record, []Flow))

	// flush returns when what happened before was told.
	flush()

	owner(cookie, inode uint64) (Owner, bool)
	status() Status

	// close ends the feed; tell is not called any more after it.
	close() error
}

// An Engine is shared by all who want to know: the kernel's programs run while at least one of them
// does. Its methods may be called from any goroutine.
type Engine struct {
	options Options
	sizes   sizes

	turn    sync.Mutex // one begins or ends at a time
	closed  bool
	mu      sync.Mutex // over what follows; the feed's lock is taken before it
	feed    feed
	watched []*queue
}

// errClosed is for who watches after Close.
var errClosed = errors.New("the engine of ports is closed")

// New returns an engine that does not run yet.
func New(o Options) *Engine {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Tier == "" {
		o.Tier = Full
	}
	return &Engine{options: o, sizes: defaults}
}

// A Watcher is told what happens to sockets. Its functions are called by one goroutine, which waits
// for them: they must be quick. The slices that they are given are theirs to read until they return;
// what records point to never changes. Those that are nil are not called.
//
// A watcher that is slow for long loses records. It is told a Gap, with their number, the sockets
// that ended meanwhile, and what it does not know of yet as Held.
type Watcher struct {
	// Records are told in the order in which things happened. The first are those that are held
	// when the watcher begins.
	Records func([]Record)

	// Flows are told when they begin and again, with the same Socket, From and ends, when they end
	// or more is known of them.
	Flows func([]Flow)
}

// Watch tells a watcher of all sockets until stop is called, which returns when no function of it
// runs any more, and what happened before was told. It begins when all that is open is known. Without
// eBPF the engine polls, and Status says so. The error is the context's, that of an engine that is
// closed, or of a machine whose sockets cannot even be polled.
func (e *Engine) Watch(ctx context.Context, w Watcher) (stop func(), err error) {
	e.turn.Lock()
	defer e.turn.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if e.closed {
		return nil, errClosed
	}
	f := e.running()
	if f == nil {
		if f, err = e.begin(); err != nil {
			return nil, err
		}
	}
	q := newQueue(w, f)
	if w.Flows != nil {
		f.follow(true)
	}
	f.held(func(records []Record, flows []Flow) {
		q.put(records, flows)
		e.mu.Lock()
		defer e.mu.Unlock()
		e.watched = append(e.watched, q)
	})
	go q.run()
	var once sync.Once
	return func() { once.Do(func() { e.leave(f, q) }) }, nil
}

// begin starts the best feed that works here. The turn is held.
func (e *Engine) begin() (feed, error) {
	f, err := newFeed(e.options, e.sizes)
	if err != nil {
		return nil, err
	}
	if err := f.start(e.tell); err != nil {
		f.close()
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.feed = f
	return f, nil
}

// newFeed returns eBPF's programs, or the poller, which says why it is not they.
func newFeed(o Options, s sizes) (feed, error) {
	if o.Tier == Polling {
		return newPoller(o, "Polling was asked for")
	}
	k, err := newKernel(o, s)
	if err == nil {
		return k, nil
	}
	o.Log.Warn("eBPF is not available, sockets are polled", "error", err)
	return newPoller(o, err.Error())
}

func (e *Engine) running() feed {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.feed
}

// tell hands over to all watchers.
func (e *Engine) tell(records []Record, flows []Flow) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, q := range e.watched {
		q.put(records, flows)
	}
}

// leave ends a watcher, and with the last one the feed.
func (e *Engine) leave(f feed, q *queue) {
	defer q.end() // a watcher that hangs holds up nobody else
	e.turn.Lock()
	defer e.turn.Unlock()
	if e.running() != f {
		return
	}
	f.flush()
	e.mu.Lock()
	e.watched = slices.DeleteFunc(e.watched, func(other *queue) bool { return other == q })
	last := len(e.watched) == 0
	follow := slices.ContainsFunc(e.watched, func(other *queue) bool { return other.watcher.Flows != nil })
	if last {
		e.feed = nil
	}
	e.mu.Unlock()
	f.follow(follow)
	if last {
		f.close()
	}
}

// Owner returns what is known of a socket by its kernel's number, its cookie, and where a cookie is
// not enough by its inode. It is false while the engine does not run.
func (e *Engine) Owner(cookie, inode uint64) (Owner, bool) {
	if f := e.running(); f != nil {
		return f.owner(cookie, inode)
	}
	return Owner{}, false
}

// Status returns what the engine does; it is false while it does not run.
func (e *Engine) Status() (Status, bool) {
	if f := e.running(); f != nil {
		return f.status(), true
	}
	return Status{}, false
}

// Close ends the engine, whoever watches. What was told before reaches the watchers.
func (e *Engine) Close() error {
	e.turn.Lock()
	defer e.turn.Unlock()
	e.closed = true
	f := e.running()
	if f == nil {
		return nil
	}
	f.flush()
	err := f.close()
	e.mu.Lock()
	watched := e.watched
	e.feed, e.watched = nil, nil
	e.mu.Unlock()
	for _, q := range watched {
		q.end()
	}
	return err
}
