package files

import (
	"errors"
	"io"
	"os"
	"slices"
	"strings"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// sortedNames is how many names of a listing are held and sorted at a time: as many files as the
// settings of a capture let it keep.
const sortedNames = 10_000

// ListFiles returns all finished files, in the order of their names.
func (d *Directory) ListFiles() ([]access.File, error) {
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

// A listing implements access.FileListing. Up to sortedNames files come in the order of their
// names; of more, each such part does.
type listing struct {
	d     *Directory
	dir   *os.File
	names []string // that were read and not looked at
	known describer
}

// OpenListing implements api.Files.
func (d *Directory) OpenListing() (access.FileListing, error) {
	dir, err := d.root.Open(".")
	if err != nil {
		return nil, menu.Failing("list the files", err)
	}
	return &listing{d: d, dir: dir, known: d.describer()}, nil
}

// Next implements access.FileListing.
func (l *listing) Next(most int) ([]access.File, error) {
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
			info, err := l.d.FileInfo(name)
			var known *menu.Error
			switch {
			case err == nil:
				files = append(files, l.known.file(info))
			case !errors.As(err, &known) || known.Code != menu.NotFound: // it is there and cannot be looked at
				return nil, err
			}
		}
		if len(files) > 0 {
			return files, nil
		}
	}
}

// Close implements access.FileListing.
func (l *listing) Close() error { return l.dir.Close() }
