// Package store brings bytes onto the disk so that a crash at any moment leaves either what was
// there or what was to be there.
//
//   - Replace changes a file as a whole, and JSON[T] keeps a value in such a file with a version.
//   - Lines appends to a file, each line as a whole or not at all.
//   - LineReader, LineBefore and LastLine read lines in bounded memory; Tail follows a log over
//     every change of its files, and a Notifier wakes it.
//
// It knows nothing of what it stores.
package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Replace puts data in the place of the file at path in one step: after a crash at any moment the
// file holds either what it held before or all of data. It returns when the new content is safe on
// the disk. One goroutine at a time may replace a file.
func Replace(path string, data []byte) error {
	// A fixed name, so that what a crash leaves behind is overwritten and does not pile up.
	next := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(next, path)
	}
	if err != nil {
		os.Remove(next)
		return err
	}
	return SyncDirectory(filepath.Dir(path))
}

// SyncDirectory makes the names in a directory survive a power failure (fsync(2)).
func SyncDirectory(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// Read returns the content of a file, or nil if there is none.
func Read(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// ReadBounded returns the content of a regular file of at most most bytes. It is for files that
// others wrote.
func ReadBounded(path string, most int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > most {
		return nil, &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("it is not a file of at most %d bytes", most)}
	}
	return os.ReadFile(path)
}
