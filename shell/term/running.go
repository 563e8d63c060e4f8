package term

import (
	"context"
	"errors"
	"io"
	"slices"
)

// errKilled is the cause of HardContext's end: a second Ctrl-C.
var errKilled = errors.New("interrupted twice")

// run is a running command that Ctrl-C can interrupt.
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

// Running declares that a command runs until stop is called. The first Ctrl-C ends the context with
// the cause ErrInterrupted: the command should end and may still print its last output. The second
// ends its HardContext with errKilled: the user does not want to wait for that. A hang-up ends
// both, with io.EOF.
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

// HardContext returns the context that ends when an interrupted command is interrupted again. ctx
// must be one of Running or derived from it.
func HardContext(ctx context.Context) context.Context {
	if hard, ok := ctx.Value(hardKey{}).(context.Context); ok {
		return hard
	}
	return ctx
}

// interrupt handles Ctrl-C.
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

// runningContext returns the context of the running command, or one that never ends. A wait for a
// key inside a command ends with it.
func (t *Terminal) runningContext() context.Context {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.running); n > 0 {
		return t.running[n-1].ctx
	}
	return context.Background()
}
