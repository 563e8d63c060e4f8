package ssh

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// SFTP and SCP do not show a part of the file system, but a tree that is made here: the root, a
// folder in it, and the finished files of the appliance in that. A path is compared with the tree
// and never given to the kernel. So `..` or a symbolic link cannot lead anywhere else.
const folder = "diagnostic"

type kind int

const (
	rootFolder kind = iota
	diagnosticFolder
	diagnosticFile
	nothing
)

// absolute returns a path from the root without "." and "..". Relative paths begin at the root.
func absolute(p string) string { return path.Clean("/" + p) }

// locate returns what a path is, and the name if it is a file.
func locate(p string) (kind, string) {
	p = absolute(p)
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

// possibleName reports whether a file can have a name. It saves the appliance requests for others.
func possibleName(name string) bool {
	impossible := func(r rune) bool { return r == '/' || !unicode.IsPrint(r) }
	return len(name) <= 255 && utf8.ValidString(name) && strings.IndexFunc(name, impossible) < 0
}

// nextOf returns the next files of a listing whose names both protocols can have. A name of SCP
// ends with its line.
func nextOf(l Listing) ([]access.File, error) {
	for {
		files, err := l.Next()
		if err != nil {
			return nil, err
		}
		if files = slices.DeleteFunc(files, func(f access.File) bool { return !possibleName(f.Name) }); len(files) > 0 {
			return files, nil
		}
	}
}

// noSuchFile returns the error for a path that is nothing.
func noSuchFile() error { return menu.Errorf(menu.NotFound, "There is no such file") }

// An entry is a file or folder as clients see it. The time of a folder is that of the request.
type entry struct {
	name   string
	bytes  int64
	folder bool
	time   time.Time
}

// theFolder returns the one folder.
func theFolder() entry { return entry{name: folder, folder: true, time: time.Now()} }

// fileEntry returns a file as clients see it.
func fileEntry(f access.File) entry { return entry{name: f.Name, bytes: f.Bytes, time: f.Modified} }

// mode returns the permissions (chmod(1)).
func (e entry) mode() uint32 {
	if e.folder {
		return 0o750
	}
	return 0o640
}

// unixMode returns the permissions and the type (inode(7)).
func (e entry) unixMode() uint32 {
	if e.folder {
		return unix.S_IFDIR | e.mode()
	}
	return unix.S_IFREG | e.mode()
}

// longName returns the line of `ls -l` that section 7 of the SFTP draft describes.
func (e entry) longName(now time.Time) string {
	mode, date := "-rw-r-----", "Jan _2 15:04"
	if e.folder {
		mode = "drwxr-x---"
	}
	if now.Sub(e.time).Abs() > 180*24*time.Hour {
		date = "Jan _2  2006"
	}
	when := e.time.UTC().Format(date)
	return fmt.Sprintf("%s %4d %-8s %-8s %12d %s %s", mode, 1, "diagsh", "diagsh", e.bytes, when, e.name)
}
