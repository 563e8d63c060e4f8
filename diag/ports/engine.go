package ports

import (
	"context"
	"log/slog"
)

// Options say how an engine sees sockets.
type Options struct {
	Log *slog.Logger // nil: discarded

	// Tier is the best tier that may be used; empty is Full. Tests and administrators lower it.
	Tier Tier
}

// An Engine is shared by all who want to know: the kernel's programs run while at least one of them
// does. Its methods may be called from any goroutine.
type Engine struct{ options Options }

// New returns an engine that does not run yet.
func New(o Options) *Engine { return &Engine{options: o} }

// A Watcher is told what happens to sockets. Its functions are called by one goroutine, which waits
// for them: they must be quick. What they are given is theirs to read until they return. Those that
// are nil are not called.
type Watcher struct {
	// Records are told in the order in which things happened. The first are those that are held
	// when the watcher begins.
	Records func([]Record)

	// Flows are told when they begin and again, with the same Socket, From and ends, when they end
	// or more is known of them.
	Flows func([]Flow)
}

// Watch tells a watcher of all sockets until stop is called, which returns when no function of it
// runs any more, and what happened before was told. It begins when all that is open is known. The
// error is the context's; without eBPF the engine polls, and Status says so.
func (e *Engine) Watch(ctx context.Context, w Watcher) (stop func(), err error) {
	return func() {}, ctx.Err()
}

// Owner returns what is known of a socket by its kernel's number, its cookie, and where a cookie is
// not enough by its inode. It is false while the engine does not run.
func (e *Engine) Owner(cookie, inode uint64) (Owner, bool) { return Owner{}, false }

// Status returns what the engine does; it is false while it does not run.
func (e *Engine) Status() (Status, bool) { return Status{}, false }

// Close ends the engine, whoever watches.
func (e *Engine) Close() error { return nil }
