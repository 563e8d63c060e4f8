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

// Repair makes a file whole whose writer died. It cuts off what follows the last whole record,
// which no program could read, and returns what the file contains.
//
// The error is ErrNoCapture if not even the file's header is whole; then the file is unchanged. It
// must not be used on a file that is being written.
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
	// Also if nothing is to be cut: space may be allocated after the end.
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

// beforeHole returns where the first hole of a file begins, or its end. A file is written without
// holes, so after a power cut a hole is a place that never reached the disk, even inside one
// packet. The file system tells it from zeros that were written (lseek(2), SEEK_HOLE): allocated
// blocks that were never written are holes, except where the page cache has them. A file system
// that cannot tell reports no hole.
func beforeHole(f *os.File, size int64) (int64, error) {
	if size == 0 {
		return 0, nil
	}
	hole, err := unix.Seek(int(f.Fd()), 0, unix.SEEK_HOLE)
	if errors.Is(err, unix.EINVAL) {
		return size, nil // the file system does not support the question
	}
	return min(hole, size), err
}

// beforeZeros is for a file system that does not report holes. It returns how much of the whole
// records of a file can be trusted: if the file ends in zeros, these may have begun inside the last
// record.
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

// scan reads a file to its end, or to where it is torn, and returns what it contains up to there.
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
			// Not a packet, but a part of a classic file that was never written.
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
