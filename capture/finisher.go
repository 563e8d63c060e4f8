package capture

import (
	"errors"
	"io/fs"
	"slices"
	"sync/atomic"
)

// finisher closes the full files of a capture, renames them to their final names, and deletes the
// oldest. It does so on a goroutine of its own, because the capture must not wait for the disk.
type finisher struct {
	job   *Job
	files chan finished
	freed chan struct{} // Config.Retain may have changed its answer
	ended chan struct{}
	err   atomic.Pointer[error]
	last  string // name of the file that was closed last
}

// finished is a file that gets no more packets.
type finished struct {
	file     File
	name     string
	counters []Counters
}

const (
	// closing is how many files may wait to be closed before the capture waits too. Each costs one
	// or two descriptors.
	closing = 128

	// WaitingBytes is how many bytes of small files may wait, however few files are kept: a disk
	// that is slow for a moment is no reason to lose packets.
	WaitingBytes = 64 << 20
)

// waiting returns how many files of a capture may wait to be closed, at most closing. They take
// disk space beside the files that are kept. So where few are kept, few may wait: as many as are
// kept, or WaitingBytes if that is more.
func (s Spec) waiting() int {
	r := s.files()
	if r.KeepFiles == 0 {
		return closing
	}
	n := r.KeepFiles
	if r.FileBytes > 0 {
		n = max(n, WaitingBytes/r.FileBytes)
	}
	return int(min(n, closing))
}

// start starts the goroutine that finishes files. It is called once, when the capture begins.
func (k *finisher) start(j *Job) {
	k.job, k.files, k.freed, k.ended = j, make(chan finished, j.config.Spec.waiting()), make(chan struct{}, 1),
		make(chan struct{})
	go func() {
		defer close(k.ended)
		for {
			var err error
			select {
			case f, more := <-k.files:
				if !more {
					return
				}
				err = k.keep(f)
			case <-k.freed:
				err = k.prune()
			}
			if err != nil {
				k.err.CompareAndSwap(nil, &err)
			}
		}
	}()
}

// end waits until all files are finished and returns the first error. It is called once.
func (k *finisher) end() error {
	close(k.files)
	<-k.ended
	return k.failed()
}

// failed returns the first error so far. Any goroutine may call it.
func (k *finisher) failed() error {
	if err := k.err.Load(); err != nil {
		return *err
	}
	return nil
}

// keep closes a file and gives it its name, or deletes it if it has no packet and is not needed.
// Then it deletes the oldest file if there is one too many.
func (k *finisher) keep(f finished) error {
	info, err := f.file.Close(f.counters)
	// A file without packets stays if it is the only one, or if it stands for its time in a ring.
	if info.Packets == 0 && (err != nil || !k.job.config.Spec.Rotates()) && k.forget(f.name, info.Bytes) {
		return err
	}
	name := PartName(f.name)
	if publishErr := k.publish(f.name); publishErr == nil {
		name = f.name
	} else if err == nil {
		err = publishErr
	}
	info.Name = name

	j := k.job
	j.mutex.Lock()
	for i := range j.status.Files {
		if known := &j.status.Files[i]; known.Name == f.name {
			if info.Packets == known.Packets { // else not all that was counted is there
				info.FilterPackets, info.UncountedPackets = known.FilterPackets, known.UncountedPackets
			}
			*known = info
		}
	}
	j.mutex.Unlock()
	k.last = name
	if j.config.OnClose != nil && name == f.name {
		j.config.OnClose(info)
	}
	if err == nil {
		err = k.prune()
	}
	if j.config.OnRotate != nil && j.config.Spec.Rotates() {
		j.config.OnRotate()
	}
	return err
}

// forget deletes a file without packets and reports whether it did. The only file of a capture
// stays if it can be read, for what its header says.
func (k *finisher) forget(name string, bytes int64) bool {
	j := k.job
	j.mutex.Lock()
	defer j.mutex.Unlock()
	if bytes > 0 && len(j.status.Files) == 1 {
		return false
	}
	j.status.Files = slices.DeleteFunc(slices.Clone(j.status.Files), func(f FileInfo) bool { return f.Name == name })
	j.config.Dir.Remove(PartName(name))
	return true
}

// publish renames a finished file to its final name. It returns when the new name is on the disk,
// unless another file waits: they are in one directory, which is synced after the last.
func (k *finisher) publish(name string) error {
	dir := k.job.config.Dir
	if _, err := dir.Lstat(name); err == nil {
		return &FileExistsError{name}
	}
	if err := dir.Rename(PartName(name), name); err != nil {
		return bare(err)
	}
	if len(k.files) > 0 {
		return nil // the next file syncs the same directory
	}
	// A new name is on the disk once its directory is (fsync(2)).
	d, err := dir.Open(".")
	if err != nil {
		return bare(err)
	}
	defer d.Close()
	return bare(d.Sync())
}

// prune deletes the oldest files until no more are left than are kept. Files that are not closed
// yet do not count: before an old file goes, a new one must be on the disk, in case that the
// process dies now. So while the disk is slow there are more files than are kept: those that wait,
// the one that is being closed, and two of the capture, which waits then. There are also more while
// Config.Retain holds the oldest: the younger ones are not deleted before it.
func (k *finisher) prune() error {
	if k.failed() != nil {
		return nil // a file that may not be whole replaces no other
	}
	j := k.job
	keep := int(j.config.Spec.KeptFiles())
	for keep > 0 {
		j.mutex.Lock()
		s := &j.status
		closed := 1 + slices.IndexFunc(s.Files, func(f FileInfo) bool { return f.Name == k.last })
		if closed < keep || len(s.Files) <= keep || j.config.Retain != nil && j.config.Retain(s.Files[0].Name) {
			j.mutex.Unlock()
			return nil
		}
		oldest := s.Files[0]
		s.Files = s.Files[1:]
		s.FilesRemoved++
		s.PacketsRemoved += oldest.Packets
		s.BytesRemoved += oldest.Bytes
		j.removed = j.removed.Plus(oldest.FilterPackets)
		j.mutex.Unlock()
		if err := j.config.Dir.Remove(oldest.Name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return bare(err)
		}
	}
	return nil
}
