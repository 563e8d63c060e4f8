package capture

import (
	"runtime"
	"time"
)

const (
	// flushDelay is how long a packet may wait in our memory. Before that it waits in the ring, and
	// after it the disk needs time: all together is less than 1 s.
	flushDelay = 300 * time.Millisecond

	// yieldStep is after how many bytes other goroutines get a turn. On one CPU the goroutine that
	// writes would otherwise wait for the scheduler's 10 ms after each of its writes.
	yieldStep = 1 << 20

	// diskStep is how many bytes are written between two checks of the free disk space.
	diskStep = 4 << 20

	// diskStride is the most that is written between two checks: diskStep and one batch, of packets
	// of 4 KiB each. Where the kernel joins packets (GRO) it may be more.
	diskStride = diskStep + batchSize*4<<10
)

// A pacer decides when a job does something beside its packets: end, rotate, flush, check the disk.
// Only the goroutine that moves the packets may use it.
type pacer struct {
	finished StopReason    // why the source takes no more packets; empty while it does
	deadline time.Time     // of the whole capture; zero if there is none
	each     time.Duration // for one file; 0 if there is no limit
	flush    time.Time     // when to flush next; zero when all is flushed
	checked  int64         // bytes written at the last check of the disk
	yielded  int64         // bytes written when other goroutines got their last turn
	alone    bool          // there is only one CPU
}

// newPacer returns the pacer of a capture that began at start and has written that many bytes.
func newPacer(s Spec, start time.Time, written int64) pacer {
	p := pacer{
		each:    time.Duration(s.files().FileSeconds) * time.Second,
		checked: written, yielded: written, alone: runtime.GOMAXPROCS(0) == 1,
	}
	if s.Limits.DurationSeconds > 0 {
		p.deadline = start.Add(time.Duration(s.Limits.DurationSeconds) * time.Second)
	}
	return p
}

// isOver reports whether the time of the capture has passed.
func (p *pacer) isOver(now time.Time) bool { return !p.deadline.IsZero() && !now.Before(p.deadline) }

// finish notes that the source takes no more packets. From then on no limit of time counts.
func (p *pacer) finish(reason StopReason) { p.finished, p.deadline = reason, time.Time{} }

// flushIsDue reports whether packets have waited in memory for flushDelay.
func (p *pacer) flushIsDue(now time.Time) bool { return !p.flush.IsZero() && !now.Before(p.flush) }

// flushed notes a flush; pending says that packets still wait.
func (p *pacer) flushed(now time.Time, pending bool) {
	p.flush = time.Time{}
	if pending {
		p.flush = now.Add(flushDelay)
	}
}

// wrote notes that packets wait in memory.
func (p *pacer) wrote() {
	if p.flush.IsZero() {
		p.flush = time.Now().Add(flushDelay)
	}
}

// rotation returns when the time of a file that was begun at begun is over; zero if it has no
// limit.
func (p *pacer) rotation(begun time.Time) time.Time {
	if p.each == 0 || p.finished != "" {
		return time.Time{}
	}
	return begun.Add(p.each)
}

// wake returns the time until which to wait for packets; zero is for ever.
func (p *pacer) wake(rotation time.Time) time.Time {
	return earlier(p.deadline, earlier(p.flush, rotation))
}

// passed notes how many bytes are written, and gives other goroutines a turn. If a check of the
// disk is due it returns the bytes since the last one, else 0.
func (p *pacer) passed(written int64) int64 {
	if p.alone && written-p.yielded >= yieldStep {
		p.yielded = written
		runtime.Gosched()
	}
	step := written - p.checked
	if step < diskStep {
		return 0
	}
	p.checked = written
	return step
}

// earlier returns the earlier of two times. The zero time does not count.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
