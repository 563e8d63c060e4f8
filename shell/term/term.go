// Package term is the terminal of one login: line editing, secrets, a pager, progress, Ctrl-C.
//
// The process must have a controlling terminal, which Open takes over until Close: raw keys, no
// echo, no signals from keys. One goroutine reads the keys into a queue, at all times. So nothing
// typed ahead or pasted is lost while a command runs, and Ctrl-C is seen at once. ReadLine,
// ReadSecret and the pager take from the queue, one of them at a time; everything else may be
// called from several goroutines.
//
// Keys while a line is edited are handled by go-prompt, which knows neither when to stop polling
// nor how to draw in a small window. So it runs only while keys come, and its drawing is discarded:
// the screen is painted here.
//
// Ctrl-C drops what was typed before it and not yet read, as the terminal driver of the kernel
// does: lines pasted after a command that is then interrupted were meant for another place.
//
// The parent process should open the terminal without echo: until Open, the kernel would echo what
// is typed, and ReadLine shows it again.
package term

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	_ "diagsh/shell/term/quietenv" // before go-prompt reads its environment
)

var (
	// ErrInterrupted is the error of a read that Ctrl-C ended, and the cause of a running command's
	// context.
	ErrInterrupted = errors.New("interrupted")
	// ErrEnd is Ctrl-D: an end of input after which, unlike after any other io.EOF, the user is
	// still there.
	ErrEnd = fmt.Errorf("Ctrl-D: %w", io.EOF)
	// ErrEscape is the error of a read that Line.Escape ended.
	ErrEscape = errors.New("escaped")
	// ErrIdle is the error of a read without a key for too long.
	ErrIdle = errors.New("no key was pressed for too long")
)

// Options configure a terminal.
type Options struct {
	// Idle ends any wait for a key with ErrIdle. 0 waits forever.
	Idle time.Duration
	// Dumb says that the terminal can only print (see the function Dumb): no sequence is sent, and
	// output does not stop.
	Dumb bool
}

// Terminal is the controlling terminal of this process.
type Terminal struct {
	opts   Options
	tty    *tty
	keys   *queue
	screen *screen
	editor *editor

	pagerOff atomic.Bool
	length   atomic.Int32 // rows of a page, if not the window's
	width    atomic.Int32 // columns of a row, if not the window's

	mu      sync.Mutex
	running []*run // the innermost last
	gone    bool   // hung up

	resizes  chan os.Signal
	hangUps  chan os.Signal // for as long as the process lives
	closing  chan struct{}
	watching sync.WaitGroup
}

// Open takes over the controlling terminal. There can be one Terminal at a time in a process.
func Open(opts Options) (*Terminal, error) {
	device, err := openTTY()
	if err != nil {
		return nil, err
	}
	t := &Terminal{
		opts:    opts,
		tty:     device,
		keys:    newQueue(),
		resizes: make(chan os.Signal, 1),
		hangUps: make(chan os.Signal, 1),
		closing: make(chan struct{}),
	}
	t.screen = &screen{out: device, size: t.Size, dumb: opts.Dumb}
	t.pagerOff.Store(opts.Dumb)
	t.editor = newEditor(t)
	signal.Notify(t.resizes, syscall.SIGWINCH)
	signal.Notify(t.hangUps, syscall.SIGHUP)
	t.watching.Go(t.readKeys)
	t.watching.Go(t.watchSignals)
	return t, nil
}

// Close clears what is no output from the screen and restores the terminal's mode.
//
// It keeps catching SIGHUP. When the other end of a terminal closes, the kernel wakes its reader
// before it sends the signal (pty_close in drivers/tty/pty.c, Linux 6.18). So the signal may come
// while the process is ending in order because of that end of file. It cannot be ignored from here
// on, either: a signal that was caught already when signal.Ignore or signal.Stop removes the
// handler has no handler for Go's runtime (sigfwdgo and sighandler in runtime/signal_unix.go, Go
// 1.26), which dies of it.
func (t *Terminal) Close() error {
	t.screen.clear()
	signal.Stop(t.resizes)
	close(t.closing)
	err := t.tty.restore()
	if e := t.tty.Close(); err == nil && e != nil {
		err = e
	}
	t.keys.close()
	t.watching.Wait()
	if err != nil && !errors.Is(err, syscall.EIO) { // nothing can be restored after a hang-up
		return fmt.Errorf("give the terminal back: %w", err)
	}
	return nil
}

// Size returns the window's columns and rows, 80x24 if unknown. A width of SetWidth replaces the
// columns.
func (t *Terminal) Size() (width, height int) {
	width, height = t.tty.size()
	if w := t.width.Load(); w > 0 {
		width = int(w)
	}
	return width, height
}

// NoLimit is the width of an unlimited row.
const NoLimit = 1 << 20

// SetWidth sets how many columns a row has from now on, whatever the window has: 0 is NoLimit, less
// than 0 is the window's own.
func (t *Terminal) SetWidth(columns int) {
	switch {
	case columns < 0:
		columns = 0
	case columns == 0:
		columns = NoLimit
	}
	t.width.Store(int32(columns))
}

// Dumb reports whether the terminal can only print.
func (t *Terminal) Dumb() bool { return t.opts.Dumb }

// Write shows output. What could control the terminal is spelled instead (ESC as ^[), so output may
// contain bytes from anywhere. It clears a progress line, and appears above a line that is being
// edited.
func (t *Terminal) Write(p []byte) (int, error) {
	if err := t.screen.write(p); err != nil {
		return 0, fmt.Errorf("write to the terminal: %w", err)
	}
	return len(p), nil
}

// WriteString is Write for a string.
func (t *Terminal) WriteString(s string) (int, error) { return t.Write([]byte(s)) }

// Progress shows text, each row of it cut to the window's width, in a place that the next Progress
// updates and the next output clears. "" clears it. While a line is edited there is no progress.
func (t *Terminal) Progress(text string) {
	rows := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i, row := range rows {
		rows[i] = scrubbed(row)
	}
	t.screen.status(strings.Join(rows, "\n"))
}

// Clear empties the screen.
func (t *Terminal) Clear() { t.screen.wipe() }

// watchSignals follows changes of the window's size and the hang-up.
func (t *Terminal) watchSignals() {
	for {
		select {
		case <-t.resizes:
			t.screen.resized()
		case <-t.hangUps:
			t.HangUp()
		case <-t.closing:
			return
		}
	}
}

// escapeTime is how long the rest of an escape sequence may take: long enough to type Escape and b
// for Alt-b.
const escapeTime = 500 * time.Millisecond

// readKeys fills the queue until the terminal is closed or gone.
func (t *Terminal) readKeys() {
	defer t.HangUp()
	var keys decoder
	buf := make([]byte, 4096)
	for {
		if keys.waiting() {
			t.tty.SetReadDeadline(time.Now().Add(escapeTime))
		}
		n, err := t.tty.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			keys.giveUp()
			t.tty.SetReadDeadline(time.Time{})
			continue
		}
		if err != nil || n == 0 {
			return
		}
		keys.feed(buf[:n], t.typed)
	}
}

func (t *Terminal) typed(k key) {
	if k.seq == keyInterrupt {
		t.interrupt()
		return
	}
	t.keys.put(k)
}

// HangUp ends all reading with io.EOF, and the running command: the user or the appliance is gone.
func (t *Terminal) HangUp() {
	t.keys.close()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gone = true
	for _, r := range t.running {
		r.end(io.EOF)
	}
}
