package diagnostic

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"testing"

	"diagsh/diag/services"
	"diagsh/diag/systemd"
	"diagsh/internal/menu"
)

// A recordedManager knows one unit, and notes what is restarted.
type recordedManager struct {
	unit      systemd.Unit
	restarted []string
}

func (m *recordedManager) Find(context.Context, []string) ([]systemd.Unit, error) {
	return []systemd.Unit{m.unit}, nil
}

func (m *recordedManager) Restart(_ context.Context, name string) error {
	m.restarted = append(m.restarted, name)
	return nil
}

// Who restarts the appliance itself is answered first: the restart would cut the answer off.
func TestRestartOfTheApplianceIsAnswered(t *testing.T) {
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent")
	m := &recordedManager{unit: systemd.Unit{Name: "diagsh.service", Active: "active", PID: os.Getpid()}}
	var log strings.Builder
	ended := make(chan struct{})
	logger := slog.New(slog.NewTextHandler(writer(func(line []byte) { log.Write(line); close(ended) }), nil))
	ctx, end := context.WithCancel(t.Context())
	s := &screen{}
	command := menu.Decl[menu.NoArgs, serviceState]{
		Name: "restart", Help: "Restart.", Role: menu.Administrator, Shape: menu.Object, TextTable: servicesTable,
		Run: func(ctx context.Context, _ menu.Caller, _ menu.NoArgs, out *menu.Out[serviceState]) error {
			return restartUnit(ctx, m,
				&services.Service{Name: "diagsh", Units: []string{"diagsh.service"}}, logger, out)
		},
	}.Command()
	if err := command.Run(ctx, menu.Caller{Role: menu.Administrator}, nil, nil, s); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(s.String(),
		"The appliance is restarted now. All sessions end; persistent captures continue when it is back.\n") || len(m.restarted) > 0 {
		t.Errorf("%q, restarted before the answer: %q", s, m.restarted)
	}
	end()
	<-ended // systemd was asked then, and there is none
	if !strings.Contains(log.String(), "systemd did not restart the appliance") {
		t.Errorf("the log: %s", &log)
	}
}

type writer func([]byte)

func (w writer) Write(b []byte) (int, error) { w(b); return len(b), nil }
