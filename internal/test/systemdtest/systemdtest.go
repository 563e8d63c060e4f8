// Package systemdtest starts a real systemd for tests: as the first process of namespaces of its
// own, on a machine where another one, or none, runs.
package systemdtest

import (
	_ "embed"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"diagsh/internal/test/netnstest"
)

// The services that it has.
const (
	Runs   = "winbind.service"
	Fails  = "xinetd.service" // cannot be started
	Ends   = "cron.service"   // is started, and fails a moment later
	Again  = "cups.service"   // the same, and systemd starts it again and again
	Masked = "slapd.service"
)

//go:embed boot
var boot string

// A Systemd is one that runs.
type Systemd struct {
	pid string
	Bus string // the address of the bus where it takes orders (DBUS_SYSTEM_BUS_ADDRESS)
}

// Boot starts systemd, waits until it takes orders, and ends it with the test.
func Boot(t testing.TB) *Systemd {
	t.Helper()
	netnstest.NeedsRoot(t, "systemd in namespaces")
	for _, tool := range []string{"unshare", "nsenter", "systemctl", "dbus-daemon"} {
		netnstest.Tool(t, tool)
	}
	cmd := exec.Command("unshare", "--mount", "--pid", "--ipc", "--uts", "--net", "--cgroup", "--fork", "--kill-child", "sh", "-c", boot)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	t.Cleanup(func() { cmd.Process.Kill(); <-ended })
	deadline := time.After(20 * time.Second)
	own := strconv.Itoa(cmd.Process.Pid)
	for {
		if pid, err := os.ReadFile("/proc/" + own + "/task/" + own + "/children"); err == nil && len(pid) > 0 {
			s := &Systemd{pid: strings.TrimSpace(string(pid))}
			s.Bus = "unix:path=/proc/" + s.pid + "/root/run/dbus/system_bus_socket"
			// systemd is on the bus when the bus says who has its name.
			if s.inside("busctl", "status", "org.freedesktop.systemd1").Run() == nil {
				return s
			}
		}
		select {
		case <-ended:
			t.Fatalf("systemd ended: %s", &said)
		case <-deadline:
			t.Fatal("systemd does not answer on its bus")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// inside is a program where systemd is.
func (s *Systemd) inside(name string, args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"--target", s.pid, "--all", name}, args...)...)
}

// Systemctl is what systemd's own tool says.
func (s *Systemd) Systemctl(t testing.TB, args ...string) string {
	t.Helper()
	out, err := s.inside("systemctl", append([]string{"--no-pager"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("systemctl %s: %v %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}
