package decode

import (
	"os"
	"unsafe"

	"github.com/google/gopacket/layers"
	"golang.org/x/sys/unix"
)

// Trim gives 5 MB of memory back to the kernel. At program start gopacket fills two tables with a
// row for every number of 16 bits, of which it knows two dozen. Pages without a known one become
// zero, so that their types have no name and no layer. Long-running processes call it at their
// start.
func Trim() {
	trim(layers.EthernetTypeMetadata[:])
	trim(layers.PPPTypeMetadata[:])
}

func trim(table []layers.EnumMetadata) {
	page := os.Getpagesize()
	row, unknown := int(unsafe.Sizeof(table[0])), table[len(table)-1].Name
	start := unsafe.Pointer(&table[0])
	// where a page of the table begins; all before it is kept or given back
	free := int(-uintptr(start) & uintptr(page-1))
	for i, r := range table {
		if r.Name == unknown && i < len(table)-1 {
			continue
		}
		if length := (i*row - free) &^ (page - 1); length > 0 {
			unix.Madvise(unsafe.Slice((*byte)(unsafe.Add(start, free)), length), unix.MADV_DONTNEED)
		}
		free = max(free, free+(i*row+row-free+page-1)&^(page-1))
	}
}
