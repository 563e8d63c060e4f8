package capture

import (
	"cmp"
	"errors"
	"io"
	"time"
)

// The way of the packets, from the source to the file.

// batchSize is how many packets pass at most between two checks of limits and requests to stop.
const batchSize = 256

// move moves packets from the source to the file until there is a reason to end, and returns it. A
// failure or a limit of packets, bytes or files ends it at once. Other reasons let the packets that
// came before still pass.
func (j *Job) move() (StopReason, error) {
	batch := make([]Packet, batchSize)
	p := newPacer(j.config.Spec, j.start, j.closed+j.file.Info().Bytes)
	for {
		now := time.Now()
		if reason := j.wished(&p, now); reason != "" {
			if err := j.finish(&p, reason); err != nil {
				return failure(err)
			}
		}
		if p.flushIsDue(now) {
			if reason, err := j.flush(&p, now); err != nil {
				return reason, err
			}
		}
		rotation := p.rotation(j.begun)
		if !rotation.IsZero() && !now.Before(rotation) {
			if reason, err := j.rotate(); reason != "" || err != nil {
				return ending(reason, err)
			}
			rotation = p.rotation(j.begun)
		}
		n, err := j.source.Read(batch, p.wake(rotation))
		reason := StopReason("")
		if n > 0 {
			reason, err = j.take(&p, batch[:n])
		} else {
			reason, err = j.withoutPackets(&p, err)
		}
		if reason != "" || err != nil {
			return ending(reason, err)
		}
	}
}

// wished returns why the capture must begin to end now: Stop was called, or its time is over. It
// returns "" if neither is so, or if the end has begun.
func (j *Job) wished(p *pacer, now time.Time) StopReason {
	if p.finished != "" {
		return ""
	}
	if asked := j.asked.Load(); asked != nil {
		return *asked
	}
	if p.isOver(now) {
		return TimeExceeded
	}
	return ""
}

// finish has the source end after the packets that came before. The capture then ends for reason.
func (j *Job) finish(p *pacer, reason StopReason) error {
	p.finish(reason)
	return j.source.Finish()
}

// flush writes what waits in memory, and checks the free space, because other programs write to the
// disk too.
func (j *Job) flush(p *pacer, now time.Time) (StopReason, error) {
	pending, err := j.file.Flush()
	if err == nil {
		err = j.finisher.failed() // a file before this one
	}
	if err != nil {
		return failure(err)
	}
	if err := j.checkReserve(); err != nil {
		return DiskLow, err
	}
	p.flushed(now, pending)
	return "", nil
}

// take writes a batch, up to the limit of packets. Every diskStep bytes it checks the disk.
func (j *Job) take(p *pacer, batch []Packet) (StopReason, error) {
	counted := false
	if most := j.config.Spec.Limits.Packets; most > 0 && j.packets+int64(len(batch)) >= most {
		batch, counted = batch[:max(most-j.packets, 0)], true
	}
	j.look(batch)
	reason, err := j.write(batch)
	switch {
	case reason != "" || err != nil:
		return reason, err
	case counted:
		return PacketCountReached, nil
	}
	p.wrote()
	if step := p.passed(j.closed + j.file.Info().Bytes); step > 0 {
		j.stride = max(j.stride, step)
		if err := j.checkDisk(); err != nil {
			return DiskLow, err
		}
	}
	return "", nil
}

// withoutPackets handles what the source returns instead of packets: nothing when the time of
// p.wake has come, io.EOF at its end, or an error that says what became of its interfaces.
func (j *Job) withoutPackets(p *pacer, err error) (StopReason, error) {
	var gone *InterfaceGoneError
	switch {
	case err == nil:
		return "", nil
	case errors.Is(err, io.EOF):
		return cmp.Or(p.finished, InterfaceGone), nil
	case errors.Is(err, ErrInterfacesChanged):
		return j.follow()
	case errors.As(err, &gone):
		// In a capture of all interfaces one may go. A named one ends the capture.
		j.interfaces.lose(gone.Position)
		if p.finished == "" && !j.config.Spec.AllInterfaces() && j.config.Spec.OnInterfaceGone != GoneWaits {
			err := j.finish(p, InterfaceGone)
			return "", err
		}
		return "", nil
	}
	return "", err
}

// write writes packets, into as many files as they need.
func (j *Job) write(batch []Packet) (StopReason, error) {
	matched := j.matched[:len(batch)]
	for {
		took, err := j.file.Write(batch)
		j.packets += int64(took)
		j.views.show(batch[:took])
		j.wrote(matched[:took])
		matched = matched[took:]
		switch {
		case err == nil:
			return "", nil
		case !errors.Is(err, ErrSizeLimit):
			return failure(err)
		case !j.config.Spec.Rotates():
			return SizeExceeded, nil
		}
		if reason, err := j.rotate(); reason != "" || err != nil {
			return reason, err
		}
		batch = batch[took:]
	}
}

// look notes which filters in fields each packet matches. For that the source may have kept more of a
// packet than the capture does; look cuts it.
func (j *Job) look(batch []Packet) {
	if j.tally == nil {
		return
	}
	keep := j.config.Spec.snapLength()
	for i := range batch {
		p := &batch[i]
		j.matched[i] = j.tally.Match(p, j.interfaces.all[p.Interface].LinkType)
		p.Data = p.Data[:min(len(p.Data), keep)]
	}
}

// wrote updates the status after packets were written, of which matched says what filters they match.
func (j *Job) wrote(matched []uint64) {
	info := j.file.Info()
	info.Name = j.name
	j.mutex.Lock()
	defer j.mutex.Unlock()
	last := &j.status.Files[len(j.status.Files)-1]
	if j.counts != nil {
		for _, bits := range matched {
			j.counts.Add(bits)
		}
	}
	info.FilterPackets, info.UncountedPackets = last.FilterPackets, last.UncountedPackets
	*last = info
}
