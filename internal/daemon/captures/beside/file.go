package beside

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"diagsh/capture"
)

// ErrStopped reports that a file takes no more. Its status says why.
var ErrStopped = errors.New("the file beside the capture takes no more")

// A File is one that grows beside a capture. Its methods may be called from any goroutine.
type File struct {
	options   Options
	name      string
	kind      Kind
	continued bool // it was there before

	mu      sync.Mutex // guards what follows
	file    *os.File
	bytes   int64
	asked   int64 // the size up to which there is room
	stopped string
	blind   []string
	closing bool // it is not written anew any more

	shorten    shortener     // nil: it is not written anew
	shortening chan struct{} // closed when it has been written anew; nil: it is not being
	shortened  int64         // the size that it had then
	reasons    []capture.DropReason
}

// Continued reports whether the file was there before, with what an earlier part of the capture
// wrote.
func (f *File) Continued() bool { return f.continued && f.Size() > 0 }

// Size returns the size of the file.
func (f *File) Size() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.bytes
}

// Write appends whole records. Either all of b is in the file, or nothing. The error is ErrStopped,
// for this call and all later ones.
func (f *File) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped != "" || f.file == nil {
		return 0, ErrStopped
	}
	if f.bytes+int64(len(b)) > f.options.MostBytes {
		return 0, f.stop(fmt.Sprintf("it has %d MB, which is the most", f.options.MostBytes>>20))
	}
	if f.bytes+int64(len(b)) > f.asked {
		if err := f.options.Room(); err != nil {
			return 0, f.stop(err.Error())
		}
		f.asked = f.bytes + int64(len(b)) + Step
	}
	n, err := f.file.Write(b)
	if err != nil {
		f.file.Truncate(f.bytes) // no part of a record stays
		return 0, f.stop("it cannot be written: " + bare(err).Error())
	}
	f.bytes += int64(n)
	f.shortenIfLarge()
	return n, nil
}

// Last appends a last record to a file that takes no more, because of its size or a disk that is
// low: who reads it must know where it ends. A small record is worth the little space.
func (f *File) Last(b []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.file == nil {
		return
	}
	n, err := f.file.Write(b)
	if err != nil {
		f.file.Truncate(f.bytes)
		return
	}
	f.bytes += int64(n)
}

// stop notes why the file takes no more. Called with the lock held.
func (f *File) stop(why string) error {
	f.stopped = why
	return ErrStopped
}

func (f *File) info() capture.FileBeside {
	f.mu.Lock()
	defer f.mu.Unlock()
	return capture.FileBeside{Name: f.name, Kind: f.kind.word(), Bytes: f.bytes, Stopped: f.stopped, Blind: f.blind, Reasons: f.reasons}
}

// Reasons returns what a status says of packets that were dropped: at first what it says of earlier
// parts of the capture. The list must not be changed.
func (f *File) Reasons() []capture.DropReason {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reasons
}

// SetReasons sets what a status says of packets that were dropped. The list must not change later.
func (f *File) SetReasons(list []capture.DropReason) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reasons = list
}

// setBlind sets what a status says of what is not in the file.
func (f *File) setBlind(sentences []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.blind = sentences
}

// close brings the file to the disk and gives it its name.
func (f *File) close() error {
	f.keepAsIs()
	f.mu.Lock()
	defer f.mu.Unlock()
	err := errors.Join(f.file.Sync(), f.file.Close())
	f.file = nil
	if err == nil {
		err = rename(f.options.Dir, capture.PartName(f.name), f.name)
	}
	if err == nil {
		err = syncDirectory(f.options.Dir)
	}
	if err != nil && f.stopped == "" {
		f.stopped = "it cannot be finished: " + bare(err).Error()
	}
	return err
}

// discard closes a file and deletes it, unless it was there before.
func (f *File) discard() {
	if f.continued {
		f.close()
		return
	}
	f.keepAsIs()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.file.Close()
	f.file = nil
	f.options.Dir.Remove(capture.PartName(f.name))
}

// syncDirectory returns when the disk knows the names in a directory (fsync(2)).
func syncDirectory(dir *os.Root) error {
	d, err := dir.Open(".")
	if err != nil {
		return bare(err)
	}
	defer d.Close()
	return bare(d.Sync())
}
