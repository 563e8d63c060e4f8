package shell

import (
	"context"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"diagsh/internal/menu"
)

// errBytesOnTerminal refuses to write bytes for a program on a terminal.
func errBytesOnTerminal(path []string) error {
	return menu.Errorf(menu.Usage, "This writes a file to standard output, which is a terminal here").
		WithHint("Send it to a program or into a file; `help %s` says how", strings.Join(path, " "))
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// whileRead returns a context that ends, by errReaderGone, when the other end of a pipe is closed.
// Otherwise a silent stream would not notice.
func whileRead(ctx context.Context, out io.Writer) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		ticks := time.NewTicker(readerCheck)
		defer ticks.Stop()
		for {
			if readerGone(out) {
				cancel(errReaderGone)
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-ticks.C:
			}
		}
	}()
	return ctx, func() { cancel(nil) }
}

// readerGone reports whether out is a pipe without a reader.
func readerGone(out io.Writer) (gone bool) {
	f, ok := out.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return false
	}
	raw.Control(func(fd uintptr) {
		// A pipe reports POLLERR once its last reader has gone, requested or not (poll(2)).
		polls := []unix.PollFd{{Fd: int32(fd)}}
		n, err := unix.Poll(polls, 0)
		gone = err == nil && n > 0 && polls[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0
	})
	return gone
}

const readerCheck = 200 * time.Millisecond
