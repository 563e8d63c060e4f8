package afpacket

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// waiter waits for any of several descriptors by the Go runtime's network poller. A thread that
// waits in poll(2) itself keeps the runtime's monitor at work: it wakes about 60 times per wait, a
// quarter of the cost of a capture of small packets.
type waiter struct {
	file     *os.File // an epoll(7) instance, which can be polled like the descriptors in it
	conn     syscall.RawConn
	deadline time.Time

	ready func(uintptr) bool
}

// newWaiter returns a waiter that waits until ready returns true. It calls ready each time that a
// descriptor gets ready.
func newWaiter(ready func() bool) (*waiter, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err == nil {
		err = unix.SetNonblock(fd, true) // so that package os uses the poller for it
	}
	if err != nil {
		return nil, fmt.Errorf("packets cannot be waited for: %w", err)
	}
	w := &waiter{file: os.NewFile(uintptr(fd), "epoll"), ready: func(uintptr) bool { return ready() }}
	if w.conn, err = w.file.SyscallConn(); err != nil {
		w.close()
		return nil, fmt.Errorf("packets cannot be waited for: %w", err)
	}
	return w, nil
}

// add adds a descriptor, until that is closed.
func (w *waiter) add(fd int) error {
	epoll := -1
	if err := w.conn.Control(func(fd uintptr) { epoll = int(fd) }); err != nil {
		return err
	}
	if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd,
		&unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
		return fmt.Errorf("packets cannot be waited for: %w", err)
	}
	return nil
}

// wait waits until ready returns true, or until the deadline, which must not be zero.
func (w *waiter) wait(deadline time.Time) error {
	if !deadline.Equal(w.deadline) {
		if err := w.file.SetReadDeadline(deadline); err != nil {
			return err
		}
		w.deadline = deadline
	}
	if err := w.conn.Read(w.ready); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return nil
}

func (w *waiter) close() {
	if w != nil {
		w.file.Close()
	}
}
