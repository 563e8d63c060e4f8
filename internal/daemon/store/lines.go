package store

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
)

// Lines is a file that lines are appended to. Its methods are not for several goroutines at once.
type Lines struct {
	path string
	file *os.File
	size int64
}

// OpenLines opens the file at path, or makes it.
func OpenLines(path string) (*Lines, error) {
	l := &Lines{path: path}
	return l, l.Reopen()
}

// Reopen opens the file that is at the path now, or makes it. If it fails, the file that was open
// stays open.
func (l *Lines) Reopen() error {
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return err
	}
	if l.file != nil {
		l.file.Close()
	}
	l.file, l.size = f, info.Size()
	return nil
}

// Rotate renames the file and begins a new one at its path. If it fails, Append writes to the file
// that was open before, whatever its name is now, and Rotate can be tried again.
func (l *Lines) Rotate(to string) error {
	// A rename that did its work before, when no new file could be opened, finds nothing.
	if err := os.Rename(l.path, to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return l.Reopen()
}

// Append appends lines, each with its newline: all of data or nothing. On a short write, such as on
// a full disk, it truncates the file again. partial is how many bytes it could not remove: the file
// ends with that part of data.
func (l *Lines) Append(data []byte) (partial int, err error) {
	n, err := l.file.Write(data)
	if err == nil {
		l.size += int64(n)
		return 0, nil
	}
	if n == 0 {
		return 0, err
	}
	if info, e := l.file.Stat(); e == nil && l.file.Truncate(info.Size()-int64(n)) == nil {
		return 0, err
	}
	l.size += int64(n)
	return n, err
}

// Size returns how many bytes the file has as far as l wrote them. Another hand may have changed
// that.
func (l *Lines) Size() int64 { return l.size }

// Stat describes the file that is open, which may no longer be the one at the path.
func (l *Lines) Stat() (os.FileInfo, error) { return l.file.Stat() }

// Sync returns when all lines are safe on the disk.
func (l *Lines) Sync() error { return l.file.Sync() }

// Close closes the file.
func (l *Lines) Close() error { return l.file.Close() }

// maxLine is the longest line that a reader takes for one. What is longer comes in pieces.
const maxLine = 1 << 20

// A LineReader cuts a stream into lines, in bounded memory.
type LineReader struct{ r *bufio.Reader }

// NewLineReader returns a reader of the lines of r.
func NewLineReader(r io.Reader) LineReader { return LineReader{bufio.NewReaderSize(r, maxLine)} }

// Next returns a line without its newline; it is valid until the next call. nil is the end. whole
// is false for a line that ends without a newline, or that is longer than 1 MiB.
func (l LineReader) Next() (line []byte, whole bool, err error) {
	line, err = l.r.ReadSlice('\n')
	switch {
	case err == nil:
		return line[:len(line)-1], true, nil
	case errors.Is(err, bufio.ErrBufferFull):
		return line, false, nil
	case errors.Is(err, io.EOF) && len(line) > 0:
		return line, false, nil
	case errors.Is(err, io.EOF):
		return nil, false, nil
	}
	return nil, false, err
}

// LastLine returns the last line of a file, nil if it has none. whole reports whether a newline
// ends it.
func LastLine(path string) (last []byte, whole bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	lines := NewLineReader(f)
	for {
		line, end, err := lines.Next()
		if err != nil {
			return nil, false, err
		}
		if line == nil {
			return last, whole, nil
		}
		last, whole = append(last[:0], line...), end
	}
}

// LineBefore returns where the line begins that the byte before at belongs to, or the line at at if
// a newline is before it.
func LineBefore(f io.ReaderAt, at int64) (int64, error) {
	buffer := make([]byte, 4<<10)
	for at > 0 {
		n := min(at, int64(len(buffer)))
		if _, err := f.ReadAt(buffer[:n], at-n); err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(buffer[:n], '\n'); i >= 0 {
			return at - n + int64(i) + 1, nil
		}
		at -= n
	}
	return 0, nil
}
