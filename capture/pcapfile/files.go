package pcapfile

import (
	"os"
	"runtime"
	"sync"

	"diagsh/capture"
)

// Files makes the files of one capture. They share buffers and the goroutines that write, so that a
// capture of many files needs no more of either than one with a single file, and finishing a file
// does not hold up the next.
//
// When a file cannot be written, nothing more is written to any file. Otherwise packets would be
// missing in the middle of all, if the disk had space again.
type Files struct {
	volume *Volume
	ahead  int64 // bytes that the capture may write until it asks for the free disk again
	memory *memory
	work   chan span  // to the writing goroutine
	sync   chan *disk // to the goroutine that waits for the disk's cache
	ended  sync.WaitGroup
}

// DefaultBuffers is how many bytes may wait for a slow disk. With the largest default ring of a
// capture, the appliance stays below 120 MB.
const DefaultBuffers = 52 << 20

// NewFiles makes the files of a capture that is alone on its disk.
func NewFiles(bytes int64) (*Files, error) { return new(Volume).NewFiles(bytes) }

// NewFiles allocates buffers of that many bytes, DefaultBuffers if 0.
func (v *Volume) NewFiles(bytes int64) (*Files, error) {
	if bytes == 0 {
		bytes = DefaultBuffers
	}
	number := max(int(bytes/bufferSize), 4)
	m, err := v.memory(number)
	if err != nil {
		return nil, err
	}
	m.more = make(chan struct{}, 1)
	// Room for every buffer and a flush: sending hardly ever waits.
	f := &Files{volume: v, memory: m, work: make(chan span, number+2), sync: make(chan *disk, 1)}
	f.ended.Go(f.write)
	f.ended.Go(f.synchronise)
	f.ended.Go(m.pageAhead)
	return f, nil
}

// Close frees what the files share. All of them must be closed before.
func (f *Files) Close() {
	close(f.work)
	close(f.memory.more)
	f.ended.Wait()
	f.volume.giveBack(f.memory)
}

// write writes what the files send, in order.
func (f *Files) write() {
	defer close(f.sync)
	// As urgent as the thread that fills the buffers, which otherwise waits for this one. The
	// caller of that Prepare is told if it is refused.
	runtime.LockOSThread() // for good: the thread ends with the goroutine
	capture.Urge()
	var broken error
	for s := range f.work {
		d := s.disk
		if broken == nil && d.failed() == nil {
			broken = d.write(s)
		}
		if broken != nil {
			d.failure.CompareAndSwap(nil, &broken)
		}
		if s.last {
			f.memory.give(s.buffer)
		} else {
			d.flushing.Store(false)
		}
		if s.flush {
			select {
			case f.sync <- d:
			default: // it is busy; the next flush asks again
			}
		}
		if s.finished != nil {
			close(s.finished)
		}
	}
}

// synchronise makes the disk store what it was given, for the case of a power cut. It is a separate
// goroutine because that can take long, and direct writes continue meanwhile.
func (f *Files) synchronise() {
	for d := range f.sync {
		d.synchronise()
	}
}

// Create creates a file that must not exist. Its header is on its way to the disk when Create
// returns. The error is a *capture.FileExistsError, a *capture.SpecError for a size limit that is
// too small, capture.ErrMixedLinkTypes, or says why the file cannot be created.
func (f *Files) Create(dir *os.Root, name string, h capture.FileHeader) (capture.File, error) {
	return f.create(dir, name, h, capture.FileInfo{})
}

// Append continues a file whose content is described by before, as Repair does. A pcapng file gets
// another section. The file must be of the same format and, if pcap, of the same link type,
// precision and at most the same snap length; else the error is a *capture.SpecError.
func (f *Files) Append(dir *os.Root, name string, h capture.FileHeader, before capture.FileInfo) (capture.File, error) {
	return f.create(dir, name, h, before)
}

// Create creates a file as Files.Create does, with buffers of its own.
func Create(dir *os.Root, name string, h capture.FileHeader) (capture.File, error) {
	files, err := NewFiles(0)
	if err != nil {
		return nil, err
	}
	file, err := files.Create(dir, name, h)
	if err != nil {
		files.Close()
		return nil, err
	}
	file.(*Writer).own = files
	return file, nil
}
