package decode

import (
	"os"
	"unsafe"

	"github.com/google/gopacket/layers"
	"golang.org/x/sys/unix"
)

// Forget gives the kernel back the memory of two tables with a row for every number of 16 bits, which gopacket fills whenever the
// program starts: 5 MB. It is for a process that never decodes; nothing of this package may be called after it.
func Forget() {
	forget(unsafe.Pointer(&layers.EthernetTypeMetadata), unsafe.Sizeof(layers.EthernetTypeMetadata))
	forget(unsafe.Pointer(&layers.PPPTypeMetadata), unsafe.Sizeof(layers.PPPTypeMetadata))
}

// forget makes the whole pages within a variable zero, and nobody's (MADV_DONTNEED in madvise(2)).
func forget(variable unsafe.Pointer, size uintptr) {
	page := uintptr(os.Getpagesize())
	before := -uintptr(variable) & (page - 1)
	unix.Madvise(unsafe.Slice((*byte)(unsafe.Add(variable, before)), (size-before)&^(page-1)), unix.MADV_DONTNEED)
}
