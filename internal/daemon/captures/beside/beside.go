// Package beside keeps the files that grow beside a capture and hold no packets of it: the table of
// flows by process, and packets that the kernel dropped. One file of each kind is for the whole
// capture, however many files of packets it has.
//
// A file begins before the capture takes its first packet, and ends after its last one. While it
// grows it has a hidden name, as the files of packets have. All that was written one second ago
// survives the death of the appliance. A table of flows is written anew without what is over when it
// has half of its most bytes. A file that grows too large all the same, or finds the disk low, ends by
// itself and says why: the capture goes on.
package beside

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"diagsh/capture"
)

// A Kind is what a file holds. It is the end of the file's name.
type Kind string

const (
	Flows Kind = ".flows"        // NDJSON: which process was at which end of packets
	Drops Kind = ".drops.pcapng" // packets that the kernel dropped
)

var kinds = []Kind{Flows, Drops}

// word returns what the kind is called in a status.
func (k Kind) word() string {
	word, _, _ := strings.Cut(strings.TrimPrefix(string(k), "."), ".")
	return word
}

// Name returns the name of a file beside a capture, whose own file has the given name.
func Name(file string, k Kind) string { return strings.TrimSuffix(file, path.Ext(file)) + string(k) }

// Names returns the names of all files that may be beside a capture.
func Names(file string) (names []string) {
	for _, k := range kinds {
		names = append(names, Name(file, k))
	}
	return names
}

// KindOf returns the kind of the file beside a capture that has a name. It reports false if the
// file is not beside this capture.
func KindOf(file, name string) (Kind, bool) {
	for _, k := range kinds {
		if Name(file, k) == name {
			return k, true
		}
	}
	return "", false
}

// A Recorder writes the files of one kind.
type Recorder interface {
	Kind() Kind

	// Wanted reports whether a capture has such a file.
	Wanted(capture.Options) bool

	// Begin writes what happens from now on to out, until end is called, which returns when nothing
	// is written any more. It may be called for several captures at a time. If the file is there
	// already, as of a capture that is resumed, what is written follows what is in it. The error is
	// for users: without the file the capture does not begin.
	Begin(c Capture, out *File) (end func(), err error)
}

// A Capture is what a Recorder knows of the capture that its file is beside.
type Capture struct {
	Name       string
	Options    capture.Options
	Filter     string              // the effective filter
	Interfaces []capture.Interface // that it begins with
}

// Options say where files are, and how large they may become.
type Options struct {
	Dir       *os.Root
	File      string // the name of the capture's own file
	Recorders []Recorder

	// MostBytes is how large a file may become. Room returns an error, for users, when nothing more
	// may be written; it is asked before each Step bytes.
	MostBytes int64
	Room      func() error

	// Oldest returns the time of the oldest packet that the capture still has; zero if none went.
	Oldest func() time.Time

	// Before is the status of the capture whose files are continued; nil: there is none.
	Before *capture.Status
}

// Step is how many bytes are written until Options.Room is asked again.
const Step = 1 << 20

// A Set is the files beside one capture that runs.
type Set struct {
	files []*File
	ends  []func()
	done  chan struct{} // closed when the files are closed
	begun chan struct{} // has a value until someone closes them
}

// Begin begins the files that a capture wants. If it fails, it leaves nothing behind.
func Begin(o Options, c Capture) (*Set, error) {
	s := &Set{done: make(chan struct{}), begun: make(chan struct{}, 1)}
	s.begun <- struct{}{}
	for _, r := range o.Recorders {
		if !r.Wanted(c.Options) {
			continue
		}
		f, err := begin(o, r.Kind())
		if err == nil {
			var end func()
			if end, err = r.Begin(c, f); err == nil {
				s.files, s.ends = append(s.files, f), append(s.ends, end)
				continue
			}
			f.discard()
		}
		s.Discard()
		return nil, err
	}
	return s, nil
}

// Files returns the files as they are now.
func (s *Set) Files() (list []capture.FileBeside) {
	for _, f := range s.files {
		list = append(list, f.info())
	}
	return list
}

// Close ends the files and gives them their names. It may be called more than once, and returns
// when they have them. The error is that of the first call.
func (s *Set) Close() error {
	var errs []error
	s.finish(func(f *File) { errs = append(errs, f.close()) })
	return errors.Join(errs...)
}

// Discard ends the files of a capture that did not begin, and deletes those that began with it.
func (s *Set) Discard() { s.finish((*File).discard) }

func (s *Set) finish(file func(*File)) {
	select {
	case <-s.begun:
	default:
		<-s.done
		return
	}
	for i, f := range s.files {
		s.ends[i]()
		file(f)
	}
	close(s.done)
}

// begin opens a file under its hidden name.
func begin(o Options, k Kind) (*File, error) {
	name := Name(o.File, k)
	f := &File{options: o, name: name, kind: k}
	part := capture.PartName(name)
	o.Dir.Remove(freshName(name)) // of one who died
	switch err := rename(o.Dir, name, part); {
	case err == nil && o.Before != nil:
		f.continued, f.reasons = true, reasonsOf(o.Before, name)
	case err == nil:
		return nil, errors.Join(fmt.Errorf("there is a file %s already", name), rename(o.Dir, part, name))
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	var err error
	if f.file, err = o.Dir.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600); err != nil {
		return nil, bare(err)
	}
	info, err := f.file.Stat()
	if err != nil {
		f.file.Close()
		return nil, bare(err)
	}
	f.bytes = info.Size()
	return f, nil
}

// reasonsOf returns what a status says of the packets that were dropped, by the name of their file.
func reasonsOf(s *capture.Status, name string) []capture.DropReason {
	for _, f := range s.FilesBeside {
		if f.Name == name {
			return f.Reasons
		}
	}
	return nil
}

// rename gives a file another name. It never replaces a file.
func rename(dir *os.Root, from, to string) error {
	if _, err := dir.Lstat(from); err != nil {
		return bare(err)
	}
	if _, err := dir.Lstat(to); err == nil {
		return fmt.Errorf("there is a file %s already", to)
	}
	return bare(dir.Rename(from, to))
}

// bare returns an error of the file system without its path, which never reaches a user.
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
