package pcapfile

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// disk takes a file's bytes in order into large buffers, and has a goroutine write
// them.
//
// It writes full buffers with O_DIRECT: buffered writes stall the writer when the
// kernel decides to clean its page cache, for so long that packets are lost. A flush
// writes what a buffer holds so far: whole pages directly, and the rest, less than a
// page, through the page cache, so that the file's size is true at every moment.
// When the buffer is full that page is written again, directly; the kernel keeps
// page cache and direct writes of one file in step (it writes dirty pages of the
// range back and drops them before a direct write).
//
// One goroutine calls its methods, except failed.
type disk struct {
	file   *os.File // writes through the page cache
	direct *os.File // writes past it; nil where the file system refuses

	memory []byte
	buffer []byte // that is being filled
	base   int64  // where in the file it begins
	fill   int
	begun  int // bytes of the buffer that are written or about to be

	empty chan []byte
	work  chan span
	done  chan struct{}

	flushing atomic.Bool  // a flush is on its way
	written  atomic.Int64 // bytes of the file that the kernel has
	failure  atomic.Pointer[error]
}

// span is a part of a buffer for the goroutine to write.
type span struct {
	buffer   []byte
	base     int64
	from, to int
	last     bool // the buffer is empty after that
}

const (
	bufferSize = 4 << 20
	buffers    = 4 // how far the disk may lag behind

	// page is what direct writes are aligned to, in memory and in the file. No disk
	// or file system in use asks for more.
	page = 4096
)

// openDisk creates a file that must not be there yet.
func openDisk(dir *os.Root, name string) (*disk, error) {
	file, err := dir.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return nil, err
	}
	direct, err := dir.OpenFile(name, os.O_WRONLY|unix.O_DIRECT, 0)
	if err != nil {
		direct = nil
	}
	memory, err := unix.Mmap(-1, 0, buffers*bufferSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		file.Close()
		if direct != nil {
			direct.Close()
		}
		dir.Remove(name)
		return nil, fmt.Errorf("there is no memory to write the file: %w", err)
	}
	d := &disk{
		file:   file,
		direct: direct,
		memory: memory,
		empty:  make(chan []byte, buffers),
		// Room for every buffer and one flush: sending never waits.
		work: make(chan span, buffers+1),
		done: make(chan struct{}),
	}
	for i := range buffers {
		d.empty <- memory[i*bufferSize : (i+1)*bufferSize]
	}
	d.buffer = <-d.empty
	go d.run()
	return d, nil
}

// size is that of the file when all is written.
func (d *disk) size() int64 { return d.base + int64(d.fill) }

// room is where the next bytes go. There is always at least one.
func (d *disk) room() []byte { return d.buffer[d.fill:] }

// used says that n bytes of room are filled. It waits when all buffers are full.
func (d *disk) used(n int) {
	d.fill += n
	if d.fill == len(d.buffer) {
		d.work <- span{d.buffer, d.base, d.begun, d.fill, true}
		d.base += int64(d.fill)
		d.fill, d.begun = 0, 0
		d.buffer = <-d.empty
	}
}

// append takes bytes over the end of a buffer.
func (d *disk) append(b []byte) {
	for len(b) > 0 {
		n := copy(d.room(), b)
		d.used(n)
		b = b[n:]
	}
}

// flush has everything written, soon, unless the flush before is still on its way.
func (d *disk) flush() {
	if d.begun < d.fill && d.flushing.CompareAndSwap(false, true) {
		d.work <- span{d.buffer, d.base, d.begun, d.fill, false}
		d.begun = d.fill
	}
}

// failed is why the file cannot be written, or nil.
func (d *disk) failed() error {
	if err := d.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// free is the room for others than root on the disk when all is written.
func (d *disk) free() (int64, error) {
	var s unix.Statfs_t
	if err := unix.Fstatfs(int(d.file.Fd()), &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail)*s.Bsize - (d.size() - d.written.Load()), nil
}

// finish writes what is left and waits for the goroutine's end. The file stays open.
func (d *disk) finish() error {
	d.work <- span{d.buffer, d.base, d.begun, d.fill, true}
	close(d.work)
	<-d.done
	unix.Munmap(d.memory)
	if d.direct != nil {
		d.direct.Close()
	}
	return d.failed()
}

func (d *disk) run() {
	defer close(d.done)
	for s := range d.work {
		if d.failed() == nil {
			if err := d.write(s); err != nil {
				d.failure.Store(&err)
			}
		}
		if s.last {
			d.empty <- s.buffer
		} else {
			d.flushing.Store(false)
		}
	}
}

func (d *disk) write(s span) error {
	from := s.from
	if d.direct != nil {
		start, end := s.from&^(page-1), s.to&^(page-1)
		if start < end {
			switch _, err := d.direct.WriteAt(s.buffer[start:end], s.base+int64(start)); {
			case err == nil:
				from = end
			case errors.Is(err, syscall.EINVAL):
				// A file system that opens with O_DIRECT and does not write with it.
				d.direct.Close()
				d.direct = nil
			default:
				return err
			}
		}
	}
	if _, err := d.file.WriteAt(s.buffer[from:s.to], s.base+int64(from)); err != nil {
		return err
	}
	d.written.Store(s.base + int64(s.to))
	return nil
}
