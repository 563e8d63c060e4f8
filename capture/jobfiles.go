package capture

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"
)

// The files of a job: which one packets go to, and when the next begins.

// create begins the next file. The error is a *FileExistsError, or that of Config.Create.
func (j *Job) create() error {
	c := j.config
	name := c.FileName
	if c.Spec.Rotates() || j.next > 1 {
		name = NumberedName(name, j.next)
	}
	if _, err := c.Dir.Lstat(name); err == nil {
		return &FileExistsError{name}
	}
	h := j.header()
	file, err := c.Create(c.Dir, PartName(name), h)
	if err != nil {
		return err
	}
	j.took(file, name, h.Start)
	j.next++
	j.began++
	return nil
}

// append continues the last file of the capture. It takes the name from it until it is finished
// again.
func (j *Job) append() error {
	c := j.config
	s := &j.status
	last := s.Files[len(s.Files)-1]
	if err := c.Dir.Rename(last.Name, PartName(last.Name)); err != nil {
		return &SpecError{Member: "mode",
			Text: fmt.Sprintf("the file %s to append to does not exist", last.Name)}
	}
	h := j.header()
	if h.MaxBytes != Unlimited {
		h.MaxBytes += last.Bytes // which header has subtracted
	}
	file, err := c.Append(c.Dir, PartName(last.Name), h, last)
	if err != nil {
		c.Dir.Rename(PartName(last.Name), last.Name)
		return err
	}
	s.Files = s.Files[:len(s.Files)-1]
	j.closed -= last.Bytes
	j.packets -= last.Packets
	j.took(file, last.Name, h.Start)
	if j.tally != nil {
		j.mutex.Lock()
		defer j.mutex.Unlock()
		f := &s.Files[len(s.Files)-1]
		j.counts, f.UncountedPackets = last.FilterPackets, last.UncountedPackets
		f.FilterPackets = j.counts
	}
	return nil
}

// header returns the header of a file that begins now, and sets most and final for it.
func (j *Job) header() FileHeader {
	c := j.config
	j.most, j.final = Unlimited, false
	if limit := c.Spec.endsAt(); limit != Unlimited {
		j.most, j.final = max(limit-j.closed, 0), true
	}
	if each := c.Spec.files().FileBytes; each > 0 && (!j.final || each < j.most) {
		j.most, j.final = each, false
	}
	return FileHeader{
		Format:      j.format,
		Interfaces:  slices.Clone(j.interfaces.all),
		SnapLength:  c.Spec.snapLength(),
		Filter:      c.EffectiveFilter,
		Precision:   c.Spec.Precision,
		Comments:    c.Comments,
		MaxBytes:    j.most,
		Machine:     c.Machine,
		System:      c.System,
		Application: c.Application,
		Start:       time.Now(),
	}
}

// took makes file the one that packets go to.
func (j *Job) took(file File, name string, now time.Time) {
	j.file, j.name, j.begun = file, name, now
	info := file.Info()
	info.Name = name
	j.mutex.Lock()
	defer j.mutex.Unlock()
	if j.tally != nil {
		j.counts = make(Counts, len(j.config.Spec.Filters))
		info.FilterPackets = j.counts
	}
	j.status.Files = append(j.status.Files, info)
}

// enqueue hands a file to the finisher, with the counters of its time. It waits while too many
// files wait to be closed; see Spec.waiting.
func (j *Job) enqueue(file File, name string) {
	now := j.source.Counters()
	counters := slices.Clone(now)
	for i, base := range j.base {
		counters[i].Seen -= base.Seen
		counters[i].SeenKnown = counters[i].SeenKnown && base.SeenKnown
		counters[i].Received -= base.Received
		counters[i].Dropped -= base.Dropped
	}
	j.base = now
	if e, ok := file.(Ender); ok {
		e.End(counters)
		counters = nil
	}
	j.finisher.files <- finished{file, name, counters}
}

// rotate begins the next file and hands the full one to the finisher. It returns a reason if a
// limit allows no further file.
func (j *Job) rotate() (StopReason, error) {
	limits := j.config.Spec.Limits
	switch {
	case limits.Files > 0 && j.began >= limits.Files:
		return FileCountReached, nil
	case j.final && j.file.Info().Bytes+MaxSnapLength > j.most:
		return SizeExceeded, nil
	}
	file, name, closed := j.file, j.name, j.closed
	j.closed += file.Info().Bytes + file.Ending()
	if err := j.create(); err != nil {
		j.closed = closed
		return failure(err)
	}
	j.enqueue(file, name)
	return "", j.finisher.failed()
}

// bare returns an error of the file system without its path: a path of the server never reaches a
// user.
func bare(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	}
	return err
}
