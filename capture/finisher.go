package capture

import (
	"errors"
	"io/fs"
	"slices"
	"sync/atomic"
)

// finisher closes the files of a capture that are full, gives them their names, and
// deletes those that have to go. It does so beside the capture, because the disk may
// take its time.
type finisher struct {
	job   *Job
	files chan finished
	freed chan struct{} // a file that was held may not be any more
	ended chan struct{}
	err   atomic.Pointer[error]
	last  string // the file that was closed last
}

// finished is a file that gets no more packets.
type finished struct {
	file     File
	name     string
	counters []Counters
}

const (
	// closing is how many files may wait to be closed before the capture waits too. They
	// cost a descriptor or two each.
	closing = 128

	// WaitingBytes of small files may wait, however few are kept: a disk that takes its
	// time for a moment is no reason to lose packets.
	WaitingBytes = 64 << 20
)

// waiting is how many files of a capture may wait to be closed. On top of those that are
// kept they fill the disk, so where few are kept, few wait: as many, or WaitingBytes.
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

// end waits for all files, and returns the first error.
func (k *finisher) end() error {
	close(k.files)
	<-k.ended
	return k.failed()
}

func (k *finisher) failed() error {
	if err := k.err.Load(); err != nil {
		return *err
	}
	return nil
}

func (k *finisher) keep(f finished) error {
	info, err := f.file.Close(f.counters)
	// Without a packet a file stays as the only one, or for its time in a ring.
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
		if j.status.Files[i].Name == f.name {
			j.status.Files[i] = info
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

// forget removes a file that holds no packet. The only file stays if it can be read, for
// what its header says.
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

// publish gives a finished file its name.
func (k *finisher) publish(name string) error {
	dir := k.job.config.Dir
	if _, err := dir.Lstat(name); err == nil {
		return &FileExistsError{name}
	}
	if err := dir.Rename(PartName(name), name); err != nil {
		return bare(err)
	}
	if len(k.files) > 0 {
		return nil // the next file's directory is the same
	}
	// The new name is on the disk when its directory is.
	d, err := dir.Open(".")
	if err != nil {
		return bare(err)
	}
	defer d.Close()
	return bare(d.Sync())
}

// prune deletes the oldest files when there are more than are kept. Those that are not
// closed yet do not count, until they are: what goes has to be on the disk anew, in case
// that the capture dies now. So while the disk is slow there are more files than are
// kept: those that wait, the one that is closed, and two of the capture that waits then.
// And there are more while the oldest is held, which all that are younger wait for.
func (k *finisher) prune() error {
	if k.failed() != nil {
		return nil // nothing goes for a file that is not whole
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
		j.mutex.Unlock()
		if err := j.config.Dir.Remove(oldest.Name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return bare(err)
		}
	}
	return nil
}
