package main

import (
	"context"
	"fmt"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"

	"diagsh/capture"
	"diagsh/internal/access"
)

// stateEvery is how often tellSystemd tells systemd the state, unless the watchdog needs it more
// often.
const stateEvery = 5 * time.Second

// A runner is the appliance as tellSystemd asks it. Its answers take the locks that every command
// takes: an appliance that hangs gives no answer, and the watchdog ends it.
type runner interface {
	Captures() []capture.Status
	Sessions() []access.Session
}

// tellSystemd tells systemd the state of the appliance (STATUS) and that it is alive (WATCHDOG),
// until ctx ends (sd_notify(3)). Without systemd it returns at once.
func tellSystemd(ctx context.Context, r runner, port int) {
	every := stateEvery
	// Half of what the unit allows, as sd_watchdog_enabled(3) advises.
	if allowed, err := systemd.SdWatchdogEnabled(false); err == nil && allowed > 0 {
		every = min(every, allowed/2)
	}
	ticks := time.NewTicker(every)
	defer ticks.Stop()
	for {
		if sent, err := systemd.SdNotify(false,
			systemd.SdNotifyWatchdog+"\nSTATUS="+state(r, port)); !sent && err == nil {
			return
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return
		}
	}
}

// state returns the line that systemctl status shows.
func state(r runner, port int) string {
	running := 0
	for _, c := range r.Captures() {
		if c.State == capture.Running {
			running++
		}
	}
	return fmt.Sprintf("SSH on port %d, %d logged in, %d captures running", port, len(r.Sessions()), running)
}
