package store

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// JSON is a file that holds one T, which marshals to a JSON object. The member "version" of the
// object says its form.
type JSON[T any] struct {
	Path string
	// Version is the form that Store writes, 1 or more. A file that says none has the version 0. T
	// reads every form from 0 to Version; Load refuses a newer one.
	Version int
}

// Load reads the file into v and reports whether there is one. Its error names the file.
func (f JSON[T]) Load(v *T) (found bool, err error) {
	data, err := Read(f.Path)
	if err != nil || data == nil {
		return false, err
	}
	var form struct {
		Version int `json:"version"`
	}
	// Forms of the version 0 need not be objects.
	if object := bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")); object {
		err = json.Unmarshal(data, &form)
	}
	if err == nil {
		err = CheckVersion(f.Path, form.Version, f.Version)
		if err != nil {
			return false, err
		}
		err = json.Unmarshal(data, v)
	}
	if err != nil {
		return false, fmt.Errorf("%s is damaged: %w", f.Path, err)
	}
	return true, nil
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
