// Package netnstest gives tests a network of their own: a namespace that lives
// as long as the test, with veth pairs in it. It needs root.
package netnstest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Namespace is a network namespace that the test made.
type Namespace struct{ fd int }

// New makes a namespace with its loopback interface up.
func New(t testing.TB) *Namespace {
	t.Helper()
	NeedsRoot(t, "a network namespace")
	ns := make(chan int, 1)
	failed := make(chan error, 1)
	go func() {
		// The thread is never unlocked: it stays in the new namespace, so it must
		// end with this goroutine and not run another.
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			failed <- os.NewSyscallError("unshare", err)
			return
		}
		fd, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			failed <- os.NewSyscallError("open", err)
			return
		}
		ns <- fd
	}()
	select {
	case err := <-failed:
		Missing(t, "cannot make a network namespace: "+err.Error())
		return nil
	case fd := <-ns:
		t.Cleanup(func() { unix.Close(fd) })
		n := &Namespace{fd}
		n.Do(t, func() { up(t, "lo") })
		return n
	}
}

// Path is where the namespace can be opened while the test runs.
func (n *Namespace) Path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.fd) }

// Do runs f with this goroutine inside the namespace. Sockets and processes that
// f starts stay there; goroutines that f starts do not enter.
func (n *Namespace) Do(t testing.TB, f func()) {
	t.Helper()
	runtime.LockOSThread()
	outside, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		runtime.UnlockOSThread()
		t.Fatalf("the present namespace: %v", err)
	}
	defer unix.Close(outside)
	if err := unix.Setns(n.fd, unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		t.Fatalf("enter the namespace: %v", err)
	}
	defer func() {
		// A thread that cannot go back stays locked, and ends with the goroutine.
		if err := unix.Setns(outside, unix.CLONE_NEWNET); err != nil {
			t.Errorf("leave the namespace: %v", err)
			return
		}
		runtime.UnlockOSThread()
	}()
	f()
}

// Veth makes two interfaces in the namespace, each the far end of the other, and
// brings them up without addresses, so that no packet is on them but the test's.
func (n *Namespace) Veth(t testing.TB, left, right string) {
	t.Helper()
	n.Do(t, func() {
		for _, scope := range []string{"default", "all"} {
			// Router solicitations and neighbour discovery would be such packets.
			path := "/proc/sys/net/ipv6/conf/" + scope + "/disable_ipv6"
			if err := os.WriteFile(path, []byte("1"), 0); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
		}
		pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: left}, PeerName: right}
		if err := netlink.LinkAdd(pair); err != nil {
			t.Fatalf("make the veth pair %s and %s: %v", left, right, err)
		}
		up(t, left)
		up(t, right)
		Operates(t, left)
		Operates(t, right)
	})
}

// Serve runs a TCP server in the namespace until the test ends. Each of its connections is closed
// when talk is over.
func (n *Namespace) Serve(t testing.TB, address string, talk func(net.Conn)) {
	t.Helper()
	var l net.Listener
	var err error
	n.Do(t, func() { l, err = net.Listen("tcp", address) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				talk(c)
			}()
		}
	}()
}

// Operates waits until an interface of the present namespace, see Do, sends what
// it is given. The end of a veth pair that comes up first gets its queue only when
// the kernel's link watch hears of the other; until then it drops everything without
// a word.
func Operates(t testing.TB, name string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if linkNamed(t, name).Attrs().OperState == netlink.OperUp {
			return
		}
	}
	t.Fatalf("%s does not come up", name)
}

// linkNamed is an interface of the namespace of the calling thread.
func linkNamed(t testing.TB, name string) netlink.Link {
	t.Helper()
	link, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return link
}

func up(t testing.TB, name string) {
	t.Helper()
	if err := netlink.LinkSetUp(linkNamed(t, name)); err != nil {
		t.Fatalf("bring %s up: %v", name, err)
	}
}

// packages are the Debian packages of programs that have another name.
var packages = map[string]string{"ssh": "openssh-client", "sftp": "openssh-client", "scp": "openssh-client", "capinfos": "wireshark-common",
	"plink": "putty-tools", "psftp": "putty-tools", "ip": "iproute2", "df": "coreutils", "mkfs.ext4": "e2fsprogs", "dig": "bind9-dnsutils",
	"systemctl": "systemd", "unshare": "util-linux", "nsenter": "util-linux"}

// Tool is the path of a program the test compares with.
func Tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		pkg := packages[name]
		if pkg == "" {
			pkg = name
		}
		Missing(t, name+" is not installed; it is in the Debian package "+pkg)
	}
	return path
}

// NeedsRoot ends a test whose bench needs root, where it is missing, and with -short (make quick),
// which makes no namespaces, mounts and appliances.
func NeedsRoot(t testing.TB, what string) {
	t.Helper()
	if testing.Short() {
		t.Skip("not with -short: " + what)
	}
	if os.Geteuid() != 0 {
		Missing(t, what+" needs root")
	}
}

// Missing ends a test that this machine cannot run. On a developer's machine the
// test is skipped; in CI, where everything has to be there, it fails.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(what)
	}
	t.Skip(what)
}
