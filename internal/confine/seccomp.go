package confine

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The fields of struct seccomp_data (linux/seccomp.h): the call's number, the architecture that it
// is of, and its arguments. An argument has 64 bits, of which the lower come first on both
// architectures.
const (
	callOffset         = 0
	architectureOffset = 4
	argumentsOffset    = 16
)

func load(offset int) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: uint32(offset)}
}

// equal skips ifSo instructions if the loaded value is k, ifNot if it is another.
func equal(k uint32, ifSo, ifNot int) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: uint8(ifSo), Jf: uint8(ifNot), K: k}
}

func and(k uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: k}
}

func skip(instructions int) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JA, K: uint32(instructions)}
}

func answer(k uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: k}
}

// filter returns the profile's filter as the kernel takes it (seccomp(2)). A process may hold a
// second table of calls, those of 32 bits or of x32. Neither is Go's, and all of both is refused:
// the first by the architecture, the second because its numbers have a bit of their own.
func (p profile) filter() []unix.SockFilter {
	allow, refuse := answer(unix.SECCOMP_RET_ALLOW), answer(unix.SECCOMP_RET_ERRNO|uint32(unix.EPERM))
	program := []unix.SockFilter{load(architectureOffset), equal(architecture, 1, 0), refuse, load(callOffset)}
	// clone3 has its flags in memory, where no filter sees them. As if it were not there it is left
	// for clone, by glibc too.
	program = append(program, equal(unix.SYS_CLONE3, 0, 1), answer(unix.SECCOMP_RET_ERRNO|uint32(unix.ENOSYS)))
	calls, conditional := p.allowed()
	for _, call := range calls {
		program = append(program, equal(call, 0, 1), allow)
	}
	for _, c := range conditional {
		program = append(program, c.judge()...)
	}
	return append(program, refuse)
}

// judge allows the call if all its conditions hold. Otherwise the filter continues after its end.
func (c conditionalCall) judge() []unix.SockFilter {
	rest := []unix.SockFilter{answer(unix.SECCOMP_RET_ALLOW)}
	for i := len(c.conditions) - 1; i >= 0; i-- {
		one := c.conditions[i]
		program := []unix.SockFilter{load(argumentsOffset + 8*one.argument), and(one.mask)}
		for n, value := range one.values {
			program = append(program, equal(value, len(one.values)-n, 0)) // over the other values, and over the skip
		}
		rest = append(append(program, skip(len(rest))), rest...)
	}
	return append([]unix.SockFilter{load(callOffset), equal(c.call, 0, len(rest))}, rest...)
}

// filterCalls puts a filter on all threads of this process. It cannot be taken off. A kernel that
// has no such filters, or none for all threads (Linux 3.17), leaves the process as it is, as one
// without Landlock does.
func filterCalls(program []unix.SockFilter) error {
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC,
		uintptr(unsafe.Pointer(&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})))
	if errno == 0 || errors.Is(errno, unix.ENOSYS) || errors.Is(errno, unix.EINVAL) {
		return nil
	}
	return fmt.Errorf("seccomp: %w", errno)
}
