package decode

import (
	"os"
	"reflect"
	"unsafe"

	"github.com/google/gopacket/layers"
	"golang.org/x/sys/unix"
)

// Trim gives 6 MB of memory back to the kernel. At program start gopacket fills two tables with a
// row for every number of 16 bits, of which it knows two dozen. Pages without a known one become
// zero, so that their types have no name and no layer. So does the list of numbers beside each
// table: the error of a type that cannot be decoded names 0. Long-running processes call it at
// their start.
func Trim() {
	trim(layers.EthernetTypeMetadata[:])
	trim(layers.PPPTypeMetadata[:])
}

func trim(table []layers.EnumMetadata) {
	giveBack(numbersOf(table))
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

// numbersOf returns the list of numbers that the decoders of a table's unknown rows point into: an
// int for each row, in their order. It returns nil if they do not, or the table was trimmed before.
func numbersOf(table []layers.EnumMetadata) []int {
	last := len(table) - 1
	of := func(i int) unsafe.Pointer {
		if v := reflect.ValueOf(table[i].DecodeWith); v.Kind() == reflect.Pointer && v.Elem().Kind() == reflect.Int {
			return v.UnsafePointer()
		}
		return nil
	}
	end, before := of(last), of(last-1)
	const size = unsafe.Sizeof(0)
	if end == nil || before == nil || uintptr(end)-uintptr(before) != size || *(*int)(end) != last {
		return nil
	}
	return unsafe.Slice((*int)(unsafe.Add(end, -last*int(size))), len(table))
}

// giveBack makes the whole pages of a list zero.
func giveBack(list []int) {
	if len(list) == 0 {
		return
	}
	page := uintptr(os.Getpagesize())
	start := unsafe.Pointer(unsafe.SliceData(list))
	skip := -uintptr(start) & (page - 1)
	if length := (uintptr(len(list))*unsafe.Sizeof(0) - skip) &^ (page - 1); length > 0 {
		unix.Madvise(unsafe.Slice((*byte)(unsafe.Add(start, skip)), length), unix.MADV_DONTNEED)
	}
}
