package capture

import (
	"errors"
	"io"
	"runtime"
	"time"
)

// The way of the packets, from the source to the file.

const (
	// batchSize is how many packets pass between two looks at limits and wishes.
	batchSize = 256

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

// move moves packets from source to file until there is a reason to stop. Some reasons
// end it at once, the others let the packets that came before still pass.
func (j *Job) move() (StopReason, error) {
	var (
		batch    = make([]Packet, batchSize)
		limits   = j.config.Spec.Limits
		each     = time.Duration(j.config.Spec.files().FileSeconds) * time.Second
		finished StopReason // why the source takes no more
		deadline time.Time  // for the whole capture
		flush    time.Time  // when to flush next; zero when all is flushed
		checked  = j.closed + j.file.Info().Bytes
		yielded  = checked
		alone    = runtime.GOMAXPROCS(0) == 1
	)
	if limits.DurationSeconds > 0 {
		deadline = j.start.Add(time.Duration(limits.DurationSeconds) * time.Second)
	}
	finish := func(reason StopReason) error {
		finished, deadline = reason, time.Time{}
		return j.source.Finish()
	}

	for {
		now := time.Now()
		if finished == "" {
			var err error
			switch asked := j.asked.Load(); {
			case asked != nil:
				err = finish(*asked)
			case !deadline.IsZero() && !now.Before(deadline):
				err = finish(TimeExceeded)
			}
			if err != nil {
				return failure(err)
			}
		}
		if !flush.IsZero() && !now.Before(flush) {
			pending, err := j.file.Flush()
			if err == nil {
				err = j.keeper.failed() // a file before this one
			}
			if err != nil {
				return failure(err)
			}
			if err := j.checkReserve(); err != nil {
				return DiskLow, err // others write too
			}
			flush = time.Time{}
			if pending {
				flush = now.Add(flushDelay)
			}
		}
		var turn time.Time
		if each > 0 && finished == "" {
			turn = j.begun.Add(each)
			if !now.Before(turn) {
				if reason, err := j.turn(); reason != "" || err != nil {
					return ending(reason, err)
				}
				turn = j.begun.Add(each)
			}
		}

		n, err := j.source.Read(batch, earlier(deadline, earlier(flush, turn)))
		if n > 0 {
			var counted bool
			if limits.Packets > 0 && j.packets+int64(n) >= limits.Packets {
				n, counted = int(max(limits.Packets-j.packets, 0)), true
			}
			reason, err := j.write(batch[:n])
			switch {
			case reason != "" || err != nil:
				return ending(reason, err)
			case counted:
				return PacketCountReached, nil
			}
			if flush.IsZero() {
				flush = time.Now().Add(flushDelay)
			}
			bytes := j.closed + j.file.Info().Bytes
			if alone && bytes-yielded >= yieldStep {
				yielded = bytes
				runtime.Gosched()
			}
			if bytes-checked >= diskStep {
				j.stride = max(j.stride, bytes-checked)
				checked = bytes
				if err := j.checkDisk(); err != nil {
					return DiskLow, err
				}
			}
			continue
		}

		var gone *InterfaceGoneError
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			if finished == "" {
				finished = InterfaceGone
			}
			return finished, nil
		case errors.Is(err, ErrInterfacesChanged):
			if reason, err := j.follow(); reason != "" || err != nil {
				return ending(reason, err)
			}
		case errors.As(err, &gone):
			// Of all interfaces one may go. One that was named is missed.
			j.interfaces.lose(gone.Position)
			if finished == "" && !j.config.Spec.AllInterfaces() && j.config.Spec.OnInterfaceGone != GoneWaits {
				if err := finish(InterfaceGone); err != nil {
					return failure(err)
				}
			}
		default:
			return failure(err)
		}
	}
}

// write writes packets, into as many files as that needs.
func (j *Job) write(batch []Packet) (StopReason, error) {
	for {
		took, err := j.file.Write(batch)
		j.packets += int64(took)
		j.views.show(batch[:took])
		info := j.file.Info()
		info.Name = j.name
		j.mutex.Lock()
		j.status.Files[len(j.status.Files)-1] = info
		j.mutex.Unlock()
		switch {
		case err == nil:
			return "", nil
		case !errors.Is(err, ErrSizeLimit):
			return failure(err)
		case !j.config.Spec.Rotates():
			return SizeExceeded, nil
		}
		if reason, err := j.turn(); reason != "" || err != nil {
			return reason, err
		}
		batch = batch[took:]
	}
}

// earlier is the earlier of two times, of which the zero time is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
