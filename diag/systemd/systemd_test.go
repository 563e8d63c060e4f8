package systemd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bus "github.com/godbus/dbus/v5"

	"diagsh/internal/test/netnstest"
)

// privateBus starts a message bus for the test and makes this process look for systemd there.
func privateBus(t *testing.T) (address string) {
	t.Helper()
	daemon := netnstest.Tool(t, "dbus-daemon")
	dir := t.TempDir()
	address = "unix:path=" + filepath.Join(dir, "bus")
	conf := filepath.Join(dir, "bus.conf")
	text := fmt.Sprintf(`<busconfig><type>system</type><listen>%s</listen><auth>EXTERNAL</auth><policy context="default">
<allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/><allow user="*"/></policy></busconfig>`, address)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(daemon, "--nofork", "--nopidfile", "--print-address", "--config-file="+conf)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("the bus did not start: %q %v", line, err)
	}
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
	return address
}

// A systemd stands in for the real one. It knows some units, and restarts them with the given
// result.
type systemd struct {
	conn   *bus.Conn
	result string
	asked  chan string
}

const managerPath = "/org/freedesktop/systemd1"

type unitStatus struct {
	Name, Description, Load, Active, Sub, Followed string
	Path                                           bus.ObjectPath
	Job                                            uint32
	JobType                                        string
	JobPath                                        bus.ObjectPath
}

func (s *systemd) ListUnitsByNames(names []string) ([]unitStatus, *bus.Error) {
	var list []unitStatus
	for _, name := range names {
		u := unitStatus{Name: name, Load: "not-found", Active: "inactive", Sub: "dead", Path: "/none", JobPath: "/"}
		switch name {
		case "ssh.service", "sshd.service":
			u.Load, u.Active, u.Sub, u.Path = "loaded", "active", "running", managerPath+"/unit/ssh_2eservice"
		case "exim4.service":
			u.Load, u.Active, u.Sub, u.Path = "loaded", "failed", "failed", managerPath+"/unit/exim4_2eservice"
		case "cups.service":
			u.Load, u.Active, u.Sub, u.Path = "loaded", "activating", "auto-restart", managerPath+"/unit/cups_2eservice"
		}
		list = append(list, u)
	}
	return list, nil
}

func (s *systemd) RestartUnit(name, mode string) (bus.ObjectPath, *bus.Error) {
	s.asked <- name + " " + mode
	if s.result == "refused" {
		return "", bus.NewError("org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", nil)
	}
	job := bus.ObjectPath(managerPath + "/job/7")
	if s.result != "" {
		go s.conn.Emit(managerPath, "org.freedesktop.systemd1.Manager.JobRemoved", uint32(7), job, name, s.result)
	}
	return job, nil
}

// A unit answers requests for its properties.
type unit map[string]bus.Variant

func (u unit) GetAll(string) (map[string]bus.Variant, *bus.Error) { return u, nil }

// A manager answers requests for the version.
type manager struct{}

func (manager) Get(_, name string) (bus.Variant, *bus.Error) { return bus.MakeVariant("257"), nil }

func fake(t *testing.T) *systemd {
	t.Helper()
	conn, err := bus.Connect(privateBus(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	s := &systemd{conn: conn, asked: make(chan string, 9)}
	const properties = "org.freedesktop.DBus.Properties"
	conn.Export(s, managerPath, "org.freedesktop.systemd1.Manager")
	conn.Export(manager{}, managerPath, properties)
	conn.Export(unit{"Id": bus.MakeVariant("ssh.service"),
		"ActiveEnterTimestamp": bus.MakeVariant(uint64(1_700_000_000_000_000)),
		"MainPID":              bus.MakeVariant(uint32(812)), "MemoryCurrent": bus.MakeVariant(uint64(5 << 20)),
		"NRestarts": bus.MakeVariant(uint32(2))},
		managerPath+"/unit/ssh_2eservice", properties)
	conn.Export(unit{"Id": bus.MakeVariant("exim4.service"),
		"InactiveEnterTimestamp": bus.MakeVariant(uint64(1_700_000_001_000_000)),
		"MemoryCurrent":          bus.MakeVariant(^uint64(0)), "MainPID": bus.MakeVariant("of another type")},
		managerPath+"/unit/exim4_2eservice", properties)
	// It is started again after the list was made.
	conn.Export(unit{"Id": bus.MakeVariant("cups.service"), "ActiveState": bus.MakeVariant("active"),
		"SubState": bus.MakeVariant("running"),
		"Result":   bus.MakeVariant("success"), "ActiveEnterTimestamp": bus.MakeVariant(uint64(1_700_000_002_000_000)),
		"NRestarts": bus.MakeVariant(uint32(3))},
		managerPath+"/unit/cups_2eservice", properties)
	if reply, err := conn.RequestName("org.freedesktop.systemd1", bus.NameFlagDoNotQueue); err != nil ||
		reply != bus.RequestNameReplyPrimaryOwner {
		t.Fatal(reply, err)
	}
	return s
}

func open(t *testing.T) *Manager {
	t.Helper()
	m, err := Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

func TestFind(t *testing.T) {
	fake(t)
	list, err := open(t).Find(t.Context(),
		[]string{"ssh.service", "sshd.service", "nothing.service", "exim4.service", "cups.service"})
	if err != nil {
		t.Fatal(err)
	}
	want := []Unit{
		{Name: "ssh.service", Active: "active", Sub: "running", Since: time.Unix(1_700_000_000, 0), PID: 812,
			Memory: 5 << 20, Restarts: 2},
		{Name: "exim4.service", Active: "failed", Sub: "failed", Since: time.Unix(1_700_000_001, 0)},
		{Name: "cups.service", Active: "active", Sub: "running", Since: time.Unix(1_700_000_002, 0), Restarts: 3,
			Result: "success"},
	}
	if fmt.Sprint(list) != fmt.Sprint(want) {
		t.Errorf("%+v\nwant\n%+v", list, want)
	}
}

func TestRestart(t *testing.T) {
	s := fake(t)
	m := open(t)
	s.result = "done"
	if err := m.Restart(t.Context(), "ssh.service"); err != nil || <-s.asked != "ssh.service replace" {
		t.Errorf("it was not restarted: %v", err)
	}
	s.result = "failed"
	var job *JobError
	if err := m.Restart(t.Context(), "ssh.service"); !errors.As(err, &job) || job.Result != "failed" {
		t.Errorf("a restart that failed: %v", err)
	}
	<-s.asked
	s.result = "refused"
	if err := m.Restart(t.Context(), "ssh.service"); !errors.Is(err, ErrForbidden) {
		t.Errorf("a restart that is not allowed: %v", err)
	}
	<-s.asked
	s.result = "" // it never ends
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-s.asked; cancel() }()
	if err := m.Restart(ctx, "ssh.service"); !errors.Is(err, context.Canceled) {
		t.Errorf("a restart that is interrupted: %v", err)
	}
}

// TestNoSystemd: no bus, and a bus without systemd, give the same error.
func TestNoSystemd(t *testing.T) {
	privateBus(t)
	if _, err := Open(t.Context()); !errors.Is(err, ErrNoSystemd) {
		t.Errorf("a bus alone: %v", err)
	}
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+filepath.Join(t.TempDir(), "nothing"))
	if _, err := Open(t.Context()); !errors.Is(err, ErrNoSystemd) {
		t.Errorf("no bus: %v", err)
	}
	if strings.Contains(ErrNoSystemd.Error(), "/") {
		t.Error("the text names a path")
	}
}
