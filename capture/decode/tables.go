package decode

import (
	"os"
	"unsafe"

	"github.com/google/gopacket/layers"
	"golang.org/x/sys/unix"
)

// Trim gives memory back to the kernel, 5 MB: gopacket fills, whenever the program starts, two tables with a row for every number of 16
// bits, of which it knows two dozen. The pages without one of these become zero, where a type has no name and no layer. It is called
// when a process begins that stays.
func Trim() {
	trim(layers.EthernetTypeMetadata[:])
	trim(layers.PPPTypeMetadata[:])
}

func trim(table []layers.EnumMetadata) {
	page := os.Getpagesize()
	row, unknown := int(unsafe.Sizeof(table[0])), table[len(table)-1].Name
	start := unsafe.Pointer(&table[0])
	free := int(-uintptr(start) & uintptr(page-1)) // where in the table a page begins, and all before it is kept or given back
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
