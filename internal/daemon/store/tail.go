package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// A bell tells whoever waits that something was written. Nobody has to listen, and nobody who does is waited for.
type bell struct {
	mu   sync.Mutex
	rung chan struct{} // nil: nobody waits
}

// next is closed when the bell rings the next time.
func (b *bell) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung == nil {
		b.rung = make(chan struct{})
	}
	return b.rung
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung != nil {
		close(b.rung)
		b.rung = nil
	}
}

// TailLog yields the newest lines of a log, and with follow those that are written from then on, until ctx ends.
func (d *Daemon) TailLog(ctx context.Context, log string, count int, follow bool, yield func(access.LogLine) error) error {
	t := tail{paths: d.audit.paths, bell: &d.audit.bell, yield: func(line []byte) error {
		var e access.Event
		if json.Unmarshal(line, &e) != nil || e.Act == "" {
			return nil // VerifyAudit tells of such lines
		}
		return yieldTo(yield, access.LogLine{Log: log, Time: e.Time, Event: &e})
	}}
	if log == access.ApplianceLog {
		t = tail{paths: d.kept.paths, bell: &d.kept.bell, yield: func(line []byte) error {
			l, ok := parseLogLine(line)
			if !ok {
				return nil
			}
			return yieldTo(yield, l)
		}}
	}
	err := t.run(ctx, count, follow)
	var theirs *yieldError
	if errors.As(err, &theirs) {
		return theirs.error
	}
	return menu.Failing("read the log", err)
}

func yieldTo(yield func(access.LogLine) error, l access.LogLine) error {
	if err := yield(l); err != nil {
		return &yieldError{err}
	}
	return nil
}

// parseLogLine reads what slog.JSONHandler writes.
func parseLogLine(line []byte) (access.LogLine, bool) {
	var members map[string]any
	if json.Unmarshal(line, &members) != nil {
		return access.LogLine{}, false
	}
	l := access.LogLine{Log: access.ApplianceLog}
	for name, value := range members {
		text, isText := value.(string)
		if !isText {
			encoded, _ := json.Marshal(value) // it was decoded a moment ago
			text = string(encoded)
		}
		switch name {
		case "time":
			l.Time, _ = time.Parse(time.RFC3339Nano, text)
		case "level":
			l.Level = text
		case "msg":
			l.Message = text
		default:
			if l.Attributes == nil {
				l.Attributes = map[string]string{}
			}
			l.Attributes[name] = text
		}
	}
	return l, !l.Time.IsZero()
}

// A tail reads a log whose files are appended to and renamed.
type tail struct {
	paths func() ([]string, error) // the files of the log, the oldest first; the last is the one that is written
	bell  *bell
	yield func(line []byte) error

	file *os.File
	at   int64 // behind the last whole line that was yielded
}

func (t *tail) run(ctx context.Context, count int, follow bool) error {
	defer func() {
		if t.file != nil {
			t.file.Close()
		}
	}()
	written := t.bell.next()
	if err := t.begin(ctx, count); err != nil {
		return err
	}
	for follow {
		select {
		case <-written:
		case <-ctx.Done():
			return nil // that is how following ends
		}
		written = t.bell.next()
		if err := t.catchUp(ctx); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// begin yields the newest lines.
func (t *tail) begin(ctx context.Context, count int) error {
	paths, err := t.paths()
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

// catchUp yields what was written since. When the file has another name by now, the log goes on in the next one.
func (t *tail) catchUp(ctx context.Context) error {
	for {
		if t.file == nil {
			if paths, err := t.paths(); err != nil || len(paths) == 0 {
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
		end, err := lineBefore(t.file, info.Size())
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

// moved reports whether the log is written to another file. What was written to this one is all there then.
func (t *tail) moved() bool {
	paths, err := t.paths()
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
func (t *tail) lines(ctx context.Context, file *os.File, from, to int64) error {
	lines := newLineReader(io.NewSectionReader(file, from, to-from))
	for {
		line, _, err := lines.next()
		if err != nil || line == nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := t.yield(line); err != nil {
			return err
		}
	}
}

// lastLines finds the newest lines of a file: from where to where, and how many. A line that is not whole yet is none.
func lastLines(f *os.File, count int) (from, to int64, lines int, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, 0, 0, err
	}
	if to, err = lineBefore(f, info.Size()); err != nil {
		return 0, 0, 0, err
	}
	from = to
	buffer := make([]byte, 64<<10)
	for end := to; end > 0 && lines <= count; {
		n := min(end, int64(len(buffer)))
		if _, err := f.ReadAt(buffer[:n], end-n); err != nil {
			return 0, 0, 0, err
		}
		for i := bytes.LastIndexByte(buffer[:n], '\n'); i >= 0 && lines <= count; i = bytes.LastIndexByte(buffer[:i], '\n') {
			if lines++; lines <= count+1 {
				from = end - n + int64(i) + 1
			}
		}
		end -= n
	}
	// So many newlines were counted: that at the end closes the last line, each other one is the end of the line before.
	if lines <= count {
		return 0, to, lines, nil
	}
	return from, to, count, nil
}
