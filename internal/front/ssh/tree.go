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

// What SFTP and SCP see is not a part of the file system but a tree that is made up here: the root,
// in it one folder, in it the appliance's finished files. A path is compared with that and never
// given to the kernel, so there is nowhere for `..` or a symbolic link to lead.
const folder = "diagnostic"

type kind int

const (
	rootFolder kind = iota
	diagnosticFolder
	diagnosticFile
	nothing
)

// absolute is a path from the root without detours. Relative paths begin at the root.
func absolute(p string) string { return path.Clean("/" + p) }

// locate says what a path means, and which file if it is one.
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

// possibleName spares the appliance questions about names that no file there can have.
func possibleName(name string) bool {
	return len(name) <= 255 && utf8.ValidString(name) && strings.IndexFunc(name, func(r rune) bool { return r == '/' || !unicode.IsPrint(r) }) < 0
}

// nextOf returns the next files of a listing that can be named in both protocols: the names of SCP
// end at a line's end.
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

func noSuchFile() error { return menu.Errorf(menu.NotFound, "There is no such file") }

// An entry is a file or folder as clients see it. The time of a folder is when the client looked.
type entry struct {
	name   string
	bytes  int64
	folder bool
	time   time.Time
}

func theFolder() entry { return entry{name: folder, folder: true, time: time.Now()} }

func fileEntry(f access.File) entry { return entry{name: f.Name, bytes: f.Bytes, time: f.Modified} }

// mode is what chmod(1) would show.
func (e entry) mode() uint32 {
	if e.folder {
		return 0o750
	}
	return 0o640
}

// unixMode has the type as well (inode(7)).
func (e entry) unixMode() uint32 {
	if e.folder {
		return unix.S_IFDIR | e.mode()
	}
	return unix.S_IFREG | e.mode()
}

// longName is the line of `ls -l` that section 7 of the SFTP draft describes.
func (e entry) longName(now time.Time) string {
	mode, date := "-rw-r-----", "Jan _2 15:04"
	if e.folder {
		mode = "drwxr-x---"
	}
	if now.Sub(e.time).Abs() > 180*24*time.Hour {
		date = "Jan _2  2006"
	}
	return fmt.Sprintf("%s %4d %-8s %-8s %12d %s %s", mode, 1, "diagsh", "diagsh", e.bytes, e.time.UTC().Format(date), e.name)
}
