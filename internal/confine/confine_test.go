package confine

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// confinedEnv makes this test binary a process of the kind that it names, as far as its confinement
// goes.
const confinedEnv = "DIAGSH_CONFINED"

var profiles = map[string]profile{"session": session, "front": front}

// A forbidden call has arguments with which an unconfined root gets something else than EPERM.
type forbidden struct {
	name string
	call uintptr
	args [4]uintptr
}

// forbiddenTo are the calls that only one kind of process may make.
func forbiddenTo(kind string) []forbidden {
	nobody := ^uintptr(0)
	if kind == "session" {
		return []forbidden{
			{"accept4", unix.SYS_ACCEPT4, [4]uintptr{nobody}},
			{"sendmsg", unix.SYS_SENDMSG, [4]uintptr{nobody}},
			{"recvmsg", unix.SYS_RECVMSG, [4]uintptr{nobody}},
			{"size of a terminal", unix.SYS_IOCTL, [4]uintptr{nobody, unix.TIOCSWINSZ}},
		}
	}
	return []forbidden{
		{"openat", unix.SYS_OPENAT, [4]uintptr{nobody}},
		{"pipe2", unix.SYS_PIPE2, [4]uintptr{0, nobody}},
		{"shutdown, to read", unix.SYS_SHUTDOWN, [4]uintptr{nobody, unix.SHUT_RD}},
		{"shutdown of all", unix.SYS_SHUTDOWN, [4]uintptr{nobody, unix.SHUT_RDWR}},
		{"mode of a terminal", unix.SYS_IOCTL, [4]uintptr{nobody, unix.TCSETS}},
		{"other end of a terminal", unix.SYS_IOCTL, [4]uintptr{nobody, unix.TIOCGPTPEER}},
		{"filter on a socket", unix.SYS_SETSOCKOPT, [4]uintptr{nobody, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER}},
		{"SO_DEBUG, which is the number of TCP_NODELAY", unix.SYS_SETSOCKOPT, [4]uintptr{nobody, unix.SOL_SOCKET, unix.SO_DEBUG}},
		{"TCP_DEFER_ACCEPT, which is the number of SO_KEEPALIVE", unix.SYS_SETSOCKOPT, [4]uintptr{nobody, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT}},
		{"TCP_ULP", unix.SYS_SETSOCKOPT, [4]uintptr{nobody, unix.IPPROTO_TCP, unix.TCP_ULP}},
	}
}

// forbiddenCalls are forbidden to both kinds.
func forbiddenCalls() []forbidden {
	nobody := ^uintptr(0) // no descriptor
	calls := []forbidden{
		{"socket, UDP", unix.SYS_SOCKET, [4]uintptr{unix.AF_INET, unix.SOCK_DGRAM}},
		{"socket, TCP", unix.SYS_SOCKET, [4]uintptr{unix.AF_INET6, unix.SOCK_STREAM}},
		{"socket, Unix", unix.SYS_SOCKET, [4]uintptr{unix.AF_UNIX, unix.SOCK_STREAM}},
		{"socket, netlink", unix.SYS_SOCKET, [4]uintptr{unix.AF_NETLINK, unix.SOCK_RAW}},
		{"socketpair", unix.SYS_SOCKETPAIR, [4]uintptr{unix.AF_UNIX, unix.SOCK_STREAM}},
		{"connect", unix.SYS_CONNECT, [4]uintptr{nobody}},
		{"bind", unix.SYS_BIND, [4]uintptr{nobody}},
		{"listen", unix.SYS_LISTEN, [4]uintptr{nobody}},
		{"sendto", unix.SYS_SENDTO, [4]uintptr{nobody}},
		{"execve", unix.SYS_EXECVE, [4]uintptr{}},
		{"execveat", unix.SYS_EXECVEAT, [4]uintptr{nobody}},
		{"clone of a process", unix.SYS_CLONE, [4]uintptr{unix.CLONE_SIGHAND}},
		{"clone into a user namespace", unix.SYS_CLONE, [4]uintptr{unix.CLONE_THREAD | unix.CLONE_NEWUSER}},
		{"clone3", unix.SYS_CLONE3, [4]uintptr{}},
		{"unshare", unix.SYS_UNSHARE, [4]uintptr{1}},
		{"setns", unix.SYS_SETNS, [4]uintptr{nobody}},
		{"mount", unix.SYS_MOUNT, [4]uintptr{1, 1, 1}},
		{"umount2", unix.SYS_UMOUNT2, [4]uintptr{1}},
		{"open_tree", unix.SYS_OPEN_TREE, [4]uintptr{nobody}},
		{"pivot_root", unix.SYS_PIVOT_ROOT, [4]uintptr{}},
		{"chroot", unix.SYS_CHROOT, [4]uintptr{}},
		{"ptrace", unix.SYS_PTRACE, [4]uintptr{unix.PTRACE_PEEKDATA, 1 << 22}},
		{"process_vm_readv", unix.SYS_PROCESS_VM_READV, [4]uintptr{1 << 22}},
		{"pidfd_open", unix.SYS_PIDFD_OPEN, [4]uintptr{1 << 22}},
		{"kill of another", unix.SYS_KILL, [4]uintptr{1 << 22, 0}},
		{"kill of all", unix.SYS_KILL, [4]uintptr{nobody, 1000}},
		{"tgkill of another", unix.SYS_TGKILL, [4]uintptr{1 << 22, 1 << 22, 0}},
		{"prlimit64", unix.SYS_PRLIMIT64, [4]uintptr{0, 1000}},
		{"setuid", unix.SYS_SETUID, [4]uintptr{nobody}},
		{"capset", unix.SYS_CAPSET, [4]uintptr{}},
		{"kexec_load", unix.SYS_KEXEC_LOAD, [4]uintptr{0, 1000}},
		{"init_module", unix.SYS_INIT_MODULE, [4]uintptr{}},
		{"finit_module", unix.SYS_FINIT_MODULE, [4]uintptr{nobody}},
		{"bpf", unix.SYS_BPF, [4]uintptr{1000}},
		{"perf_event_open", unix.SYS_PERF_EVENT_OPEN, [4]uintptr{}},
		{"io_uring_setup", unix.SYS_IO_URING_SETUP, [4]uintptr{1}},
		{"keyctl", unix.SYS_KEYCTL, [4]uintptr{1000}},
		{"add_key", unix.SYS_ADD_KEY, [4]uintptr{}},
		{"request_key", unix.SYS_REQUEST_KEY, [4]uintptr{}},
		{"userfaultfd", unix.SYS_USERFAULTFD, [4]uintptr{nobody}},
		{"memfd_create", unix.SYS_MEMFD_CREATE, [4]uintptr{}},
		{"seccomp", unix.SYS_SECCOMP, [4]uintptr{1000}},
		{"unlinkat", unix.SYS_UNLINKAT, [4]uintptr{nobody}},
		{"fcntl, F_SETOWN", unix.SYS_FCNTL, [4]uintptr{0, unix.F_SETOWN, 1 << 22}},
		{"fcntl, F_SETOWN_EX", unix.SYS_FCNTL, [4]uintptr{0, unix.F_SETOWN_EX, 1}},
		{"fcntl, F_SETSIG", unix.SYS_FCNTL, [4]uintptr{0, unix.F_SETSIG, 9}},
		{"fcntl, F_NOTIFY", unix.SYS_FCNTL, [4]uintptr{0, 1026, 0}},
		{"fcntl, F_SETLEASE", unix.SYS_FCNTL, [4]uintptr{0, 1024, 0}},
		{"prctl", unix.SYS_PRCTL, [4]uintptr{unix.PR_SET_DUMPABLE, 1000}},
		{"mmap of a program", unix.SYS_MMAP, [4]uintptr{0, 0, unix.PROT_EXEC}},
		{"mprotect to a program", unix.SYS_MPROTECT, [4]uintptr{1, 1, unix.PROT_READ | unix.PROT_EXEC}},
		{"typing into a terminal", unix.SYS_IOCTL, [4]uintptr{0, unix.TIOCSTI}},
		{"a number that no kernel has", 100_000, [4]uintptr{}},
	}
	if runtime.GOARCH == "amd64" {
		const x32 = 0x40000000 // __X32_SYSCALL_BIT (asm/unistd.h)
		calls = append(calls, forbidden{"getpid of x32", x32 | unix.SYS_GETPID, [4]uintptr{}}, forbidden{"socket of x32", x32 | unix.SYS_SOCKET, [4]uintptr{unix.AF_INET, unix.SOCK_DGRAM}})
	}
	return calls
}

// confined is the process of TestForbiddenCalls: it says what came of each call, made by a thread
// that was there before.
func confined(kind string) int {
	begin, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		<-begin
		for _, f := range append(forbiddenCalls(), forbiddenTo(kind)...) {
			_, _, errno := syscall.RawSyscall6(f.call, f.args[0], f.args[1], f.args[2], f.args[3], 0, 0)
			fmt.Printf("%s: %v\n", f.name, errno)
		}
	}()
	if err := profiles[kind].confine(os.Geteuid() != 0); err != nil {
		fmt.Println(err)
		return 1
	}
	close(begin)
	<-done
	return 0
}

// nicer is the process of TestNicenessRises, whose first thread has a niceness of its own.
func nicer(own int) int {
	runtime.LockOSThread()
	if err := unix.Setpriority(unix.PRIO_PROCESS, 0, own); err != nil {
		fmt.Println(err)
		return 1
	}
	if err := renice(5); err != nil {
		fmt.Println(err)
		return 1
	}
	urgency, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	fmt.Println(20-urgency, err)
	return 0
}

// nicerEnv makes this test binary the process of TestNicenessRises.
const nicerEnv = "DIAGSH_NICER"

func TestMain(m *testing.M) {
	if own := os.Getenv(nicerEnv); own != "" {
		n, _ := strconv.Atoi(own)
		os.Exit(nicer(n))
	}
	if kind := os.Getenv(confinedEnv); kind != "" {
		os.Exit(confined(kind))
	}
	os.Exit(m.Run())
}

func TestForbiddenCalls(t *testing.T) {
	users := map[string]*syscall.SysProcAttr{"own user": nil}
	if os.Geteuid() == 0 {
		users["nobody"] = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	for kind := range profiles {
		for name, attributes := range users {
			t.Run(kind+", "+name, func(t *testing.T) {
				cmd := exec.Command("/proc/self/exe") // by its path, which is in a folder of whoever runs the test, nobody could not
				cmd.Dir, cmd.Env, cmd.SysProcAttr = "/", []string{confinedEnv + "=" + kind, "GOMAXPROCS=1"}, attributes
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				var want strings.Builder
				for _, f := range append(forbiddenCalls(), forbiddenTo(kind)...) {
					refusal := unix.EPERM
					if f.call == unix.SYS_CLONE3 {
						refusal = unix.ENOSYS
					}
					fmt.Fprintf(&want, "%s: %v\n", f.name, refusal)
				}
				if string(out) != want.String() {
					t.Errorf("the process says\n%s", out)
				}
			})
		}
	}
}

// TestNicenessRises: a process without privilege becomes nicer, and one that is nicer already stays
// so, as the front of an appliance that nice(1) started.
func TestNicenessRises(t *testing.T) {
	var attributes *syscall.SysProcAttr
	if os.Geteuid() == 0 {
		attributes = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	present, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, own := range []int{20 - present, 12, 19} {
		cmd := exec.Command("/proc/self/exe")
		cmd.Dir, cmd.Env, cmd.SysProcAttr = "/", []string{nicerEnv + "=" + strconv.Itoa(own)}, attributes
		out, err := cmd.CombinedOutput()
		if want := fmt.Sprintf("%d <nil>\n", max(own, 5)); err != nil || string(out) != want {
			t.Errorf("from %d: %v, %q, want %q", own, err, out, want)
		}
	}
}

// Go's runtime makes no call that a confined process may not make. What it makes only before main,
// for profiles or on Android is left out.
func TestRuntimeMayCall(t *testing.T) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatalf("go env GOROOT: %v", err)
	}
	source := filepath.Join(strings.TrimSpace(string(root)), "src/runtime/sys_linux_"+runtime.GOARCH+".s")
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatalf("the calls of Go's runtime: %v", err)
	}
	unneeded := []string{
		"arch_prctl", "timer_create", "timer_settime", "timer_delete", "setittimer", "setitimer", "socket", "connect", "faccessat", "openat", "pipe2",
	}
	may := slices.Concat(runtimeCalls, architectureCalls)
	for _, c := range runtimeConditions() {
		may = append(may, c.call)
	}
	defined := regexp.MustCompile(`(?m)^#define SYS_(\w+)\s+(\d+)`).FindAllStringSubmatch(string(text), -1)
	if len(defined) < 20 {
		t.Fatalf("%s defines %d system calls", source, len(defined))
	}
	for _, d := range defined {
		if number, _ := strconv.Atoi(d[2]); !slices.Contains(may, uint32(number)) && !slices.Contains(unneeded, d[1]) {
			t.Errorf("the runtime calls %s, number %d", d[1], number)
		}
	}
}
