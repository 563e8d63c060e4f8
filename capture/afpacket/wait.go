package afpacket

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// wait blocks until something may have changed. again tells Read to look.
func (s *Source) wait(until time.Time) (again bool, err error) {
	now := s.now()
	const never = time.Duration(math.MaxInt64)
	deadline := never
	if !until.IsZero() {
		deadline = until.Sub(s.begin)
	}
	userDeadline := deadline

	s.polls = s.polls[:2]
	s.polls[0] = unix.PollFd{Fd: int32(s.wake), Events: unix.POLLIN}
	s.polls[1] = unix.PollFd{Fd: int32(s.links.fd), Events: unix.POLLIN}
	for _, r := range s.rings {
		poll := unix.PollFd{Fd: int32(r.fd), Events: unix.POLLIN}
		if r.open {
			// It has packets that wait for the window, and would end the wait at once.
			poll.Fd = -1
			deadline = min(deadline, r.seen+window)
		}
		if (r.gone || s.finished) && !r.open {
			deadline = min(deadline, r.drainBy)
		}
		s.polls = append(s.polls, poll)
	}

	switch {
	case deadline == never:
		err = s.waiter.wait(time.Time{})
	case deadline > now:
		err = s.waiter.wait(s.begin.Add(deadline))
	default:
		s.ready()
	}
	if err != nil {
		return false, fmt.Errorf("the wait for packets failed: %w", err)
	}

	if s.polls[1].Revents != 0 {
		s.changed = s.hear() || s.changed
		s.examine()
	}
	for _, poll := range s.polls[2:] {
		if poll.Revents&(unix.POLLERR|unix.POLLHUP|unix.POLLNVAL) != 0 {
			s.examine()
			break
		}
	}
	if s.polls[0].Revents != 0 {
		var count [8]byte
		unix.Read(s.wake, count[:])
		if s.woken.Swap(false) {
			return false, nil
		}
	}
	return s.now() < userDeadline, nil
}

// ready polls the descriptors. It reports whether any is ready, or whether a ring whose packets
// wait for the window fills: the kernel signals each of its blocks. It does not block, so it
// bypasses the runtime, whose monitor watches calls that may.
func (s *Source) ready() bool {
	var now unix.Timespec
	n, _, _ := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&s.polls[0])), uintptr(len(s.polls)),
		uintptr(unsafe.Pointer(&now)), 0, 0, 0)
	fills := false
	for _, r := range s.rings {
		if r.open {
			r.note(s.now())
			fills = fills || r.pressed()
		}
	}
	return n != 0 || fills
}

// hear reads the news of interfaces, and reports whether there may be new ones or new names.
// Removed ones are found by examine, which works even if news were lost.
func (s *Source) hear() (changed bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.links.hear(func(index int, last device) {
		for i := range s.places {
			if s.places[i].tap.Interface.Index == index {
				s.places[i].end(last)
			}
		}
		for _, c := range s.coming {
			c.gone = c.gone || c.index == index // another one may get its index
		}
	})
}

// examine finds the rings whose interface was removed. Their last packets can still be taken.
func (s *Source) examine() {
	for _, r := range s.rings {
		if !r.gone && r.removed() {
			r.gone = true
			r.drainBy = s.now() + drainTime
		}
	}
}

// Wake implements capture.Source.
func (s *Source) Wake() {
	s.woken.Store(true)
	s.interrupt()
}

// interrupt ends the current wait of Read, or else the next one.
func (s *Source) interrupt() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if !s.closed {
		unix.Write(s.wake, binary.NativeEndian.AppendUint64(nil, 1))
	}
}
