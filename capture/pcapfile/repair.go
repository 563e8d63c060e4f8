package pcapfile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"diagsh/capture"
)

// Repair makes a whole file of one whose writer died: it trims what is behind the
// last record that is whole, if there is anything, and says what the file holds.
// Nothing behind such a place could be read by anybody.
//
// The error is ErrNoCapture when not even the file's header is whole; then the file
// is left as it is. It must not be used on a file that is being written.
func Repair(path string) (capture.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return capture.FileInfo{}, cause(err)
	}
	defer f.Close()
	info, err := repair(f)
	if err != nil {
		return capture.FileInfo{}, cause(err)
	}
	info.Name = filepath.Base(path)
	return info, nil
}

func repair(f *os.File) (capture.FileInfo, error) {
	stat, err := f.Stat()
	if err != nil {
		return capture.FileInfo{}, err
	}
	size, err := beforeHole(f, stat.Size())
	if err != nil {
		return capture.FileInfo{}, err
	}
	info, err := scan(io.NewSectionReader(f, 0, size))
	if err != nil {
		return capture.FileInfo{}, err
	}
	if whole, err := beforeZeros(f, info.Bytes, size); err != nil {
		return capture.FileInfo{}, err
	} else if whole < info.Bytes {
		if info, err = scan(io.NewSectionReader(f, 0, whole)); err != nil {
			return capture.FileInfo{}, err
		}
	}
	// Also when there is nothing to trim: space may be allocated behind the end.
	if info.Bytes <= stat.Size() {
		if err := f.Truncate(info.Bytes); err != nil {
			return capture.FileInfo{}, err
		}
		if err := f.Sync(); err != nil {
			return capture.FileInfo{}, err
		}
	}
	return info, nil
}

// beforeHole finds where the first hole of a file begins, or its end. A file is written
// without any, so after a power cut a hole is a place that never reached the disk, be it
// inside one packet. The file system tells it from zeros that were written (lseek(2),
// SEEK_HOLE: blocks that are allocated and were never written are holes, except where the
// page cache has them); one that cannot tell says that there is none.
func beforeHole(f *os.File, size int64) (int64, error) {
	if size == 0 {
		return 0, nil
	}
	hole, err := unix.Seek(int(f.Fd()), 0, unix.SEEK_HOLE)
	if errors.Is(err, unix.EINVAL) {
		return size, nil // the file system does not even know the question
	}
	return min(hole, size), err
}

// beforeZeros finds how much of the first bytes of a file can be trusted that a reader
// took to be whole records, where the file system does not tell of holes: when the file is
// torn at zeros, they may have begun inside the last record.
func beforeZeros(f *os.File, whole, size int64) (int64, error) {
	var b [page]byte
	n := min(size-whole, 8)
	if n == 0 {
		return whole, nil
	}
	if _, err := f.ReadAt(b[:n], whole); err != nil {
		return 0, err
	}
	if !zeros(b[:n]) {
		return whole, nil
	}
	for end := whole; end > 0; {
		start := (end - 1) &^ (page - 1)
		if _, err := f.ReadAt(b[:end-start], start); err != nil {
			return 0, err
		}
		if !zeros(b[:end-start]) {
			return end, nil
		}
		end = start
	}
	return 0, nil
}

func zeros(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// scan reads a file up to its end, or to where it is torn, and says what it holds up
// to there.
func scan(in io.Reader) (capture.FileInfo, error) {
	r, err := NewReader(in)
	if err != nil {
		return capture.FileInfo{}, err
	}
	var info capture.FileInfo
	var p capture.Packet
	for {
		before := r.Offset()
		err := r.Next(&p)
		info.Bytes = r.Offset()
		var corrupt *CorruptError
		switch {
		case err == nil:
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &corrupt):
			return info, nil
		default:
			return capture.FileInfo{}, err
		}
		if p.Time == 0 && p.Length == 0 && len(p.Data) == 0 {
			// No packet, but a place in a classic file that was never written.
			info.Bytes = before
			return info, nil
		}
		t := time.Unix(0, p.Time).UTC()
		if info.Packets == 0 || t.Before(info.First) {
			info.First = t
		}
		if info.Packets == 0 || t.After(info.Last) {
			info.Last = t
		}
		info.Packets++
	}
}
