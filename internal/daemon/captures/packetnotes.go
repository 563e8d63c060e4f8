package captures

import (
	"errors"
	"io/fs"
	"slices"
	"time"

	"diagsh/capture"
	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// Notes returns what users noted at packets of files, in the order of the names and the packets.
func (t *Table) Notes(files ...string) []access.Note { return t.notes.Of(files...) }

// SetNote keeps a note of the caller, in the place of another one at the packet. The caller has
// checked that the file has the packet.
func (t *Table) SetNote(caller menu.Caller, n access.Note) (access.Note, error) {
	n.Author, n.Time = caller.User, time.Now().UTC().Truncate(time.Second)
	return n, t.notes.Set(n)
}

// DeleteNote deletes the note at a packet of a file and returns it. there is false if there is none.
func (t *Table) DeleteNote(file string, inFile int64) (n access.Note, there bool, err error) {
	return t.notes.Delete(file, inFile)
}

// forgetNotes deletes the notes of files that were deleted.
func (t *Table) forgetNotes(files ...string) {
	if err := t.notes.Forget(func(name string) bool { return slices.Contains(files, name) }); err != nil {
		t.log.Error("the notes at packets of deleted files could not be deleted", "error", err)
	}
}

// sweepNotes deletes the notes of files that are not there any more, such as those that a ring
// deleted.
func (t *Table) sweepNotes() {
	missing := func(name string) bool {
		_, err := t.root.Lstat(name)
		return errors.Is(err, fs.ErrNotExist)
	}
	// A file may get its name between the two looks.
	gone := func(name string) bool { return missing(name) && missing(capture.PartName(name)) && missing(name) }
	if err := t.notes.Forget(gone); err != nil {
		t.log.Error("the notes at packets of deleted files could not be deleted", "error", err)
	}
}
