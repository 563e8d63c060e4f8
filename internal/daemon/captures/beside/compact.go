package beside

import (
	"bufio"
	"errors"
	"io"
	"os"
	"time"

	"diagsh/capture"
)

// A file that would grow too large may be written anew without what nobody needs any more. The new
// one has a name of its own until it takes the place of the other: whoever dies meanwhile leaves the
// file as it was.

// A shortener copies a file without what says nothing about packets from a time on, which is zero if
// all are still there.
type shortener func(to io.Writer, from io.ReadSeeker, oldest time.Time) error

// errClosing ends the writing anew of a file that is being closed.
var errClosing = errors.New("the file is being closed")

// freshName returns the name of a file that is written anew.
func freshName(name string) string { return capture.PartName(name) + ".new" }

// shortenBy lets a file be written anew when it has more than half of the bytes that it may have.
func (f *File) shortenBy(s shortener) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shorten = s
}

// shortenIfLarge begins to write the file anew, unless that was done a few lines ago. Called with the
// lock held.
func (f *File) shortenIfLarge() {
	most := f.options.MostBytes
	if f.shorten == nil || f.shortening != nil || f.closing || f.bytes <= max(most/2, f.shortened+most/8) {
		return
	}
	over, bytes := make(chan struct{}), f.bytes
	f.shortening = over
	go func() {
		defer close(over)
		if f.renew(bytes) != nil {
			f.options.Dir.Remove(freshName(f.name))
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.shortened, f.shortening = f.bytes, nil
	}()
}

// renew writes the first bytes of the file anew, and then what came meanwhile.
func (f *File) renew(bytes int64) error {
	old, err := f.options.Dir.Open(capture.PartName(f.name))
	if err != nil {
		return err
	}
	defer old.Close()
	fresh, err := f.options.Dir.OpenFile(freshName(f.name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	to := bufio.NewWriterSize(allowed{f, fresh}, 256<<10)
	err = f.shorten(to, io.NewSectionReader(old, 0, bytes), f.options.Oldest())
	if err == nil {
		err = errors.Join(to.Flush(), fresh.Sync())
	}
	if err == nil {
		err = f.replace(fresh, old, bytes)
	}
	if err != nil {
		fresh.Close()
	}
	return err
}

// replace appends what the file has from a byte on to the fresh one, which takes its place.
func (f *File) replace(fresh, old *os.File, from int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closing {
		return errClosing
	}
	if _, err := io.Copy(fresh, io.NewSectionReader(old, from, f.bytes-from)); err != nil {
		return err
	}
	info, err := fresh.Stat()
	if err != nil {
		return err
	}
	if err := f.options.Dir.Rename(freshName(f.name), capture.PartName(f.name)); err != nil {
		return err
	}
	f.file.Close()
	f.file, f.bytes, f.asked = fresh, info.Size(), 0
	return nil
}

// An allowed file takes bytes as long as there is room for them and the file that it is to replace is
// not being closed.
type allowed struct {
	of    *File
	fresh *os.File
}

func (a allowed) Write(b []byte) (int, error) {
	a.of.mu.Lock()
	closing := a.of.closing
	a.of.mu.Unlock()
	if closing {
		return 0, errClosing
	}
	if err := a.of.options.Room(); err != nil {
		return 0, err
	}
	return a.fresh.Write(b)
}

// keepAsIs returns when the file is not being written anew, and is not from then on.
func (f *File) keepAsIs() {
	f.mu.Lock()
	f.closing = true
	over := f.shortening
	f.mu.Unlock()
	if over != nil {
		<-over
	}
}
