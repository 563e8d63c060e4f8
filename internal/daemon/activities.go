package daemon

import (
	"fmt"
	"slices"
	"strings"

	"diagsh/capture"
	"diagsh/diag/ports"
	"diagsh/internal/access"
)

// liveViews are the commands that show packets as they come.
var liveViews = []string{"packetcapture watch", "packetcapture stream", "netstat drops"}

// Activities lists all that runs on the appliance: captures and what is written beside them, the port
// log, live views, copies, reports that are being made.
func (d *Daemon) Activities() []access.Activity {
	list := []access.Activity{}
	for _, s := range d.Captures() {
		list = append(list, captureActivities(s)...)
	}
	if s := d.PortLogStatus(); s.State == ports.LogRunning || s.State == ports.LogPaused {
		a := access.Activity{Name: s.File, Kind: "port log", Since: s.Start, Bytes: s.Bytes, Owner: s.Owner, State: fmt.Sprintf("running, %d records", s.Records)}
		if s.State == ports.LogPaused {
			a.State = "paused: " + s.Problem
		}
		list = append(list, a)
	}
	for _, s := range d.Sessions() {
		for _, path := range s.Running {
			if slices.Contains(liveViews, path) {
				list = append(list, access.Activity{Name: path, Kind: "live view", Owner: s.User, State: "shown to " + s.Source})
			}
		}
	}
	for _, e := range d.Exports() {
		if e.State == capture.ExportSending || e.State == capture.ExportWaiting {
			list = append(list, access.Activity{Name: e.File, Kind: "copy", Since: e.Queued, Bytes: e.Bytes, Owner: e.Owner,
				State: fmt.Sprintf("%s to %s, %d bytes there", strings.ToLower(string(e.State)), e.Target, e.Sent)})
		}
	}
	return append(list, d.Making()...)
}

// captureActivities are a capture that runs or waits for its time, and what is written beside it.
func captureActivities(s capture.Status) []access.Activity {
	a := access.Activity{Name: s.Name, Kind: "capture", Since: s.StartTime, Bytes: s.BytesWritten, Owner: s.Owner}
	switch s.State {
	case capture.NotStarted:
		a.State, a.Since = "planned", s.Start
		return []access.Activity{a}
	case capture.Running:
		a.State = fmt.Sprintf("running, %d packets", s.PacketsWritten)
		if s.PacketsDropped == nil {
			a.State += ", drops not known"
		} else {
			a.State += fmt.Sprintf(", %d dropped", *s.PacketsDropped)
		}
	default:
		return nil
	}
	list := []access.Activity{a}
	for _, f := range s.FilesBeside {
		beside := access.Activity{Name: s.Name, Kind: f.Kind, Since: s.StartTime, Bytes: f.Bytes, Owner: s.Owner, State: "running"}
		if f.Stopped != "" {
			beside.State = "stopped: " + f.Stopped
		}
		list = append(list, beside)
	}
	return list
}
