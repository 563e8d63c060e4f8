package capture

import (
	"errors"
	"slices"
	"syscall"
)

// The status of a job.

// Err returns the error that ended the capture, for a log. Users read it in Status.
func (j *Job) Err() error {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	return j.err
}

// Status returns the capture as it is at this moment.
func (j *Job) Status() Status {
	j.mutex.Lock()
	s, behind, err := j.status, j.behind, j.err
	s.Interfaces = slices.Clone(s.Interfaces)
	s.Files = slices.Clone(s.Files)
	if j.tally != nil {
		s.FilterPackets = CountsOf(s.Files, j.removed)
		for i := range s.Files {
			s.Files[i].FilterPackets = slices.Clone(s.Files[i].FilterPackets) // which the job changes
		}
	}
	s.State, s.StopReason, s.StartTime, s.EndTime = Running, j.reason, j.start, j.end
	j.mutex.Unlock()
	// The counters are read last, so that no more was written than received.
	counters := j.source.Counters()
	s.EffectiveFilter, s.Format, s.Owner = j.config.EffectiveFilter, j.format, j.config.Owner
	for _, f := range s.Files {
		s.PacketsWritten += uint64(f.Packets)
		s.BytesWritten += f.Bytes
	}
	s.PacketsWritten += uint64(s.PacketsRemoved)
	s.BytesWritten += s.BytesRemoved
	if f, is := j.source.(Following); is {
		n, ok := f.Processes()
		if s.ProcessesNoRoom = n.NoRoom; ok {
			s.ProcessesFollowed = new(int(n.Processes))
		}
	}
	seen, dropped := j.seenBefore, uint64(0)
	for _, c := range counters {
		s.PacketsReceived += c.Received
		dropped += c.Dropped
		seen = plus(seen, c)
	}
	s.PacketsSeen = seen
	s.PacketsNotShown += j.views.missed.Load()
	s.PacketsDropped, s.PacketsMatched = nil, nil
	if j.droppedBefore != nil {
		dropped += *j.droppedBefore
		s.PacketsDropped, s.PacketsMatched = &dropped, new(s.PacketsReceived+dropped)
	}
	if s.StopReason == "" {
		return s
	}
	s.State = s.StopReason.State()
	if before := s.PacketsWritten + s.PacketsDiscarded + s.PacketsBehindLimit; before < s.PacketsReceived {
		left := s.PacketsReceived - before
		if behind {
			s.PacketsBehindLimit += left
		} else {
			s.PacketsDiscarded += left
		}
	}
	if err != nil {
		s.Error = explain(s.StopReason, err)
	}
	return s
}

// plus returns sum with what an interface counted, nil if a part of it is unknown.
func plus(sum *uint64, c Counters) *uint64 {
	if sum == nil || !c.SeenKnown {
		return nil
	}
	all := *sum + c.Seen
	return &all
}

// explain returns the text for users about the error that ended a capture.
func explain(reason StopReason, err error) string {
	var low *DiskLowError
	var quota *QuotaError
	switch {
	case errors.As(err, &low), errors.As(err, &quota):
		return err.Error()
	case reason == DiskLow:
		return "the disk is full"
	case errors.Is(err, syscall.EIO):
		return "the disk reports an error"
	case errors.Is(err, syscall.EROFS):
		return "the disk can only be read"
	}
	return "reading packets or writing the file failed"
}

// ending returns reason, or if it is empty the reason for an error.
func ending(reason StopReason, err error) (StopReason, error) {
	if reason == "" {
		return failure(err)
	}
	return reason, err
}

// failure returns the reason for an error that ends the capture: DiskLow or FileError.
func failure(err error) (StopReason, error) {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return DiskLow, err
	}
	return FileError, err
}
