package pcapfile

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"

	"diagsh/capture"

	"golang.org/x/sys/unix"
)

// memory is the buffers of a capture's files. The one that was given back last is taken
// first, so that a capture whose disk keeps up stays with two of many, which are in the
// processor's cache; the many are for the moments when the disk does not keep up.
//
// Those moments are also when buffers get their pages that nobody has used yet. The first
// use of a page costs milliseconds where a hypervisor has to find it, which would come just
// when the disk falls behind: so some more have theirs at any time, and a goroutine beside the
// capture sees to that. Pages that are there stay.
type memory struct {
	all    []byte
	number int

	mutex sync.Mutex
	given sync.Cond
	free  []int // a stack of numbers of buffers; those without pages are the lowest
	paged int   // how many buffers have pages: those of the lowest numbers

	more chan struct{} // asks for pages
}

const (
	// bufferSize is that of two huge pages: then a direct write pins those and not 1024
	// small ones, and there are few enough writes that their wake-ups do not count.
	bufferSize = 4 << 20

	// ahead is how many free buffers have pages at any time. While one is filled another gets
	// its own; what that lasts longer, the ring holds.
	ahead = 1

	// page is what direct writes are aligned to, in memory and in the file. No disk
	// or file system in use asks for more.
	page = 4096
)

// newMemory takes memory for so many buffers, of which the first has its pages.
func newMemory(buffers int) (*memory, error) {
	// One more, for aligning.
	all, err := unix.Mmap(-1, 0, (buffers+1)*bufferSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("there is no memory to write the file: %w", err)
	}
	unix.Madvise(all, unix.MADV_HUGEPAGE) // not every kernel has them
	m := &memory{all: all, number: buffers, paged: 1}
	m.given.L = &m.mutex
	for i := buffers - 1; i >= 0; i-- {
		m.free = append(m.free, i)
	}
	if err := m.page(0); err != nil {
		m.close()
		return nil, fmt.Errorf("there is no memory to write the file: %w", err)
	}
	return m, nil
}

// page has the kernel give a buffer its pages.
func (m *memory) page(number int) error {
	b := m.buffer(number)
	err := unix.Madvise(b, unix.MADV_POPULATE_WRITE)
	if !errors.Is(err, unix.EINVAL) {
		return err
	}
	// Before Linux 5.14: what is there stays, because somebody may have taken it already.
	for i := 0; i < len(b); i += page {
		atomic.AddUint32((*uint32)(unsafe.Pointer(&b[i])), 0)
	}
	return nil
}

// pageAhead gives pages to buffers as they become few, until nobody asks any more.
func (m *memory) pageAhead() {
	runtime.LockOSThread() // for good: the thread ends with the goroutine
	capture.Urge()
	for range m.more {
		for {
			m.mutex.Lock()
			next, enough := m.paged, m.enough()
			m.mutex.Unlock()
			if enough || m.page(next) != nil {
				break // the kernel has no memory now: it is asked again with the next buffer
			}
			m.mutex.Lock()
			m.paged = max(m.paged, next+1)
			m.mutex.Unlock()
		}
	}
}

// enough tells whether no further buffer needs pages for now. Called with mutex held.
func (m *memory) enough() bool {
	return m.paged == m.number || len(m.free)-(m.number-m.paged) >= ahead
}

// aligned is all buffers, one after the other.
func (m *memory) aligned() []byte {
	return m.all[-uintptr(unsafe.Pointer(&m.all[0]))&(bufferSize-1):]
}

// buffer is one by its number.
func (m *memory) buffer(i int) []byte {
	offset := i * bufferSize
	return m.aligned()[offset : offset+bufferSize : offset+bufferSize]
}

// take waits until there is a buffer.
func (m *memory) take() int {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	for len(m.free) == 0 {
		m.given.Wait()
	}
	i := m.free[len(m.free)-1]
	m.free = m.free[:len(m.free)-1]
	m.paged = max(m.paged, i+1) // who fills it gives it pages
	if !m.enough() {
		select {
		case m.more <- struct{}{}:
		default: // it has been asked already
		}
	}
	return i
}

func (m *memory) give(i int) {
	m.mutex.Lock()
	m.free = append(m.free, i)
	m.mutex.Unlock()
	m.given.Signal()
}

// bytes is how much of the machine's memory it has.
func (m *memory) bytes() int64 {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return int64(m.paged) * bufferSize
}

func (m *memory) close() { unix.Munmap(m.all) }
