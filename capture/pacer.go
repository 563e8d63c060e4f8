package capture

import (
	"runtime"
	"time"
)

const (
	// flushDelay is how long a packet may wait in our memory. Before that it may wait
	// in the ring, and after it the disk takes its time: all together is less than 1 s.
	flushDelay = 300 * time.Millisecond

	// yieldStep is after how many bytes other goroutines get a turn: on one CPU the one
	// that writes would else wait for the scheduler's 10 ms after each of its writes.
	yieldStep = 1 << 20

	// diskStep is how many bytes are written between two looks at the free disk.
	diskStep = 4 << 20

	// diskStride is what passes between two looks then, with the batch that is written on
	// the way, of packets of 4 KiB each. Where the kernel joins packets there may be more.
	diskStride = diskStep + batchSize*4<<10
)

// A pacer decides when a job looks at what beside its packets: its time, that of its file, what
// waits in memory, the disk. It is used by the goroutine that moves the packets.
type pacer struct {
	finished StopReason    // why the source takes no more; empty while it does
	deadline time.Time     // for the whole capture; zero if there is none
	each     time.Duration // for one file; 0 if there is none
	flush    time.Time     // when to flush next; zero when all is flushed
	checked  int64         // bytes that were written when the disk was looked at
	yielded  int64         // bytes that were written when other goroutines got a turn
	alone    bool          // there is one CPU
}

// newPacer returns the pacer of a capture that began at start and has written so many bytes.
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

// finish notes that the source takes no more. Then neither the capture's time nor its file's
// counts.
func (p *pacer) finish(reason StopReason) { p.finished, p.deadline = reason, time.Time{} }

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

// rotation returns when a file that was begun at that time is full; zero if time does not fill it.
func (p *pacer) rotation(begun time.Time) time.Time {
	if p.each == 0 || p.finished != "" {
		return time.Time{}
	}
	return begun.Add(p.each)
}

// wake returns until when to wait for packets; zero is for ever.
func (p *pacer) wake(rotation time.Time) time.Time {
	return earlier(p.deadline, earlier(p.flush, rotation))
}

// passed notes how many bytes are written and gives other goroutines a turn. It returns the bytes
// since the last look at the disk if it is time for the next, else 0.
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

// earlier returns the earlier of two times, of which the zero time is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
