// Package files keeps the diagnostic directory: flat names of finished files, of whatever wrote
// them. A Directory lists, opens and deletes them and knows how much of the disk is left. What a
// file is, and whether it may go, its Owner knows.
package files

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"diagsh/capture"
	"diagsh/internal/access"
	"diagsh/internal/daemon/store"
	"diagsh/internal/menu"
)

// An Owner is a room whose files are in the directory. Its methods are called without a lock of the
// Directory.
type Owner interface {
	// Kind returns what the owner's files are called, in the plural.
	Kind() string

	// Describe returns a function that reports what the owner knows of a finished file now, and
	// whether it is one of the owner's. One call serves a whole listing.
	Describe() func(name string) (Facts, bool)

	// MayRemove returns an error for users while the owner needs a file. It is asked for every
	// file.
	MayRemove(name string) error

	// Removed is called with the files that were deleted, those of other owners too.
	Removed(names ...string)

	// Expendable returns the files that may be deleted without asking, in the order in which they
	// go.
	Expendable() []Expendable
}

// Facts are what an owner knows of a file.
type Facts struct {
	Payload bool      // it may hold packet contents
	Role    menu.Role // that reading it takes; empty: whoever may read files
}

// Expendable is a file that may be deleted without asking.
type Expendable struct {
	Name  string
	Of    string    // what it belongs to, for the audit log
	Since time.Time // that it may go; the oldest goes first

	// Take makes the owner forget the file, which is deleted then. It reports false if the file may
	// not go any more.
	Take func() bool
}

// Options are what a Directory needs of the rooms around it.
type Options struct {
	Path string // made if it does not exist
	Log  *slog.Logger

	Tell access.Teller // of finished files, by their names

	// System writes into the audit log.
	System func(path, message string, arguments map[string]string)

	QuotaBytes   int64 // that all files together may have; 0: no limit but the disk's
	DeleteOldest bool  // expendable files make room below the quota
	ReserveBytes int64 // of the disk that captures leave free; 0: chosen by its size
	KeepFor      time.Duration
}

// A Directory is the diagnostic directory. Its methods may be called from any goroutine.
type Directory struct {
	o       Options
	root    *os.Root
	owners  []Owner
	needing []func() []string

	trimming sync.Mutex  // held while a file is deleted to stay below the quota
	ahead    atomic.Bool // that is done ahead of the need
	tasks    sync.WaitGroup
	watch    *os.File // of the kernel's events; nil if there are none
}

// Open opens the directory. It reaches nothing outside of Path, also if there are links in it.
func Open(o Options) (*Directory, error) {
	if err := os.MkdirAll(o.Path, 0o700); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(o.Path)
	if err != nil {
		return nil, err
	}
	return &Directory{o: o, root: root}, nil
}

// Register adds an owner. The first one that describes a file owns it. It is called before anything
// else.
func (d *Directory) Register(owner Owner) { d.owners = append(d.owners, owner) }

// Spare adds a room that needs files of others: needed returns those that are not deleted without
// asking now. It is called like the methods of an Owner, and Spare before anything else.
func (d *Directory) Spare(needed func() []string) { d.needing = append(d.needing, needed) }

// Close waits for files that are being deleted and closes the directory.
func (d *Directory) Close(context.Context) error {
	if d.watch != nil {
		d.watch.Close()
	}
	d.tasks.Wait()
	return d.root.Close()
}

// Root returns the directory for owners that write files of their own. Path is its name.
func (d *Directory) Root() *os.Root { return d.root }

// Path returns the name of the directory.
func (d *Directory) Path() string { return d.o.Path }

// PlainName reports whether a name is one of a finished file: flat, without a leading dot, and fit
// to be shown.
func PlainName(name string) bool {
	return name != "" && len(name) <= 255 && name[0] != '.' && utf8.ValidString(name) && !strings.ContainsRune(name, '/') &&
		!strings.ContainsFunc(name, unicode.IsControl)
}

func noSuchFile(name string) error {
	return &menu.Error{Code: menu.NotFound, Argument: "file", Message: "There is no file " + menu.Quoted(name) + " in the diagnostic directory"}
}

// stillWritten is noSuchFile for a file that there will be.
func stillWritten(name string) error {
	return &menu.Error{Code: menu.NotFound, Argument: "file", Message: "The file " + menu.Quoted(name) + " is still being written",
		Hint: "It can be read when the capture is stopped or continues in its next file"}
}

func fileError(name, what string, err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ELOOP) {
		return noSuchFile(name)
	}
	return menu.Failing(what, err)
}

// FileInfo looks at a finished file. Anything else, links included, is none.
func (d *Directory) FileInfo(name string) (fs.FileInfo, error) {
	if !PlainName(name) {
		return nil, noSuchFile(name)
	}
	info, err := d.root.Lstat(name)
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if errors.Is(err, fs.ErrNotExist) && d.Growing(name) {
		return nil, stillWritten(name)
	}
	return info, fileError(name, "look at the file", err)
}

// Growing reports whether a capture writes a file that gets this name when it is whole.
func (d *Directory) Growing(name string) bool {
	if !PlainName(name) {
		return false
	}
	_, err := d.root.Lstat(capture.PartName(name))
	return err == nil
}

// Exists reports whether the directory has anything of this name.
func (d *Directory) Exists(name string) bool {
	_, err := d.root.Lstat(name)
	return err == nil
}

// StatFile implements api.Files.
func (d *Directory) StatFile(name string) (access.File, error) {
	info, err := d.FileInfo(name)
	if err != nil {
		return access.File{}, err
	}
	return d.describer().file(info), nil
}

// A describer knows files as their owners know them at one moment.
type describer struct {
	owners []Owner
	facts  []func(name string) (Facts, bool)
}

func (d *Directory) describer() describer {
	known := describer{owners: d.owners}
	for _, owner := range d.owners {
		known.facts = append(known.facts, owner.Describe())
	}
	return known
}

// file describes a file. One without an owner counts as packets, as its contents are not known.
func (known describer) file(info fs.FileInfo) access.File {
	f := access.File{Name: info.Name(), Bytes: info.Size(), Modified: info.ModTime(), Payload: true}
	for _, describe := range known.facts {
		if facts, ok := describe(f.Name); ok {
			f.Payload, f.Role = facts.Payload, facts.Role
			break
		}
	}
	return f
}

// kind returns the kind of a file's owner.
func (known describer) kind(name string) string {
	for i, describe := range known.facts {
		if _, ok := describe(name); ok {
			return known.owners[i].Kind()
		}
	}
	return KindOther
}

// Kinds returns a function that returns the kind of a file's owner as it is now, or KindOther. One
// call serves many files.
func (d *Directory) Kinds() func(name string) string { return d.describer().kind }

// OpenFile implements api.Files.
func (d *Directory) OpenFile(name string) (*os.File, error) {
	before, err := d.FileInfo(name)
	if err != nil {
		return nil, err
	}
	// Not blocking, in case a pipe took the file's place meanwhile.
	f, err := d.root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fileError(name, "open the file", err)
	}
	// A link that took its place has been followed within the directory: then it is another file.
	after, err := f.Stat()
	if err == nil && !os.SameFile(before, after) {
		err = fs.ErrNotExist
	}
	if err != nil {
		f.Close()
		return nil, fileError(name, "open the file", err)
	}
	return f, nil
}

// RemoveFile implements api.Files.
func (d *Directory) RemoveFile(_ menu.Caller, name string) error {
	for _, owner := range d.owners {
		if err := owner.MayRemove(name); err != nil {
			return err
		}
	}
	if _, err := d.FileInfo(name); err != nil {
		return err
	}
	if err := d.root.Remove(name); err != nil {
		return fileError(name, "delete the file", err)
	}
	d.removed(name)
	return nil
}

func (d *Directory) removed(names ...string) {
	for _, owner := range d.owners {
		owner.Removed(names...)
	}
}

// CreateFile makes a file that is not there yet, to be read and written. A name that begins with a
// dot hides it until RenameFile gives it another.
func (d *Directory) CreateFile(name string) (*os.File, error) {
	return d.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
}

// RenameFile gives a hidden file its name, and returns when the disk knows that. No file of the
// name may be there.
func (d *Directory) RenameFile(hidden, name string) error {
	if d.Exists(name) {
		return &fs.PathError{Op: "rename", Path: filepath.Join(d.o.Path, name), Err: fs.ErrExist}
	}
	if err := d.root.Rename(hidden, name); err != nil {
		return err
	}
	return store.SyncDirectory(d.o.Path)
}
