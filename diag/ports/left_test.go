package ports

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"diagsh/diag/ports/procs"
	"diagsh/internal/bpf"
	"diagsh/internal/test/await"
	"diagsh/internal/test/netnstest"
)

// accepter has a process of Python accept connections, and says at which port.
const accepter = `
import ctypes, os, socket, struct, sys, time
libc = ctypes.CDLL(None, use_errno=True)
def name(n): libc.prctl(15, n.encode(), 0, 0, 0)
def fork(number):
    # struct clone_args of clone3(2), which lets root choose the number
    one = ctypes.c_int(number)
    args = struct.pack('=11Q', 0, 0, 0, 0, 17, 0, 0, 0, ctypes.addressof(one), 1, 0)
    while True:
        p = libc.syscall(435, ctypes.create_string_buffer(args, len(args)), len(args))
        if p >= 0: return p
        if ctypes.get_errno() != 17: os._exit(77)
listener = socket.socket(); listener.bind(('127.0.0.1', 0)); listener.listen(1)
print(listener.getsockname()[1], flush=True)
`

// python runs the script and more of it, and returns where it listens.
func python(t *testing.T, more string) (*exec.Cmd, *bufio.Reader, string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), netnstest.Tool(t, "python3"), "-c", accepter+more)
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(out)
	port, err := in.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return c, in, "127.0.0.1:" + strings.TrimSpace(port)
}

// between returns the flows from one end to the other, as they were told last.
func (l *listening) between(local, remote string) (list []Flow) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := map[time.Time]int{}
	for _, f := range l.flows {
		if f.Local != netip.MustParseAddrPort(local) || f.Remote != netip.MustParseAddrPort(remote) {
			continue
		}
		if i, told := at[f.From]; told {
			list[i] = f
			continue
		}
		at[f.From] = len(list)
		list = append(list, f)
	}
	return list
}

// TestLeftOpen: the packets of a connection whose process ended, and which its child has, are nobody's
// until the child uses it.
func TestLeftOpen(t *testing.T) {
	_, l, _ := watch(t, Full)
	parent, out, address := python(t, `
c, _ = listener.accept()
if os.fork(): os._exit(0)
c.recv(9)
print('read', os.getpid(), flush=True)
c.recv(9)
`)
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	client := c.LocalAddr().String()
	if _, err := parent.Process.Wait(); err != nil {
		t.Fatal(err)
	}
	ended := time.Now()
	await.Until(t, "a flow of nobody", func() bool {
		list := l.between(address, client)
		return len(list) > 0 && list[len(list)-1].PID == 0
	})
	// Who comes now is nobody's, too, since nobody knows who has the listener.
	second, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	second.Close()
	sent := time.Now()
	c.Write([]byte("word"))
	var child int
	if _, err := fmt.Fscanf(out, "read %d\n", &child); err != nil {
		t.Fatal(err)
	}
	await.Until(t, "a flow of the child", func() bool {
		list := l.between(address, client)
		return list[len(list)-1].PID == child
	})
	list := l.between(address, client)
	left, last := list[len(list)-2], list[len(list)-1]
	if left.PID != 0 || left.From.After(ended) || left.Until != last.From || list[len(list)-3].PID != parent.Process.Pid {
		t.Errorf("%+v", list)
	}
	if last.Unused.IsZero() || last.Unused.After(sent) {
		t.Errorf("%+v", last)
	}
	for _, f := range l.between(address, second.LocalAddr().String()) {
		if f.PID != 0 {
			t.Errorf("a listener that was left: %+v", f)
		}
	}
}

// TestNumberUsedAgain: a process that has the number of one that ended, and its socket, is told.
func TestNumberUsedAgain(t *testing.T) {
	_, l, stop := watch(t, Full)
	c, _, address := python(t, `
def first():
    name('first')
    c, _ = listener.accept()
    c.send(b'1')
    sender.sendmsg([b'-'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack('i', c.fileno()))])
    os._exit(0)
def second():
    name('second')
    c.send(b'2')
    os._exit(0)
sender, receiver = socket.socketpair(socket.AF_UNIX)
number = os.fork()
if not number: first()
_, passed, _, _ = receiver.recvmsg(9, 99)
os.waitpid(number, 0)
c = socket.socket(fileno=struct.unpack('i', passed[0][2])[0])
if not fork(number): second()
os._exit(os.waitpid(number, 0)[1] >> 8)
`)
	client, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := c.Wait(); err != nil {
		if c.ProcessState.ExitCode() == 77 {
			t.Skip("the number of a process cannot be chosen here")
		}
		t.Fatal(err)
	}
	stop()
	remote := portAt(client.LocalAddr())
	accepted := l.wait(t, "accept", func(r Record) bool { return r.Event == Accepted && int(r.RemotePort) == remote })
	used := l.wait(t, "the other's use", func(r Record) bool { return r.Event == Used && int(r.RemotePort) == remote })
	if accepted.Name != "first" || used.Name != "second" || used.PID != accepted.PID {
		t.Errorf("%+v\n%+v", accepted, used)
	}
}

// TestShut: a connection that connect(2) undid has no packets any more, though its socket is open: its
// ends may be another's.
func TestShut(t *testing.T) {
	_, l, _ := watch(t, Full)
	in, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: portAt(in.Addr()), Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	local := fmt.Sprintf("127.0.0.1:%d", at.(*unix.SockaddrInet4).Port)
	none := [16]byte{} // AF_UNSPEC
	if _, _, errno := unix.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&none)), 16); errno != 0 {
		t.Fatal(errno)
	}
	await.Until(t, "the end of the flow", func() bool {
		list := l.between(local, in.Addr().String())
		return len(list) == 1 && !list[0].Until.IsZero() && list[0].PID == os.Getpid()
	})
}

// then is set in the process of the test that executes another file, which it names.
const then = "PORTS_THEN"

// TestOverlay: of a process that executes one file right after another, each file is its own or not
// known, on a file system whose files are those of others.
func TestOverlay(t *testing.T) {
	needRoot(t)
	if other, ok := os.LookupEnv(then); ok {
		in, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("listens", portAt(in.Addr()))
		in.Close()
		if other != "" {
			os.Setenv(then, "")
			t.Fatal(syscall.Exec(other, os.Args, os.Environ()))
		}
		return
	}
	_, l, stop := watch(t, Full)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), "sh", "-ec", `mount -t tmpfs none "$1"; cd "$1"; mkdir lower upper work all
mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work all || exit 77
cp "$0" all/first; cp "$0" all/second
`+then+`="$1/all/second" "$1/all/first" -test.run '^TestOverlay$'`, exe, t.TempDir())
	c.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	out, err := c.CombinedOutput()
	if err != nil {
		if c.ProcessState.ExitCode() == 77 {
			t.Skipf("%s", out)
		}
		t.Fatalf("%v\n%s", err, out)
	}
	stop()
	said := strings.Fields(strings.ReplaceAll(string(out), "listens", ""))
	for i, name := range []string{"first", "second"} {
		r := l.wait(t, "listen", func(r Record) bool { return r.Event == Listening && fmt.Sprint(r.LocalPort) == said[i] })
		if r.Name != name || r.Exe != "" && filepath.Base(r.Exe) != name {
			t.Errorf("%s is %+v", name, r.Process)
		}
	}
}

// TestMovedCgroup: a process that moves to another cgroup is told in that one.
func TestMovedCgroup(t *testing.T) {
	needRoot(t)
	root, err := bpf.CgroupRoot()
	if err != nil {
		t.Skip(err)
	}
	move := func(to string) {
		if err := os.WriteFile(filepath.Join(to, "cgroup.procs"), []byte("0"), 0); err != nil {
			t.Skip(err)
		}
	}
	before := procs.CgroupNow(os.Getpid())
	_, l, stop := watch(t, Full)
	first, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	cgroup := fmt.Sprintf("/ports-%d", os.Getpid())
	if err := os.Mkdir(root+cgroup, 0o755); err != nil {
		t.Skip(err)
	}
	defer os.Remove(root + cgroup)
	move(root + cgroup)
	second, err := net.Listen("tcp", "127.0.0.1:0")
	move(root + before)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	stop()
	for at, want := range map[net.Listener]string{first: before, second: cgroup} {
		if r := l.wait(t, "listen", is(Listening, portAt(at.Addr()))); r.Cgroup != want {
			t.Errorf("%s is in %s, not %s", r.Name, r.Cgroup, want)
		}
	}
}

// TestHandedOverAmidLoss: after a gap a connection is of who uses it now, and nobody's if its process has
// it no more.
func TestHandedOverAmidLoss(t *testing.T) {
	for _, test := range []struct {
		name    string
		user    uint32 // as the kernel knows
		holders []uint32
		want    int
	}{
		{"nothing was lost", 5, []uint32{5}, 5},
		{"it has another, too", 5, []uint32{6, 5}, 5},
		{"another uses it", 6, []uint32{5, 6}, 6},
		{"its process ended", 5, []uint32{6}, 0},
		{"another used it and ended", 6, []uint32{5}, 0},
	} {
		s := newScript(t)
		tell := func(kind byte, who, user uint32) {
			s.now += uint64(time.Millisecond)
			var e event
			if err := decodeEvent(s.sample(kind, stateEstablished, 1, who), &e); err != nil {
				t.Fatal(err)
			}
			e.who.pid, e.user.id, e.user.pid = who, user, user
			if kind == kindHeld {
				e.flags |= flagUsed
				s.found(&e, s.now)
				return
			}
			s.event(&e)
		}
		tell(kindPassive, 5, 0)
		tell(kindAccept, 5, 0)
		s.now += uint64(time.Second)
		began := s.now
		var key socketKey
		for key = range s.sockets {
		}
		for _, who := range test.holders {
			s.now = began - uint64(time.Millisecond) // tell adds it
			tell(kindHeld, who, test.user)
		}
		s.missed(map[socketKey]bool{key: true}, began, "")
		if spans := s.sockets[key].spans; len(spans) > 1 || test.want == 0 && len(spans) == 1 && spans[0].who != nobody ||
			test.want != 0 && (len(spans) == 0 || spans[0].who.PID != test.want) {
			t.Errorf("%s: %+v", test.name, spans)
		}
	}
}
