package systemd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"diagsh/internal/test/systemdtest"
)

// same compares the result of Find for a unit with systemctl.
func same(t *testing.T, s *systemdtest.Systemd, m *Manager, name string) Unit {
	t.Helper()
	list, err := m.Find(t.Context(), []string{name, "nothing.service"})
	if err != nil || len(list) != 1 {
		t.Fatalf("of %s and one that there is not come %+v, %v", name, list, err)
	}
	u := list[0]
	properties := map[string]string{}
	for line := range strings.Lines(s.Systemctl(t, "show", "--timestamp=unix", name)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		properties[key] = value
	}
	since := properties["ActiveEnterTimestamp"]
	if u.Active != "active" {
		since = properties["InactiveEnterTimestamp"]
	}
	want := []string{properties["Id"], properties["Description"], properties["ActiveState"], properties["SubState"],
		properties["NRestarts"], since}
	got := []string{u.Name, u.Description, u.Active, u.Sub, fmt.Sprint(u.Restarts), ""}
	if !u.Since.IsZero() {
		got[5] = fmt.Sprintf("@%d", u.Since.Unix())
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s is %q, systemctl says %q", name, got, want)
	}
	return u
}

// TestRealSystemd compares status and restart with a real systemd.
func TestRealSystemd(t *testing.T) {
	s := systemdtest.Boot(t)
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", s.Bus)
	m := open(t)
	s.Systemctl(t, "start", systemdtest.Runs)
	first := same(t, s, m, systemdtest.Runs)
	if first.Active != "active" || first.PID == 0 {
		t.Fatalf("the service does not run: %+v", first)
	}
	if main := s.Systemctl(t, "show", "--value", "--property=MainPID",
		systemdtest.Runs); main != fmt.Sprint(first.PID) {
		t.Errorf("its process is %d, systemctl says %s", first.PID, main)
	}

	if err := m.Restart(t.Context(), systemdtest.Runs); err != nil {
		t.Fatal(err)
	}
	second := same(t, s, m, systemdtest.Runs)
	if second.Active != "active" || second.PID == first.PID {
		t.Errorf("after the restart it is %+v, before %+v", second, first)
	}

	// What systemd restarts by itself is counted.
	s.Systemctl(t, "kill", "--kill-whom=main", "--signal="+unix.SignalName(unix.SIGKILL), systemdtest.Runs)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for restarts := 0; restarts == 0; {
		list, err := m.Find(ctx, []string{systemdtest.Runs})
		if err != nil {
			t.Fatal(err)
		}
		restarts = list[0].Restarts
	}
	s.Systemctl(t, "stop", systemdtest.Runs)
	if u := same(t, s, m, systemdtest.Runs); u.Active != "inactive" || u.PID != 0 {
		t.Errorf("a stopped service is %+v", u)
	}

	var job *JobError
	if err := m.Restart(t.Context(), systemdtest.Fails); !errors.As(err, &job) || job.Result != "failed" {
		t.Errorf("a service that cannot run restarts with %v", err)
	}
	if u := same(t, s, m, systemdtest.Fails); u.Active != "failed" {
		t.Errorf("a service that failed is %+v", u)
	}
}
