package daemon

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// replaceFile puts data in the place of the file at path in one step: after a crash at any moment the file holds either what it
// held before or all of data. It returns when the new content is safe on the disk. One goroutine at a time may replace a file.
func replaceFile(path string, data []byte) error {
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
	return syncDirectory(filepath.Dir(path))
}

// openToAppend opens a file for appendLine, or makes it, and says how large it is.
func openToAppend(path string) (f *os.File, bytes int64, err error) {
	f, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// appendLine appends a line to a file that was opened for that (O_APPEND), all of it or nothing: of a line that the disk has no room
// for, what it took is taken back, so that the next line does not stand behind a part of this one. part is what could not be.
func appendLine(f *os.File, line []byte) (part int, err error) {
	n, err := f.Write(line)
	if err == nil || n == 0 {
		return 0, err
	}
	if info, e := f.Stat(); e == nil && f.Truncate(info.Size()-int64(n)) == nil {
		return 0, err
	}
	return n, err
}

// syncDirectory makes the names in a directory survive a power failure.
func syncDirectory(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// readIfPresent reads a whole file; one that does not exist is empty.
func readIfPresent(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}
