package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// JSON is a file that holds one T, which marshals to a JSON object. The member "version" of the
// object says its form.
type JSON[T any] struct {
	Path string
	// Version is the form that Store writes, 1 or more. A file that says none has the version 0. T
	// reads every form from 0 to Version; Load refuses a newer one.
	Version int
	// SetAside, if it is set, is told of a damaged file that Load has renamed. Without it a damaged
	// file is an error of Load.
	SetAside func(Damage)
}

// A Damage is a file that could not be read as what it should be, and has another name now. Nothing
// of it is lost.
type Damage struct {
	Path  string // that it had
	Aside string // that it has
	Err   error  // what is wrong with it
}

// asideWord stands in the names of files that are set aside, after the former name and before the
// time in UTC.
const asideWord = ".damaged-"

// AsideFiles returns the paths of the files in a directory that were set aside, in the order of
// their names.
func AsideFiles(dir string) (paths []string, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		if strings.Contains(e.Name(), asideWord) {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return paths, err
}

// FormerName returns the name that a file had before it was set aside.
func FormerName(aside string) string {
	name, _, _ := strings.Cut(filepath.Base(aside), asideWord)
	return name
}

// Load reads the file into v and reports whether there is one. Its error names the file. A file that
// a newer build wrote is an error. A damaged one is set aside: there is none then, and v is zero.
func (f JSON[T]) Load(v *T) (found bool, err error) {
	data, err := Read(f.Path)
	if err != nil || data == nil {
		return false, err
	}
	newer, damage := f.decode(data, v)
	if newer != nil {
		return false, newer
	}
	if damage == nil {
		return true, nil
	}
	damage = fmt.Errorf("%s is damaged: %w", f.Path, damage)
	if f.SetAside == nil {
		return false, damage
	}
	var none T
	*v = none
	return false, f.setAside(damage)
}

// decode reads data into v. newer is the error of a form that this build does not know.
func (f JSON[T]) decode(data []byte, v *T) (newer, damage error) {
	var form struct {
		Version int `json:"version"`
	}
	// Forms of the version 0 need not be objects.
	if object := bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")); object {
		if err := json.Unmarshal(data, &form); err != nil {
			return nil, err
		}
	}
	if err := CheckVersion(f.Path, form.Version, f.Version); err != nil {
		return err, nil
	}
	return nil, json.Unmarshal(data, v)
}

// setAside gives the file a name that no other has.
func (f JSON[T]) setAside(damage error) error {
	return giveAside(f.Path, damage, os.Rename, f.SetAside)
}

// KeepAside gives a file a second name, and tells told. It is for a file of which the caller keeps what
// is not damaged, and replaces it. With nil, the damage is returned as an error.
func KeepAside(path string, damage error, told func(Damage)) error {
	damage = fmt.Errorf("%s is damaged: %w", path, damage)
	if told == nil {
		return damage
	}
	return giveAside(path, damage, os.Link, told)
}

// giveAside gives a file, by rename or link, a name that no other has.
func giveAside(path string, damage error, give func(from, to string) error, told func(Damage)) error {
	stamp := path + asideWord + time.Now().UTC().Format("20060102-150405")
	aside := stamp
	for n := 2; ; n++ {
		if _, err := os.Lstat(aside); errors.Is(err, fs.ErrNotExist) {
			break
		}
		aside = fmt.Sprintf("%s-%d", stamp, n)
	}
	if err := give(path, aside); err != nil {
		return errors.Join(damage, err)
	}
	if err := SyncDirectory(filepath.Dir(path)); err != nil {
		return errors.Join(damage, err)
	}
	told(Damage{Path: path, Aside: aside, Err: damage})
	return nil
}

// CheckVersion returns an error for whoever starts the appliance if the file at path says a version
// that is newer than known, the newest that this build reads.
func CheckVersion(path string, version, known int) error {
	if version <= known {
		return nil
	}
	return fmt.Errorf("%s was written by a newer diagsh: its form is %d, and this one knows forms up to %d. Start the newer one, or restore the file from a backup",
		path, version, known)
}

// Store replaces the file. It returns when v is safe on the disk. One goroutine at a time may
// store.
func (f JSON[T]) Store(v T) error {
	data, err := f.Encode(v)
	if err != nil {
		return err
	}
	return Replace(f.Path, data)
}

// Encode returns what Store writes, for a caller who holds a lock on v and must not wait for the
// disk: Replace(f.Path, data) follows without the lock.
func (f JSON[T]) Encode(v T) ([]byte, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	members, ok := bytes.CutPrefix(body, []byte("{"))
	if !ok {
		return nil, fmt.Errorf("%T is no object of JSON", v)
	}
	var whole, data bytes.Buffer
	fmt.Fprintf(&whole, `{"version":%d`, f.Version)
	if !bytes.HasPrefix(members, []byte("}")) {
		whole.WriteByte(',')
	}
	whole.Write(members)
	if err := json.Indent(&data, whole.Bytes(), "", "  "); err != nil {
		return nil, err
	}
	data.WriteByte('\n')
	return data.Bytes(), nil
}
