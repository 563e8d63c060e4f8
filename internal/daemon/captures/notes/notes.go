// Package notes keeps what users note at packets of capture files: a text, or a mark, which is a
// note without one. They are in one file, which is replaced as a whole. A note belongs to a packet
// by the name of its file and its number there, so it stays with the packet when a ring deletes the
// files before it.
package notes

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"diagsh/internal/access"
	"diagsh/internal/daemon/store"
	"diagsh/internal/menu"
)

// Bounds of notes.
const (
	maxText   = 500 // characters of one
	maxOfFile = 1000
	maxNotes  = 10_000
)

// A Book has the notes. Its methods may be called from any goroutine.
type Book struct {
	file store.JSON[content]
	tell access.Teller // of files whose notes changed

	mu  sync.Mutex
	now content
}

// content is what the file holds: the notes of each file, in the order of its packets.
type content struct {
	Files map[string][]access.Note `json:"files"`
}

// Open reads the notes that are kept at path. A damaged file is set aside, unless setAside is nil.
func Open(path string, tell access.Teller, setAside func(store.Damage)) (*Book, error) {
	b := &Book{file: store.JSON[content]{Path: path, Version: 1, SetAside: setAside}, tell: tell}
	_, err := b.file.Load(&b.now)
	return b, err
}

// Of returns the notes of files, in the order of the names and then of the packets.
func (b *Book) Of(files ...string) (list []access.Note) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, name := range files {
		list = append(list, b.now.Files[name]...)
	}
	return list
}

// Revision returns a text that is another one for each state of a file's notes. It is empty without
// notes.
func (b *Book) Revision(file string) string {
	notes := b.Of(file)
	if len(notes) == 0 {
		return ""
	}
	text, err := json.Marshal(notes)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// Set keeps a note, in the place of another one at the packet.
func (b *Book) Set(n access.Note) error {
	if err := checkText(n.Text); err != nil {
		return err
	}
	return b.change(n.File, func(list []access.Note) ([]access.Note, error) {
		at, there := find(list, n.InFile)
		if there {
			list[at] = n
			return list, nil
		}
		if len(list) >= maxOfFile {
			return nil, full("%d notes are at packets of the file, which is the most", len(list))
		}
		if all := b.count(); all >= maxNotes {
			return nil, full("%d notes are kept, which is the most", all)
		}
		return slices.Insert(list, at, n), nil
	})
}

// checkText returns an error unless a text is one line that can be kept.
func checkText(text string) error {
	switch {
	case !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl):
		return menu.BadArgument("text", "The text has control characters").WithHint("Write it in one line")
	case utf8.RuneCountInString(text) > maxText:
		return menu.BadArgument("text", "The text is longer than %d characters", maxText)
	}
	return nil
}

func full(format string, arguments ...any) error {
	return menu.Errorf(menu.State, format, arguments...).WithHint("Delete one first")
}

// Delete deletes the note at a packet and returns it. there is false if there is none.
func (b *Book) Delete(file string, inFile int64) (n access.Note, there bool, err error) {
	at, there := find(b.Of(file), inFile)
	if !there {
		return n, false, nil
	}
	err = b.change(file, func(list []access.Note) ([]access.Note, error) {
		if at, there = find(list, inFile); !there {
			return list, nil // another caller deleted it meanwhile
		}
		n = list[at]
		return slices.Delete(list, at, at+1), nil
	})
	return n, there, err
}

// Forget deletes the notes of files that are gone.
func (b *Book) Forget(gone func(file string) bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	next := content{Files: map[string][]access.Note{}}
	var forgotten []string
	for name, list := range b.now.Files {
		if gone(name) {
			forgotten = append(forgotten, name)
		} else {
			next.Files[name] = list
		}
	}
	if len(forgotten) == 0 {
		return nil
	}
	return b.keep(next, forgotten...)
}

// Count returns how many notes there are.
func (b *Book) Count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.count()
}

func (b *Book) count() (n int) {
	for _, list := range b.now.Files {
		n += len(list)
	}
	return n
}

// change stores what edit makes of a file's notes. Where that fails they stay as they were.
func (b *Book) change(file string, edit func([]access.Note) ([]access.Note, error)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	list, err := edit(slices.Clone(b.now.Files[file]))
	if err != nil {
		return err
	}
	next := content{Files: map[string][]access.Note{}}
	for other, notes := range b.now.Files {
		next.Files[other] = notes
	}
	delete(next.Files, file)
	if len(list) > 0 {
		next.Files[file] = list
	}
	return b.keep(next, file)
}

// keep stores the notes. Called with the lock held, so that the file has what the memory has.
func (b *Book) keep(next content, changed ...string) error {
	if err := b.file.Store(next); err != nil {
		return menu.Failing("keep the notes", err)
	}
	b.now = next
	b.tell.Changed(changed...)
	return nil
}

// find returns where the note at a packet is in a list, or where it would be.
func find(list []access.Note, inFile int64) (at int, there bool) {
	return slices.BinarySearchFunc(list, inFile, func(n access.Note, number int64) int { return cmp.Compare(n.InFile, number) })
}

// Comments returns what a file says of its packets, by their numbers.
func (b *Book) Comments(file string) map[int64]string {
	comments := map[int64]string{}
	for _, n := range b.Of(file) {
		comments[n.InFile] = n.Text
		if n.Text == "" {
			comments[n.InFile] = "Marked"
		}
	}
	return comments
}
