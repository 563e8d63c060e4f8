package server

import (
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"diagsh/access"
	"diagsh/menu"
)

// What SFTP and SCP see is not a part of the file system but a tree that is made up here: the root, in it one folder, in it the
// appliance's finished files. A path is compared with that and never given to the kernel, so there is nowhere for `..` or a
// symbolic link to lead.
const folder = "diagnostic"

type kind int

const (
	rootFolder kind = iota
	diagnosticFolder
	diagnosticFile
	nothing
)

// locate says what a path means, and which file if it is one. Relative paths begin at the root.
func locate(p string) (kind, string) {
	p = path.Clean("/" + p)
	if p == "/" {
		return rootFolder, ""
	}
	name, inside := strings.CutPrefix(p, "/"+folder)
	if !inside {
		return nothing, ""
	}
	if name == "" {
		return diagnosticFolder, ""
	}
	name, inside = strings.CutPrefix(name, "/")
	if !inside || !possibleName(name) {
		return nothing, ""
	}
	return diagnosticFile, name
}

// possibleName spares the appliance questions about names that no file there can have.
func possibleName(name string) bool {
	return len(name) <= 255 && utf8.ValidString(name) && strings.IndexFunc(name, func(r rune) bool { return r == '/' || !unicode.IsPrint(r) }) < 0
}

// list returns what can be named in both protocols: the names of SCP end at a line's end.
func list(files Files) ([]access.File, error) {
	all, err := files.List()
	return slices.DeleteFunc(all, func(f access.File) bool { return !possibleName(f.Name) }), err
}

func noSuchFile() error { return menu.Errorf(menu.NotFound, "There is no such file") }

// An entry is a file or folder as fs.FileInfo has it. The time of a folder is when the client looked.
type entry struct {
	name  string
	bytes int64
	mode  fs.FileMode
	time  time.Time
}

func folderEntry(name string) entry { return entry{name, 0, fs.ModeDir | 0o750, time.Now()} }

func fileEntry(f access.File) entry { return entry{f.Name, f.Bytes, 0o640, f.Modified} }

func (e entry) Name() string       { return e.name }
func (e entry) Size() int64        { return e.bytes }
func (e entry) Mode() fs.FileMode  { return e.mode }
func (e entry) ModTime() time.Time { return e.time }
func (e entry) IsDir() bool        { return e.mode.IsDir() }
func (e entry) Sys() any           { return nil }
