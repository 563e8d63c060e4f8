package pcapfile

import (
	"fmt"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// memory is the buffers of a capture's files. The one that was given back last is taken
// first, so that a capture whose disk keeps up touches two of many; the many are for the
// moments when the disk does not.
type memory struct {
	all []byte

	mutex   sync.Mutex
	given   sync.Cond
	free    []int  // a stack of numbers of buffers
	touched []bool // by number: the kernel has given it pages

	least int // of free buffers, since the last look
	quiet int // looks in a row that found buffers unneeded
}

const (
	// bufferSize is that of two huge pages: then a direct write pins those and not 1024
	// small ones, and there are few enough writes that their wake-ups do not count.
	bufferSize = 4 << 20

	// page is what direct writes are aligned to, in memory and in the file. No disk
	// or file system in use asks for more.
	page = 4096

	// patience is how many looks, one at each flush, a buffer stays unneeded before
	// the kernel gets its pages back.
	patience = 20
)

func newMemory(buffers int) (*memory, error) {
	// One more, for aligning.
	all, err := unix.Mmap(-1, 0, (buffers+1)*bufferSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("there is no memory to write the file: %w", err)
	}
	unix.Madvise(all, unix.MADV_HUGEPAGE) // not every kernel has them
	m := &memory{all: all, touched: make([]bool, buffers), least: buffers}
	m.given.L = &m.mutex
	for i := buffers - 1; i >= 0; i-- {
		m.free = append(m.free, i)
	}
	return m, nil
}

// buffer is one by its number.
func (m *memory) buffer(i int) []byte {
	offset := int(-uintptr(unsafe.Pointer(&m.all[0])) & (bufferSize - 1))
	offset += i * bufferSize
	return m.all[offset : offset+bufferSize : offset+bufferSize]
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
	m.least = min(m.least, len(m.free))
	m.touched[i] = true
	return i
}

func (m *memory) give(i int) {
	m.mutex.Lock()
	m.free = append(m.free, i)
	m.mutex.Unlock()
	m.given.Signal()
}

// look gives the kernel the pages of buffers that were not needed for a while.
func (m *memory) look() {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	unneeded := m.free[:m.least]
	m.least = len(m.free)
	if m.quiet++; len(unneeded) == 0 || m.quiet < patience {
		return
	}
	m.quiet = 0
	for _, i := range unneeded {
		if m.touched[i] {
			unix.Madvise(m.buffer(i), unix.MADV_DONTNEED)
			m.touched[i] = false
		}
	}
}

func (m *memory) close() { unix.Munmap(m.all) }
