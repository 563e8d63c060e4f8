package term

import (
	"context"
	"errors"
	"io"
	"slices"
)

// errKilled is the cause of HardContext's end: Ctrl-C a second time.
var errKilled = errors.New("interrupted twice")

// run is a command that runs, for Ctrl-C.
type run struct {
	ctx        context.Context
	soft, hard context.CancelCauseFunc
	asked      bool // Ctrl-C came once
}

func (r *run) interrupt() {
	if r.asked {
		r.hard(errKilled)
		return
	}
	r.asked = true
	r.soft(ErrInterrupted)
}

func (r *run) end(cause error) {
	r.soft(cause)
	r.hard(cause)
}

type hardKey struct{}

// Running tells that a command runs until stop is called. The first Ctrl-C ends the context with the cause ErrInterrupted: the
// command is asked to come to its end and may still print its last words. The second ends HardContext of it with
// errKilled: nobody wants to wait for them. A hang-up ends both, with io.EOF.
func (t *Terminal) Running(parent context.Context) (ctx context.Context, stop func()) {
	hardCtx, hard := context.WithCancelCause(parent)
	ctx, soft := context.WithCancelCause(context.WithValue(hardCtx, hardKey{}, hardCtx))
	r := &run{ctx: ctx, soft: soft, hard: hard}

	t.mu.Lock()
	defer t.mu.Unlock()
	t.running = append(t.running, r)
	switch k, ok := t.keys.peek(); {
	case t.gone:
		r.end(io.EOF)
	case ok && k.seq == keyInterrupt:
		// Pressed between Enter and here, and meant for this command.
		t.keys.take()
		r.interrupt()
	}
	return ctx, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.running = slices.DeleteFunc(t.running, func(other *run) bool { return other == r })
		r.end(context.Canceled)
	}
}

// HardContext is the context that ends when a command which was already interrupted is interrupted again. ctx is one
// of Running or derived from it.
func HardContext(ctx context.Context) context.Context {
	if hard, ok := ctx.Value(hardKey{}).(context.Context); ok {
		return hard
	}
	return ctx
}

// interrupt is Ctrl-C.
func (t *Terminal) interrupt() {
	t.keys.flush()
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.running); n > 0 {
		t.running[n-1].interrupt()
		return
	}
	t.keys.put(key{seq: keyInterrupt})
}

// runningContext is the context of the command that runs, and one that never ends if none does. A wait for a key inside
// a command ends with it.
func (t *Terminal) runningContext() context.Context {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.running); n > 0 {
		return t.running[n-1].ctx
	}
	return context.Background()
}
