// Package portlog is the menu portlog: which process opened, accepted, used and closed which socket,
// from start to stop.
package portlog

import (
	"context"
	"io"

	"diagsh/diag/ports"
	"diagsh/internal/menu"
)

// A logService is the one port log of the appliance.
type logService interface {
	StartPortLog(caller menu.Caller, request ports.LogRequest) (ports.LogStatus, error)
	StopPortLog(caller menu.Caller) (ports.LogStatus, error)
	PortLogStatus() ports.LogStatus
	PortLogSettings() ports.LogSettings
	SetPortLogSettings(caller menu.Caller, given ports.PartialLog) error
}

// Services is what the menu's commands need from the running appliance.
type Services interface {
	logService
	reportService
}

// Menu returns portlog.
func Menu(s Services) *menu.Menu {
	return &menu.Menu{
		Name: "portlog",
		Help: "Log which process opens and closes which port.",
		Status: func(_ context.Context, _ menu.Caller, w io.Writer) error {
			brief(w, s.PortLogStatus(), s.PortLogSettings())
			return nil
		},
		Items: []menu.Item{
			startCommand(s),
			stopCommand(s),
			statusCommand(s),
			showCommand(s),
			reportCommand(s),
			settingsCommand(s),
			setupCommand(s),
		},
	}
}

func running(s logService) bool { return runs(s.PortLogStatus()) }

func runs(s ports.LogStatus) bool { return s.State == ports.LogRunning || s.State == ports.LogPaused }
