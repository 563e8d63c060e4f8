// Package systemd asks systemd about the services of this host over D-Bus
// (org.freedesktop.systemd1(5)), and restarts them.
package systemd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/coreos/go-systemd/v22/dbus"
	bus "github.com/godbus/dbus/v5"
)

// ErrNoSystemd reports that no systemd answers on this host.
var ErrNoSystemd = errors.New("no systemd answers")

// A Unit is a unit that systemd knows.
type Unit struct {
	Name        string
	Description string
	Active      string // active, inactive, failed, activating, deactivating, reloading
	Sub         string // running, exited, dead ...
	Since       time.Time
	PID         int
	Memory      int64  // bytes; 0 if systemd does not count
	Restarts    int    // by systemd itself
	Result      string // of a service's last run: success, exit-code, signal, watchdog, start-limit-hit ...
}

// A Manager is a connection to systemd.
type Manager struct{ conn *dbus.Conn }

// Open connects to systemd. The connection ends with ctx.
func Open(ctx context.Context) (*Manager, error) {
	conn, err := dbus.NewSystemConnectionContext(ctx)
	if err != nil {
		return nil, errors.Join(ErrNoSystemd, err)
	}
	// There may be a bus without systemd, as in a container.
	if _, err := conn.GetManagerProperty("Version"); err != nil {
		conn.Close()
		return nil, errors.Join(ErrNoSystemd, err)
	}
	return &Manager{conn}, nil
}

// Close ends the connection.
func (m *Manager) Close() { m.conn.Close() }

// notLoaded is the load state of a unit that is not installed.
const notLoaded = "not-found"

// Find returns those of the units that are installed, in the order of names. An alias and its unit
// are listed once.
func (m *Manager) Find(ctx context.Context, names []string) ([]Unit, error) {
	if len(names) == 0 {
		return nil, nil
	}
	list, err := m.conn.ListUnitsByNamesContext(ctx, names)
	if err != nil {
		return nil, err
	}
	var found []Unit
	seen := map[bus.ObjectPath]bool{}
	for _, s := range list {
		if s.LoadState == notLoaded || seen[s.Path] {
			continue
		}
		seen[s.Path] = true
		u := Unit{Name: s.Name, Description: s.Description, Active: s.ActiveState, Sub: s.SubState}
		if p, err := m.conn.GetAllPropertiesContext(ctx, s.Name); err == nil {
			u.fill(p)
		}
		found = append(found, u)
	}
	return found, ctx.Err()
}

// fill reads the properties of GetAll. A property that is missing or of another type stays empty.
// It takes the states from here too, so that they fit the result: the unit may have ended or
// started since the list.
func (u *Unit) fill(p map[string]any) {
	if active, ok := p["ActiveState"].(string); ok {
		u.Active = active
	}
	if sub, ok := p["SubState"].(string); ok {
		u.Sub = sub
	}
	if id, ok := p["Id"].(string); ok {
		u.Name = id
	}
	since := "ActiveEnterTimestamp"
	if u.Active != "active" {
		since = "InactiveEnterTimestamp"
	}
	if usec, ok := p[since].(uint64); ok && usec > 0 {
		u.Since = time.UnixMicro(int64(usec))
	}
	if pid, ok := p["MainPID"].(uint32); ok {
		u.PID = int(pid)
	}
	if bytes, ok := p["MemoryCurrent"].(uint64); ok && bytes < 1<<63 { // all ones: not counted
		u.Memory = int64(bytes)
	}
	if result, ok := p["Result"].(string); ok {
		u.Result = result
	}
	if n, ok := p["NRestarts"].(uint32); ok {
		u.Restarts = int(n)
	}
}

// ErrForbidden reports that systemd does not accept this order from this process.
var ErrForbidden = errors.New("systemd refuses this order")

var forbidden = []string{"org.freedesktop.DBus.Error.AccessDenied",
	"org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"}

// A JobError is a systemd job that ended with another result than "done".
type JobError struct{ Result string } // canceled, timeout, failed, dependency, skipped

func (e *JobError) Error() string { return fmt.Sprintf("the job ended with %q", e.Result) }

// ErrNoUnit reports that there is no unit of that name.
var ErrNoUnit = errors.New("there is no such unit")

// ErrMasked reports that a unit is masked, so that it cannot be started (systemctl(1)).
var ErrMasked = errors.New("the unit is masked")

// Restart restarts a unit, or starts one that does not run. It waits until the job is done.
func (m *Manager) Restart(ctx context.Context, name string) error {
	return job(ctx, name, m.conn.RestartUnitContext)
}

// Start starts a unit and waits until the job is done: for a oneshot unit, until it has ended.
func (m *Manager) Start(ctx context.Context, name string) error {
	return job(ctx, name, m.conn.StartUnitContext)
}

// RestartLater requests the restart of a unit and does not wait. It is for the unit that this
// process belongs to.
func (m *Manager) RestartLater(ctx context.Context, name string) error {
	_, err := m.conn.RestartUnitContext(ctx, name, "replace", nil)
	return refusal(err)
}

func job(ctx context.Context, name string,
	begin func(ctx context.Context, name, mode string, done chan<- string) (int, error)) error {
	done := make(chan string, 1)
	if _, err := begin(ctx, name, "replace", done); err != nil {
		return refusal(err)
	}
	select {
	case result := <-done:
		if result != "done" {
			return &JobError{result}
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// refusal maps the errors of systemd that callers distinguish.
func refusal(err error) error {
	var refused bus.Error
	if !errors.As(err, &refused) {
		return err
	}
	switch name := refused.Name; {
	case slices.Contains(forbidden, name):
		return errors.Join(ErrForbidden, err)
	case name == "org.freedesktop.systemd1.NoSuchUnit":
		return errors.Join(ErrNoUnit, err)
	case name == "org.freedesktop.systemd1.UnitMasked":
		return errors.Join(ErrMasked, err)
	}
	return err
}
