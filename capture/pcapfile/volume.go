package pcapfile

import (
	"sync"
	"time"

	"diagsh/capture/spare"
)

// A Volume is the disk that the files of several captures are on. The data that each has in memory
// for it reduce the space for the others; otherwise all would take the same last bytes. It is asked
// between packets, as rarely as the kernel is asked for the free disk.
//
// A Volume also keeps the buffers of an ended capture for the next one. The zero Volume has no
// files, and keeps no buffers.
type Volume struct {
	spare *spare.Store[int, *memory] // by number of buffers; nil: none are kept

	mutex sync.Mutex
	open  map[*disk]struct{}
}

// NewVolume returns a Volume that keeps the buffers of one capture for the given time.
func NewVolume(keep time.Duration) *Volume {
	return &Volume{spare: spare.New[int](DefaultBuffers, keep, (*memory).close)}
}

// Spare returns how many bytes are kept for the next capture.
func (v *Volume) Spare() int64 {
	if v.spare == nil {
		return 0
	}
	return v.spare.Bytes()
}

// ClearSpare frees what is kept.
func (v *Volume) ClearSpare() {
	if v.spare != nil {
		v.spare.Clear()
	}
}

// memory returns that many buffers.
func (v *Volume) memory(buffers int) (*memory, error) {
	if v.spare != nil {
		if m, ok := v.spare.Take(buffers); ok {
			return m, nil
		}
	}
	return newMemory(buffers)
}

// giveBack takes back unused buffers.
func (v *Volume) giveBack(m *memory) {
	if v.spare == nil {
		m.close()
		return
	}
	v.spare.Give(m.number, m.bytes(), m)
}

func (v *Volume) add(d *disk) {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	if v.open == nil {
		v.open = make(map[*disk]struct{})
	}
	v.open[d] = struct{}{}
}

func (v *Volume) remove(d *disk) {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	delete(v.open, d)
}

// coming returns how much more of the disk all files will use when each has what it may get until
// its capture asks again. It is negative if more is allocated, which they will free.
func (v *Volume) coming() (bytes int64) {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	for d := range v.open {
		bytes += d.promised.Load() - d.taken()
	}
	return bytes
}
