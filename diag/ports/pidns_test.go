package ports

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// inside is set in the test's process that has a pid namespace of its own. It is the address of a
// listener outside.
const inside = "PORTS_OUTSIDE"

// TestPidNamespace: an appliance in a pid namespace of its own names its processes by the numbers that
// they have there. Those outside have none, and so they have no name either: their number would be
// another one's.
func TestPidNamespace(t *testing.T) {
	needRoot(t)
	if address := os.Getenv(inside); address != "" {
		insidePidNamespace(t, address)
		return
	}
	outside, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer outside.Close()
	go func() {
		for {
			c, err := outside.Accept()
			if err != nil {
				return
			}
			c.Write([]byte("answer"))
			c.Close()
		}
	}()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// The new /proc, which the engine reads, is that of the namespace.
	c := exec.CommandContext(t.Context(), "sh", "-ec", `mount -t proc proc /proc && exec "$0" -test.run '^TestPidNamespace$' -test.v`, exe)
	c.Env = append(os.Environ(), inside+"="+outside.Addr().String())
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID, Unshareflags: syscall.CLONE_NEWNS}
	out, err := c.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestPidNamespace") {
		t.Fatalf("%v\n%s", err, out)
	}
}

func insidePidNamespace(t *testing.T, address string) {
	if os.Getpid() != 1 {
		t.Fatalf("this is process %d", os.Getpid())
	}
	e, l, stop := watch(t, Full)
	s, _ := e.Status()
	if !strings.Contains(strings.Join(s.Blind, "\n"), "pid namespace") {
		t.Errorf("the status says %q", s.Blind)
	}
	in, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	client := exchange(t, in)
	port := portAt(in.Addr())
	in.Close()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	c.Read(make([]byte, 16))
	own := portAt(c.LocalAddr())
	far := portAt(c.RemoteAddr())
	c.Close()
	accepted := l.wait(t, "an accept outside", func(r Record) bool {
		return r.Event == Accepted && int(r.LocalPort) == far && int(r.RemotePort) == own
	})
	if accepted.PID != 0 || accepted.Name != "" || accepted.Exe != "" {
		t.Errorf("outside is %+v", accepted.Process)
	}
	stop()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, like := range []func(Record) bool{is(Listening, port), is(Connected, client), is(Accepted, port), is(Connected, own), is(Closed, own)} {
		if !l.has(func(r Record) bool { return like(r) && r.Name != "" && r.Exe == exe }) {
			t.Errorf("%+v", l.records)
		}
	}
	// Who is named is here: its number is one that somebody has in this namespace, or had.
	for _, r := range l.records {
		if r.PID > 0 && r.PID != 1 && r.Name != "" {
			t.Errorf("there is nobody else here: %+v", r)
		}
	}
}
