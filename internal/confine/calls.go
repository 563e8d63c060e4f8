package confine

import (
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// runtimeCalls are what Go's runtime needs to run threads, memory, timers and signals, and what it
// takes to read and write descriptors that are open. Together with those of its profile, and of its
// architecture in architectureCalls, they are all that a process may make. Everything else fails
// with EPERM: in particular new sockets, programs, other processes, namespaces, mounts, modules,
// keys, bpf, io_uring, and whatever later kernels add.
var runtimeCalls = []uint32{
	// Descriptors that are open.
	unix.SYS_READ, unix.SYS_WRITE, unix.SYS_READV, unix.SYS_WRITEV, unix.SYS_PREAD64, unix.SYS_LSEEK, unix.SYS_CLOSE, unix.SYS_FSTAT,
	unix.SYS_PPOLL, unix.SYS_EPOLL_CREATE1, unix.SYS_EPOLL_CTL, unix.SYS_EPOLL_PWAIT, unix.SYS_EPOLL_PWAIT2, unix.SYS_EVENTFD2,
	unix.SYS_GETSOCKOPT, unix.SYS_GETSOCKNAME, unix.SYS_GETPEERNAME,
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

// sessionCalls are for the one connection that a session has, and its terminal. What openat may
// open is Landlock's.
var sessionCalls = []uint32{unix.SYS_OPENAT, unix.SYS_PIPE2, unix.SYS_SETSOCKOPT, unix.SYS_SHUTDOWN}

// frontCalls are to accept clients on the listeners that there are, and to get descriptors from the
// appliance.
var frontCalls = []uint32{unix.SYS_ACCEPT4, unix.SYS_RECVMSG, unix.SYS_SENDMSG}

// A conditionalCall is allowed if some of its arguments are right. All of these arguments are 32
// bits wide for the kernel, whatever stands in the upper half of the register. Where a call is
// listed twice, one of the two has to fit.
type conditionalCall struct {
	call       uint32
	conditions []condition
}

type condition struct {
	argument int
	mask     uint32   // the bits of the argument that count
	values   []uint32 // what they may be
}

const allBits = ^uint32(0)

// only is a call of which one argument has to have one of the values.
func only(call uint32, argument int, values ...uint32) conditionalCall {
	return conditionalCall{call, []condition{{argument, allBits, values}}}
}

// runtimeConditions are the calls of which every process needs one form.
func runtimeConditions() []conditionalCall {
	self := uint32(os.Getpid())
	const namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWUSER |
		unix.CLONE_NEWPID | unix.CLONE_NEWNET
	return []conditionalCall{
		// Threads of this process, no processes, no namespaces.
		{unix.SYS_CLONE, []condition{{0, unix.CLONE_THREAD | namespaces, []uint32{unix.CLONE_THREAD}}}},
		// Go's scheduler interrupts its threads by signals. Where others have the same user, this
		// keeps them off these.
		only(unix.SYS_TGKILL, 0, self),
		only(unix.SYS_KILL, 0, self),
		// Nothing that was written can be made a program.
		{unix.SYS_MMAP, []condition{{2, unix.PROT_EXEC, []uint32{0}}}},
		{unix.SYS_MPROTECT, []condition{{2, unix.PROT_EXEC, []uint32{0}}}},
		// What a descriptor is, and copies of it. With F_SETOWN and F_SETSIG the kernel would
		// signal another process of the same user.
		only(unix.SYS_FCNTL, 1, unix.F_GETFL, unix.F_SETFL, unix.F_GETFD, unix.F_SETFD, unix.F_DUPFD_CLOEXEC),
		// Names for Go's pieces of memory (runtime/set_vma_name_linux.go).
		only(unix.SYS_PRCTL, 0, unix.PR_SET_VMA),
	}
}

func sessionConditions() []conditionalCall {
	return []conditionalCall{
		// The mode and the size of the terminal. TIOCSTI would type into the terminal for the
		// process that reads it next.
		only(unix.SYS_IOCTL, 1, unix.TCGETS, unix.TCSETS, unix.TIOCGWINSZ),
	}
}

func frontConditions() []conditionalCall {
	return []conditionalCall{
		// The size of a program's terminal, which is the client's to say.
		only(unix.SYS_IOCTL, 1, unix.TIOCSWINSZ),
		// The end of what it has to say on a connection. On a listener, any other form would end
		// that, for the next front too.
		only(unix.SYS_SHUTDOWN, 1, unix.SHUT_WR),
		// What package net sets on a connection that it accepts. A filter or a timeout on a
		// listener would stay for the next front.
		{unix.SYS_SETSOCKOPT, []condition{{1, allBits, []uint32{unix.SOL_SOCKET}}, {2, allBits, []uint32{unix.SO_KEEPALIVE}}}},
		{unix.SYS_SETSOCKOPT, []condition{{1, allBits, []uint32{unix.IPPROTO_TCP}},
			{2, allBits, []uint32{unix.TCP_NODELAY, unix.TCP_KEEPIDLE, unix.TCP_KEEPINTVL, unix.TCP_KEEPCNT}}}},
	}
}

// allowed returns the calls that processes of the profile may make, with and without conditions.
func (p profile) allowed() ([]uint32, []conditionalCall) {
	return slices.Concat(runtimeCalls, architectureCalls, p.calls), append(runtimeConditions(), p.some()...)
}
