package daemon

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"diagsh/capture"
	"diagsh/internal/access"
	"diagsh/internal/api"
	"diagsh/internal/menu"
)

// openDiagnostic opens the diagnostic directory. Nothing is reached through the *os.Root that is not below it, whatever links
// somebody puts there.
func openDiagnostic(path string) (*os.Root, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	return os.OpenRoot(path)
}

// plainFileName reports whether a name is one of a finished file: flat, without a leading dot, and fit to be shown.
func plainFileName(name string) bool {
	return name != "" && len(name) <= 255 && name[0] != '.' && utf8.ValidString(name) && !strings.ContainsRune(name, '/') &&
		!strings.ContainsFunc(name, unicode.IsControl)
}

func noSuchFile(name string) error {
	return &menu.Error{Kind: menu.NotFound, Argument: "file", Message: "There is no file " + menu.Quoted(name) + " in the diagnostic directory"}
}

// stillWritten is noSuchFile for a file that there will be.
func stillWritten(name string) error {
	return &menu.Error{Kind: menu.NotFound, Argument: "file", Message: "The file " + menu.Quoted(name) + " is still being written",
		Hint: "It is to be had when the capture is stopped or goes on in its next file"}
}

// ListFiles returns all finished files, in the order of their names.
func (d *Daemon) ListFiles() ([]access.File, error) {
	listing, err := d.OpenListing()
	if err != nil {
		return nil, err
	}
	defer listing.Close()
	list := []access.File{}
	for {
		files, err := listing.Next(sortedNames)
		if errors.Is(err, io.EOF) {
			slices.SortFunc(list, func(a, b access.File) int { return strings.Compare(a.Name, b.Name) })
			return list, nil
		}
		if err != nil {
			return nil, err
		}
		list = append(list, files...)
	}
}

// sortedNames is how many names of a listing are held and sorted at a time: as many files as the settings of a capture let it keep.
const sortedNames = 10_000

// A fileListing implements api.FileListing. Up to sortedNames files come in the order of their names; of more, each such part does.
type fileListing struct {
	daemon      *Daemon
	dir         *os.File
	names       []string // that were read and not looked at
	headersOnly map[string]bool
}

// OpenListing implements api.Files.
func (d *Daemon) OpenListing() (api.FileListing, error) {
	dir, err := d.files.Open(".")
	if err != nil {
		return nil, menu.Failing("list the files", err)
	}
	return &fileListing{daemon: d, dir: dir, headersOnly: d.captures.headersOnly()}, nil
}

// Next implements api.FileListing.
func (l *fileListing) Next(most int) ([]access.File, error) {
	for {
		if len(l.names) == 0 {
			var err error
			if l.names, err = l.dir.Readdirnames(sortedNames); errors.Is(err, io.EOF) {
				return nil, io.EOF
			} else if err != nil {
				return nil, menu.Failing("list the files", err)
			}
			slices.Sort(l.names)
		}
		some := l.names[:min(most, len(l.names))]
		l.names = l.names[len(some):]
		var files []access.File
		for _, name := range some {
			info, err := l.daemon.regularFile(name)
			var known *menu.Error
			switch {
			case err == nil:
				files = append(files, l.daemon.describe(info, l.headersOnly))
			case !errors.As(err, &known) || known.Kind != menu.NotFound: // it is there and cannot be looked at
				return nil, err
			}
		}
		if len(files) > 0 {
			return files, nil
		}
	}
}

// Close implements api.FileListing.
func (l *fileListing) Close() error { return l.dir.Close() }

// StatFile implements api.Files.
func (d *Daemon) StatFile(name string) (access.File, error) {
	info, err := d.regularFile(name)
	if err != nil {
		return access.File{}, err
	}
	return d.describe(info, d.captures.headersOnly()), nil
}

// describe makes a File. Only of a file that a capture of headers wrote is it known that it holds no packet contents.
func (d *Daemon) describe(info fs.FileInfo, headersOnly map[string]bool) access.File {
	if fileKind(info.Name()) == "reports" {
		return d.reportFile(info)
	}
	return access.File{Name: info.Name(), Bytes: info.Size(), Modified: info.ModTime(), Payload: !headersOnly[info.Name()]}
}

// regularFile looks at a finished file. Anything else, links included, is none.
func (d *Daemon) regularFile(name string) (fs.FileInfo, error) {
	if !plainFileName(name) {
		return nil, noSuchFile(name)
	}
	info, err := d.files.Lstat(name)
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if errors.Is(err, fs.ErrNotExist) {
		if _, growing := d.files.Lstat(capture.PartName(name)); growing == nil {
			return nil, stillWritten(name)
		}
	}
	return info, fileError(name, "look at the file", err)
}

// OpenFile implements api.Files.
func (d *Daemon) OpenFile(name string) (*os.File, error) {
	before, err := d.regularFile(name)
	if err != nil {
		return nil, err
	}
	// Not blocking, in case a pipe took the file's place meanwhile.
	f, err := d.files.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
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
func (d *Daemon) RemoveFile(_ menu.Caller, name string) error {
	if d.captures.writing(name) {
		return &menu.Error{Kind: menu.State, Argument: "file", Message: "The file " + name + " is being written by a capture", Hint: "Stop the capture first"}
	}
	if _, err := d.regularFile(name); err != nil {
		return err
	}
	if err := d.files.Remove(name); err != nil {
		return fileError(name, "delete the file", err)
	}
	if _, isReport := d.reports.of(name); isReport {
		if err := d.reports.forget(name); err != nil {
			d.log.Error("the table of reports cannot be written", "error", err)
		}
	}
	d.captures.removed(name)
	d.keepCaptures()
	return nil
}

func fileError(name, what string, err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ELOOP) {
		return noSuchFile(name)
	}
	return menu.Failing(what, err)
}
