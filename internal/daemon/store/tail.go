package store

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"sync"
)

// A Notifier tells other goroutines that something was written. Its zero value is ready.
type Notifier struct {
	mu   sync.Mutex
	next chan struct{} // nil: nobody waits
}

// Next returns a channel that the next Notify closes.
func (n *Notifier) Next() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.next == nil {
		n.next = make(chan struct{})
	}
	return n.next
}

// Notify wakes all who wait. It waits for none of them.
func (n *Notifier) Notify() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.next != nil {
		close(n.next)
		n.next = nil
	}
}

// A Tail reads the end of a log whose files are appended to and renamed.
type Tail struct {
	Paths   func() ([]string, error) // the files of the log, the oldest first; the last is the one that is written
	Changed *Notifier
	// Yield takes a line without its newline; the line is valid until Yield returns. An error of it
	// ends Run, which returns it as it is.
	Yield func(line []byte) error

	file *os.File
	at   int64 // after the last whole line that was yielded
}

// Run yields the newest count lines, the oldest of them first. With follow it yields every line
// that is written from then on, once, and returns nil when ctx ends, be it among the newest lines or
// after them. A Tail runs once.
func (t *Tail) Run(ctx context.Context, count int, follow bool) error {
	defer func() {
		if t.file != nil {
			t.file.Close()
		}
	}()
	err := t.run(ctx, count, follow)
	if follow && errors.Is(err, ctx.Err()) {
		return nil // that is how following ends
	}
	return err
}

func (t *Tail) run(ctx context.Context, count int, follow bool) error {
	written := t.Changed.Next()
	if err := t.begin(ctx, count); err != nil {
		return err
	}
	for follow {
		select {
		case <-written:
		case <-ctx.Done():
			return ctx.Err()
		}
		written = t.Changed.Next()
		if err := t.catchUp(ctx); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// begin yields the newest lines.
func (t *Tail) begin(ctx context.Context, count int) error {
	paths, err := t.Paths()
	if err != nil || len(paths) == 0 {
		return err
	}
	var files []*os.File
	defer func() {
		for _, f := range files {
			if f != t.file {
				f.Close()
			}
		}
	}()
	type part struct {
		file     *os.File
		from, to int64
	}
	var parts []part // the newest first
	for _, path := range slices.Backward(paths) {
		f, err := os.Open(path)
		if errors.Is(err, os.ErrNotExist) {
			continue // it was renamed, and is among the others
		}
		if err != nil {
			return err
		}
		files = append(files, f)
		from, to, lines, err := lastLines(f, count)
		if err != nil {
			return err
		}
		if t.file == nil {
			t.file, t.at = f, to
		}
		parts = append(parts, part{f, from, to})
		if count -= lines; count <= 0 {
			break
		}
	}
	for _, p := range slices.Backward(parts) {
		if err := t.lines(ctx, p.file, p.from, p.to); err != nil {
			return err
		}
	}
	return nil
}

// catchUp yields what was written since. If the file was renamed meanwhile, it continues in the
// next one.
func (t *Tail) catchUp(ctx context.Context) error {
	for {
		if t.file == nil {
			if paths, err := t.Paths(); err != nil || len(paths) == 0 {
				return err
			} else if t.file, err = os.Open(paths[len(paths)-1]); err != nil {
				return err
			}
			t.at = 0
		}
		moved := t.moved()
		info, err := t.file.Stat()
		if err != nil {
			return err
		}
		end, err := LineBefore(t.file, info.Size())
		if err != nil {
			return err
		}
		if end > t.at {
			if err := t.lines(ctx, t.file, t.at, end); err != nil {
				return err
			}
			t.at = end
		}
		if !moved {
			return nil
		}
		t.file.Close()
		t.file = nil
	}
}

// moved reports whether the log is written to another file. What was written to this one is all
// there then.
func (t *Tail) moved() bool {
	paths, err := t.Paths()
	if err != nil || len(paths) == 0 {
		return false
	}
	now, err := os.Stat(paths[len(paths)-1])
	if err != nil {
		return false
	}
	ours, err := t.file.Stat()
	return err == nil && !os.SameFile(now, ours)
}

// lines yields the lines between two places.
func (t *Tail) lines(ctx context.Context, file *os.File, from, to int64) error {
	lines := NewLineReader(io.NewSectionReader(file, from, to-from))
	for {
		line, _, err := lines.Next()
		if err != nil || line == nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := t.Yield(line); err != nil {
			return err
		}
	}
}

// lastLines finds the newest lines of a file: from where to where, and how many. A line that is not
// whole yet is none.
func lastLines(f *os.File, count int) (from, to int64, lines int, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, 0, 0, err
	}
	if to, err = LineBefore(f, info.Size()); err != nil {
		return 0, 0, 0, err
	}
	from = to
	buffer := make([]byte, 64<<10)
	for end := to; end > 0 && lines <= count; {
		n := min(end, int64(len(buffer)))
		if _, err := f.ReadAt(buffer[:n], end-n); err != nil {
			return 0, 0, 0, err
		}
		for i := bytes.LastIndexByte(buffer[:n], '\n'); i >= 0 && lines <= count; i = bytes.LastIndexByte(buffer[:i],
			'\n') {
			if lines++; lines <= count+1 {
				from = end - n + int64(i) + 1
			}
		}
		end -= n
	}
	// count newlines were found: the one at the end closes the last line, each other one is the
	// end of the line before.
	if lines <= count {
		return 0, to, lines, nil
	}
	return from, to, count, nil
}
