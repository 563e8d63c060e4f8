package pcapfile

import (
	"errors"
	"fmt"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// memory is the buffers of a capture's files. The one that was given back last is taken
// first, so that a capture whose disk keeps up stays with two of many, which are in the
// processor's cache; the many are for the moments when the disk does not keep up.
type memory struct {
	all []byte

	mutex sync.Mutex
	given sync.Cond
	free  []int // a stack of numbers of buffers
}

const (
	// bufferSize is that of two huge pages: then a direct write pins those and not 1024
	// small ones, and there are few enough writes that their wake-ups do not count.
	bufferSize = 4 << 20

	// page is what direct writes are aligned to, in memory and in the file. No disk
	// or file system in use asks for more.
	page = 4096
)

// newMemory takes memory for so many buffers and has the kernel give it pages at once.
// A page's first use costs milliseconds where a hypervisor has to find it first, and it
// would come just when the disk falls behind.
func newMemory(buffers int) (*memory, error) {
	// One more, for aligning.
	all, err := unix.Mmap(-1, 0, (buffers+1)*bufferSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("there is no memory to write the file: %w", err)
	}
	unix.Madvise(all, unix.MADV_HUGEPAGE) // not every kernel has them
	m := &memory{all: all}
	m.given.L = &m.mutex
	for i := buffers - 1; i >= 0; i-- {
		m.free = append(m.free, i)
	}
	used := m.aligned()[:buffers*bufferSize]
	switch err := unix.Madvise(used, unix.MADV_POPULATE_WRITE); {
	case err == nil:
	case errors.Is(err, unix.EINVAL): // before Linux 5.14
		for i := 0; i < len(used); i += page {
			used[i] = 0
		}
	default:
		m.close()
		return nil, fmt.Errorf("there is no memory to write the file: %w", err)
	}
	return m, nil
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
	return i
}

func (m *memory) give(i int) {
	m.mutex.Lock()
	m.free = append(m.free, i)
	m.mutex.Unlock()
	m.given.Signal()
}

func (m *memory) close() { unix.Munmap(m.all) }
