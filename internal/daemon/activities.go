package daemon

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"diagsh/capture"
	"diagsh/diag/ports"
	"diagsh/internal/access"
	"diagsh/internal/menu"
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
		a := access.Activity{Name: s.File, Type: "port log", State: "running", Since: s.Start, Bytes: s.Bytes, Owner: s.Owner, Detail: counted(int(s.Records), "record")}
		if s.State == ports.LogPaused {
			a.State, a.Detail = "paused", s.Problem
		}
		list = append(list, a)
	}
	for _, s := range d.Sessions() {
		for _, path := range s.Running {
			if slices.Contains(liveViews, path) {
				list = append(list, access.Activity{Name: path, Type: "live view", State: "running", Owner: s.User, Detail: "for " + s.Source})
			}
		}
	}
	for _, e := range d.Exports() {
		if e.State == capture.ExportSending || e.State == capture.ExportWaiting {
			list = append(list, access.Activity{Name: e.File, Type: "copy", State: strings.ToLower(string(e.State)), Since: e.Queued, Bytes: e.Bytes, Owner: e.Owner,
				Detail: fmt.Sprintf("to %s, %s there", e.Target, menu.Size(e.Sent))})
		}
	}
	return append(list, d.Making()...)
}

// captureActivities are a capture that runs or waits for its time, and what is written beside it.
func captureActivities(s capture.Status) []access.Activity {
	a := access.Activity{Name: s.Name, Type: "capture", State: "running", Since: s.StartTime, Bytes: s.BytesWritten, Owner: s.Owner}
	switch s.State {
	case capture.NotStarted:
		a.State, a.Since = "planned", s.Start
		return []access.Activity{a}
	case capture.Running:
		a.Detail = counted(int(s.PacketsWritten), "packet")
		if s.PacketsDropped == nil {
			a.Detail += ", drops not known"
		} else {
			a.Detail += fmt.Sprintf(", %d dropped", *s.PacketsDropped)
		}
	default:
		return nil
	}
	list := []access.Activity{a}
	for _, f := range s.FilesBeside {
		beside := access.Activity{Name: s.Name, Type: f.Kind, State: "running", Since: s.StartTime, Bytes: f.Bytes, Owner: s.Owner, Detail: mostDropped(f.Reasons)}
		if f.Stopped != "" {
			beside.State, beside.Detail = "stopped", f.Stopped
		}
		list = append(list, beside)
	}
	return list
}

// mostDropped returns how many packets the kernel dropped that somebody may miss, and the reason that
// it had most often; "" if it dropped none.
func mostDropped(reasons []capture.DropReason) string {
	reasons = slices.DeleteFunc(slices.Clone(reasons), func(r capture.DropReason) bool { return r.Noise })
	if len(reasons) == 0 {
		return ""
	}
	sum := uint64(0)
	for _, r := range reasons {
		sum += r.Packets
	}
	most := slices.MaxFunc(reasons, func(a, b capture.DropReason) int { return cmp.Compare(a.Packets, b.Packets) })
	if len(reasons) == 1 {
		return fmt.Sprintf("%d dropped, %s", sum, most.Reason)
	}
	return fmt.Sprintf("%d dropped, most by %s", sum, most.Reason)
}
