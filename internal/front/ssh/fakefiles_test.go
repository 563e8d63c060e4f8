package ssh

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// fakeFiles reads names as they come, unlike the appliance, which has a closed folder: a name that
// leads out of it would show.
type fakeFiles struct{ *fakeAppliance }

func (f *fakeFiles) path(name string) (string, error) {
	if strings.ContainsAny(name, "/\x00") || name == ".." || name == "." || name == "" {
		f.t.Errorf("the appliance was asked for %q", name)
		return "", menu.Errorf(menu.NotFound, "There is no such file")
	}
	return filepath.Join(f.dir, name), nil
}

// fakeListing hands out a few files at a time.
type fakeListing struct{ files []access.File }

func (l *fakeListing) Next() ([]access.File, error) {
	if len(l.files) == 0 {
		return nil, io.EOF
	}
	some := l.files[:min(7, len(l.files))]
	l.files = l.files[len(some):]
	return slices.Clone(some), nil
}

func (f *fakeFiles) List() (Listing, error) {
	f.mu.Lock()
	f.listed++
	f.mu.Unlock()
	list, err := f.list()
	return &fakeListing{list}, err
}

func (f *fakeFiles) list() ([]access.File, error) {
	if err := f.allows(menu.Operator); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return nil, err
	}
	var list []access.File
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		list = append(list, access.File{Name: e.Name(), Bytes: info.Size(), Modified: info.ModTime()})
	}
	return list, nil
}

func (f *fakeFiles) Stat(name string) (access.File, error) {
	list, err := f.list()
	if err != nil {
		return access.File{}, err
	}
	for _, e := range list {
		if e.Name == name {
			return e, nil
		}
	}
	return access.File{}, menu.Errorf(menu.NotFound, "There is no such file")
}

func (f *fakeFiles) Open(name string) (*os.File, error) {
	if err := f.allows(menu.Operator); err != nil {
		return nil, err
	}
	p, err := f.path(name)
	if err != nil {
		return nil, err
	}
	file, err := os.Open(p)
	if errors.Is(err, os.ErrNotExist) {
		return nil, menu.Errorf(menu.NotFound, "There is no such file")
	}
	return file, err
}

func (f *fakeFiles) Done(name string, file *os.File, n int64) error {
	file.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.downloads = append(f.downloads, fmt.Sprintf("%s %d", name, n))
	return nil
}

func (f *fakeFiles) Remove(name string) error {
	if err := f.allows(menu.Administrator); err != nil {
		return err
	}
	p, err := f.path(name)
	if err != nil {
		return err
	}
	if err := os.Remove(p); err != nil {
		return menu.Errorf(menu.NotFound, "There is no such file")
	}
	return nil
}

func (f *fakeFiles) Close() error { return nil }

func (l *fakeListing) Close() error { return nil }
