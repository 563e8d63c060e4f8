package confine

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// allowedCalls are the system calls that a session may make whatever their arguments: what Go's runtime needs to run threads, memory,
// timers and signals, and what it takes to read and write descriptors that are open. Everything that is not here, or in
// conditionalCalls, fails with EPERM: in particular new sockets and connections, programs, other processes, namespaces, mounts,
// modules, keys, bpf, io_uring, and whatever later kernels add.
//
// The calls of one architecture only are in architectureCalls.
var allowedCalls = []uint32{
	// Descriptors that are open. What openat may open is Landlock's: the terminal.
	unix.SYS_READ, unix.SYS_WRITE, unix.SYS_READV, unix.SYS_WRITEV, unix.SYS_PREAD64, unix.SYS_LSEEK, unix.SYS_CLOSE, unix.SYS_FSTAT,
	unix.SYS_OPENAT, unix.SYS_PIPE2, unix.SYS_PPOLL,
	unix.SYS_EPOLL_CREATE1, unix.SYS_EPOLL_CTL, unix.SYS_EPOLL_PWAIT, unix.SYS_EPOLL_PWAIT2, unix.SYS_EVENTFD2,
	// The one connection that there is.
	unix.SYS_GETSOCKOPT, unix.SYS_SETSOCKOPT, unix.SYS_GETSOCKNAME, unix.SYS_GETPEERNAME, unix.SYS_SHUTDOWN,
	// Memory.
	unix.SYS_MUNMAP, unix.SYS_MADVISE, unix.SYS_MINCORE, unix.SYS_BRK,
	// Threads, time and signals.
	unix.SYS_FUTEX, unix.SYS_SCHED_YIELD, unix.SYS_SCHED_GETAFFINITY, unix.SYS_NANOSLEEP, unix.SYS_CLOCK_GETTIME, unix.SYS_RESTART_SYSCALL,
	unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN, unix.SYS_SIGALTSTACK,
	unix.SYS_EXIT, unix.SYS_EXIT_GROUP,
	unix.SYS_RSEQ, unix.SYS_SET_ROBUST_LIST, // of glibc's new threads, in a program that is built with cgo
	// Who and where this is.
	unix.SYS_GETPID, unix.SYS_GETTID, unix.SYS_GETUID, unix.SYS_GETEUID, unix.SYS_GETGID, unix.SYS_GETEGID, unix.SYS_UNAME, unix.SYS_GETRANDOM,
}

// A conditionalCall is allowed if one of its arguments is right. All of these arguments are 32 bits wide for the kernel, whatever
// stands in the upper half of the register.
type conditionalCall struct {
	call     uint32
	argument int
	mask     uint32   // the bits of the argument that count
	values   []uint32 // what they may be
}

// conditionalCalls are the calls of which a session needs one form.
func conditionalCalls() []conditionalCall {
	const all = ^uint32(0)
	self := []uint32{uint32(os.Getpid())}
	return []conditionalCall{
		// Threads of this process, no processes, no namespaces.
		{unix.SYS_CLONE, 0, unix.CLONE_THREAD | unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
			unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET, []uint32{unix.CLONE_THREAD}},
		// Go's scheduler interrupts its threads by signals. Where all sessions have the appliance's user, this keeps them off it.
		{unix.SYS_TGKILL, 0, all, self},
		{unix.SYS_KILL, 0, all, self},
		// Nothing that was written can be made a program.
		{unix.SYS_MMAP, 2, unix.PROT_EXEC, []uint32{0}},
		{unix.SYS_MPROTECT, 2, unix.PROT_EXEC, []uint32{0}},
		// The mode and the size of the terminal. TIOCSTI would type into the terminal of whoever comes after this process.
		{unix.SYS_IOCTL, 1, all, []uint32{unix.TCGETS, unix.TCSETS, unix.TIOCGWINSZ}},
		// What a descriptor is, and copies of it. With F_SETOWN and F_SETSIG the kernel would signal another process of the same user.
		{unix.SYS_FCNTL, 1, all, []uint32{unix.F_GETFL, unix.F_SETFL, unix.F_GETFD, unix.F_SETFD, unix.F_DUPFD_CLOEXEC}},
		// Names for Go's pieces of memory (runtime/set_vma_name_linux.go).
		{unix.SYS_PRCTL, 0, all, []uint32{unix.PR_SET_VMA}},
	}
}

// The fields of struct seccomp_data (linux/seccomp.h): the call's number, the architecture that it is of, and its arguments. An
// argument has 64 bits, of which the lower come first on both architectures.
const (
	callOffset         = 0
	architectureOffset = 4
	argumentsOffset    = 16
)

// filterProgram is the filter as the kernel takes it (seccomp(2)). A process may hold a second table of calls, those of 32 bits or of
// x32; neither is Go's, and all of both is refused: the first by the architecture, the second because its numbers have a bit of their own.
func filterProgram() []unix.SockFilter {
	load := func(offset int) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: uint32(offset)}
	}
	// equal skips so many instructions if what was loaded is k, or if not.
	equal := func(k uint32, ifSo, ifNot int) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: uint8(ifSo), Jf: uint8(ifNot), K: k}
	}
	and := func(k uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: k}
	}
	answer := func(k uint32) unix.SockFilter { return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: k} }
	allow, refuse := answer(unix.SECCOMP_RET_ALLOW), answer(unix.SECCOMP_RET_ERRNO|uint32(unix.EPERM))

	program := []unix.SockFilter{load(architectureOffset), equal(architecture, 1, 0), refuse, load(callOffset)}
	// clone3 has its flags in memory, where no filter sees them. As if it were not there it is left for clone, by glibc too.
	program = append(program, equal(unix.SYS_CLONE3, 0, 1), answer(unix.SECCOMP_RET_ERRNO|uint32(unix.ENOSYS)))
	for _, call := range slices.Concat(allowedCalls, architectureCalls) {
		program = append(program, equal(call, 0, 1), allow)
	}
	for _, c := range conditionalCalls() {
		judge := []unix.SockFilter{load(argumentsOffset + 8*c.argument), and(c.mask)}
		for _, v := range c.values {
			judge = append(judge, equal(v, 0, 1), allow)
		}
		judge = append(judge, refuse)
		program = append(append(program, equal(c.call, 0, len(judge))), judge...)
	}
	return append(program, refuse)
}

// filterCalls puts the filter on all threads of this process. It cannot be taken off. A kernel that has no such filters, or none for
// all threads (Linux 3.17), leaves the process as it is, as one without Landlock does.
func filterCalls() error {
	program := filterProgram()
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC,
		uintptr(unsafe.Pointer(&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})))
	if errno == 0 || errors.Is(errno, unix.ENOSYS) || errors.Is(errno, unix.EINVAL) {
		return nil
	}
	return fmt.Errorf("seccomp: %w", errno)
}
