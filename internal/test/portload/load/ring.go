package main

import (
	"encoding/binary"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A ring is an io_uring(7) that does one thing at a time.
type ring struct {
	fd        int
	submitted []byte // the ring of submissions, with the offsets of struct io_sqring_offsets
	completed []byte
	entries   []byte

	tail, array            uint32 // in submitted
	head, end, mask, queue uint32 // in completed
}

// Of include/uapi/linux/io_uring.h.
const (
	acceptByRing   = 13
	waitForOne     = 1
	completionRing = 0x8000000
	entriesOfRing  = 0x10000000
	ringSize       = 4096 // more than a ring of one entry needs
)

func newRing() (*ring, error) {
	var params [120]byte
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&params[0])), 0)
	if errno != 0 {
		return nil, os.NewSyscallError("io_uring_setup", errno)
	}
	r := &ring{fd: int(fd)}
	at := func(offset int) uint32 { return binary.NativeEndian.Uint32(params[offset:]) }
	r.tail, r.array = at(44), at(64)
	r.head, r.end, r.mask, r.queue = at(80), at(84), at(88), at(100)
	var err error
	for _, m := range []struct {
		memory *[]byte
		offset int64
	}{{&r.submitted, 0}, {&r.completed, completionRing}, {&r.entries, entriesOfRing}} {
		if *m.memory, err = unix.Mmap(r.fd, m.offset, ringSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
			return nil, os.NewSyscallError("mmap", err)
		}
	}
	return r, nil
}

func number(memory []byte, offset uint32) *uint32 { return (*uint32)(unsafe.Pointer(&memory[offset])) }

// accept accepts a connection, without an address.
func (r *ring) accept(listener int) (int, error) {
	entry := r.entries[:64]
	clear(entry)
	entry[0] = acceptByRing
	binary.NativeEndian.PutUint32(entry[4:], uint32(listener))
	*number(r.submitted, r.array) = 0
	atomic.AddUint32(number(r.submitted, r.tail), 1)
	for head := *number(r.completed, r.head); ; {
		_, _, errno := unix.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(r.fd), 1, 1, waitForOne, 0, 0)
		if errno != 0 && errno != unix.EINTR {
			return 0, os.NewSyscallError("io_uring_enter", errno)
		}
		if atomic.LoadUint32(number(r.completed, r.end)) == head {
			continue
		}
		done := r.queue + 16*(head&*number(r.completed, r.mask))
		result := int32(*number(r.completed, done+8))
		atomic.StoreUint32(number(r.completed, r.head), head+1)
		if result < 0 {
			return 0, os.NewSyscallError("accept by io_uring", unix.Errno(-result))
		}
		return int(result), nil
	}
}
