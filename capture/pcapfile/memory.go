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

// memory is the buffers of a capture's files. The one that was returned last is taken first. So a
// capture whose disk keeps up uses only two of many, which are in the processor's cache; the many
// are for when the disk does not keep up.
//
// At those moments unused buffers would also get their pages. The first use of a page costs
// milliseconds if a hypervisor has to find it, just when the disk falls behind. So a few more
// buffers have their pages at any time, which another goroutine sees to. Pages that are there stay.
type memory struct {
	all    []byte
	number int

	mutex sync.Mutex
	given sync.Cond
	free  []int // a stack of buffer numbers; those without pages are the lowest
	paged int   // how many buffers have pages: those with the lowest numbers

	more chan struct{} // requests pages
}

const (
	// bufferSize is that of two huge pages: then a direct write pins those and not 1024 small ones,
	// and writes are few enough that their wake-ups do not matter.
	bufferSize = 4 << 20

	// ahead is how many free buffers have pages at any time. While one is filled the next gets its
	// pages; if that takes longer, the ring holds the packets.
	ahead = 1

	// page is the alignment of direct writes, in memory and in the file. No disk or file system in
	// use needs more.
	page = 4096
)

// newMemory allocates that many buffers and gives the first its pages.
func newMemory(buffers int) (*memory, error) {
	// One more, for aligning.
	all, err := unix.Mmap(-1, 0, (buffers+1)*bufferSize, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
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

// page makes the kernel give a buffer its pages.
func (m *memory) page(number int) error {
	b := m.buffer(number)
	err := unix.Madvise(b, unix.MADV_POPULATE_WRITE)
	if !errors.Is(err, unix.EINVAL) {
		return err
	}
	// Before Linux 5.14. Existing content stays, because the buffer may be in use already.
	for i := 0; i < len(b); i += page {
		atomic.AddUint32((*uint32)(unsafe.Pointer(&b[i])), 0)
	}
	return nil
}

// pageAhead gives pages to buffers as they become few, until the channel is closed.
func (m *memory) pageAhead() {
	runtime.LockOSThread() // for good: the thread ends with the goroutine
	capture.Urge()
	for range m.more {
		for {
			m.mutex.Lock()
			next, enough := m.paged, m.enough()
			m.mutex.Unlock()
			if enough || m.page(next) != nil {
				break // the kernel has no memory now; the next buffer asks again
			}
			m.mutex.Lock()
			m.paged = max(m.paged, next+1)
			m.mutex.Unlock()
		}
	}
}

// enough reports whether no further buffer needs pages for now. The caller holds mutex.
func (m *memory) enough() bool {
	return m.paged == m.number || len(m.free)-(m.number-m.paged) >= ahead
}

// aligned returns all buffers, one after the other.
func (m *memory) aligned() []byte {
	return m.all[-uintptr(unsafe.Pointer(&m.all[0]))&(bufferSize-1):]
}

// buffer returns one by its number.
func (m *memory) buffer(i int) []byte {
	offset := i * bufferSize
	return m.aligned()[offset : offset+bufferSize : offset+bufferSize]
}

// take waits for a free buffer.
func (m *memory) take() int {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	for len(m.free) == 0 {
		m.given.Wait()
	}
	i := m.free[len(m.free)-1]
	m.free = m.free[:len(m.free)-1]
	m.paged = max(m.paged, i+1) // filling it gives it pages
	if !m.enough() {
		select {
		case m.more <- struct{}{}:
		default: // a request is pending already
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

// bytes returns how much of the machine's memory it uses.
func (m *memory) bytes() int64 {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return int64(m.paged) * bufferSize
}

func (m *memory) close() { unix.Munmap(m.all) }
