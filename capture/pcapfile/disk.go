package pcapfile

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// disk collects a file's bytes in large buffers, which the goroutine of Files writes in order.
//
// Full buffers are written with O_DIRECT: buffered writes stall the writer when the kernel decides
// to clean its page cache, for so long that packets are lost. A flush writes what a buffer holds so
// far: whole pages directly, and the rest, less than a page, through the page cache, so that the
// file's size is right at every moment. When the buffer is full that page is written again,
// directly. The kernel keeps page cache and direct writes of one file in step: before a direct
// write it writes dirty pages of the range back and drops them.
//
// One goroutine at a time calls its methods, except failed.
type disk struct {
	files  *Files
	dir    *os.Root
	file   *os.File // writes through the page cache
	direct *os.File // writes past it; nil if the file system refuses that

	number int // of the buffer that is being filled
	buffer []byte
	base   int64 // where in the file it begins
	fill   int
	begun  int // bytes of the buffer that are written or about to be

	promised atomic.Int64 // the file has no more bytes than this until the next call of free
	flushing atomic.Bool  // a flush is on its way
	written  atomic.Int64 // bytes of the file that the kernel has
	failure  atomic.Pointer[error]

	// Of the writing goroutine.
	allocated atomic.Int64 // how far disk space is allocated ahead; -1: that is not possible
	most      int64        // the file never has more bytes

	finished chan struct{} // closed when the last bytes are written; nil before end

	keeping sync.Mutex   // held while waiting for the disk's cache
	kept    atomic.Int64 // bytes of the file that survive a power cut
	named   bool         // and so does its name
	closed  bool
}

// span is a part of a buffer that the goroutine has to write.
type span struct {
	disk     *disk
	buffer   int
	from, to int
	base     int64
	last     bool // the buffer is empty after that
	flush    bool // it must survive a power cut
	finished chan struct{}
}

// openDisk creates a file that must not exist, or continues one after its first bytes. The file
// never gets more than most bytes.
func openDisk(files *Files, dir *os.Root, name string, behind, most int64) (*disk, error) {
	flags := os.O_RDWR | os.O_CREATE | os.O_EXCL
	if behind > 0 {
		flags = os.O_RDWR | unix.O_NOFOLLOW
	}
	file, err := dir.OpenFile(name, flags, 0o640)
	if err != nil {
		return nil, err
	}
	d := &disk{files: files, dir: dir, file: file, most: most, base: behind &^ (page - 1)}
	d.number = files.memory.take()
	d.buffer = files.memory.buffer(d.number)
	d.fill = int(behind - d.base)
	d.begun = d.fill
	d.written.Store(behind)
	if _, err := file.ReadAt(d.buffer[:d.fill], d.base); err != nil {
		files.memory.give(d.number)
		file.Close()
		return nil, err
	}
	if d.direct, err = dir.OpenFile(name, os.O_WRONLY|unix.O_DIRECT, 0); err != nil {
		d.direct = nil
	}
	d.promised.Store(behind + files.ahead)
	files.volume.add(d)
	return d, nil
}

// size returns the size of the file when all is written.
func (d *disk) size() int64 { return d.base + int64(d.fill) }

// room returns where the next bytes go. It always has at least one byte.
func (d *disk) room() []byte { return d.buffer[d.fill:] }

// used says that n bytes of room are filled. It waits when all buffers are full.
func (d *disk) used(n int) {
	d.fill += n
	if d.fill == len(d.buffer) {
		d.files.work <- span{disk: d, buffer: d.number, base: d.base, from: d.begun, to: d.fill, last: true}
		d.base += int64(d.fill)
		d.fill, d.begun = 0, 0
		d.number = d.files.memory.take()
		d.buffer = d.files.memory.buffer(d.number)
	}
}

// append appends bytes, across the end of a buffer if needed.
func (d *disk) append(b []byte) {
	for len(b) > 0 {
		n := copy(d.room(), b)
		d.used(n)
		b = b[n:]
	}
}

// flush starts to write everything, unless the previous flush is still on its way. It reports
// whether something would not survive a power cut yet.
func (d *disk) flush() (pending bool) {
	if d.kept.Load() == d.size() {
		return false
	}
	if d.flushing.CompareAndSwap(false, true) {
		d.files.work <- span{disk: d, buffer: d.number, base: d.base, from: d.begun, to: d.fill, flush: true}
		d.begun = d.fill
	}
	return true
}

// failed returns why the file cannot be written, or nil.
func (d *disk) failed() error {
	if err := d.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// free returns the space that users other than root will have on the disk when everything is
// written. That counts what the other captures of the volume may write until they call free again.
// ahead is how much this one may write until then.
func (d *disk) free(ahead int64) (int64, error) {
	// Before looking at the others, so that of two concurrent calls one sees the other.
	d.files.ahead = ahead
	d.promised.Store(d.size() + ahead)
	// Before asking the disk, so that what is written meanwhile counts twice instead of never.
	coming := d.files.volume.coming()
	var s unix.Statfs_t
	if err := unix.Fstatfs(int(d.file.Fd()), &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail)*s.Bsize - coming + ahead, nil
}

// taken returns how much of the disk the file uses, written or not.
func (d *disk) taken() int64 { return max(d.written.Load(), d.allocated.Load()) }

// end starts to write the rest. Nothing can be added after that.
func (d *disk) end() {
	d.finished = make(chan struct{})
	d.promised.Store(d.size())
	d.files.work <- span{disk: d, buffer: d.number, base: d.base, from: d.begun, to: d.fill, last: true,
		finished: d.finished}
}

func (d *disk) ended() bool { return d.finished != nil }

// finish waits until all is written, after end. The file stays open.
func (d *disk) finish() error {
	<-d.finished
	d.keeping.Lock()
	d.closed = true
	d.keeping.Unlock()
	if d.allocated.Load() > d.written.Load() {
		// This frees what was allocated after the end.
		if err := d.file.Truncate(d.written.Load()); err != nil && d.failed() == nil {
			d.failure.Store(&err)
		}
	}
	d.files.volume.remove(d)
	if d.direct != nil {
		d.direct.Close()
	}
	return d.failed()
}

// write writes a span. Only the writing goroutine calls it.
func (d *disk) write(s span) error {
	buffer := d.files.memory.buffer(s.buffer)
	d.allocate(s.base + int64(s.to))
	from := s.from
	if d.direct != nil {
		start, end := s.from&^(page-1), s.to&^(page-1)
		if start < end {
			switch _, err := d.direct.WriteAt(buffer[start:end], s.base+int64(start)); {
			case err == nil:
				from = end
			case errors.Is(err, syscall.EINVAL):
				// A file system that opens with O_DIRECT and fails to write with it.
				d.direct.Close()
				d.direct = nil
			default:
				return err
			}
		}
	}
	if from < s.to {
		if _, err := d.file.WriteAt(buffer[from:s.to], s.base+int64(from)); err != nil {
			return err
		}
	}
	d.written.Store(s.base + int64(s.to))
	return nil
}

// allocateLeast and allocateMost bound how much disk space is allocated ahead: as much as the file
// has.
const (
	allocateLeast = 4 << 20
	allocateMost  = 64 << 20
)

// allocate reserves disk space for what comes next, in large pieces, without changing the file's
// size. It is only an optimisation: a file system that refuses is not asked again.
func (d *disk) allocate(until int64) {
	begin := d.allocated.Load()
	if begin < 0 || until < begin {
		return
	}
	step := min(max(until, allocateLeast), allocateMost)
	end := min(max(begin, until)+step, d.most)
	if end <= until || until < bufferSize {
		return // nearly at its end, or still a small file
	}
	var s unix.Statfs_t
	if unix.Fstatfs(int(d.file.Fd()), &s) != nil || int64(s.Bavail)*s.Bsize < 4*step {
		return
	}
	if unix.Fallocate(int(d.file.Fd()), unix.FALLOC_FL_KEEP_SIZE, begin, end-begin) != nil {
		end = -1
	}
	d.allocated.Store(end)
}

// synchronise makes what was written survive a power cut.
func (d *disk) synchronise() {
	d.keeping.Lock()
	defer d.keeping.Unlock()
	if d.closed {
		return
	}
	written := d.written.Load()
	if err := unix.Fdatasync(int(d.file.Fd())); err != nil {
		d.failure.Store(&err)
		return
	}
	if !d.named {
		if dir, err := d.dir.Open("."); err == nil {
			d.named = dir.Sync() == nil
			dir.Close()
		}
	}
	d.kept.Store(written)
}
