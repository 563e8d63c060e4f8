package commands

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"diagsh/capture"
	"diagsh/commands/shared/captures"
	"diagsh/commands/shared/tables"
	"diagsh/diag/system"
	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// A statusService is what status needs from the running appliance.
type statusService interface {
	Hostname() string
	Started() time.Time
	Captures() []capture.Status
	Sessions() []access.Session
	DirectoryUse() (access.DiskUse, error)
	Activities() []access.Activity
	Trouble() string
}

// An applianceStatus is the state of the appliance, for one screen.
type applianceStatus struct {
	Time             time.Time         `json:"time"`
	Hostname         string            `json:"hostname"`
	Product          string            `json:"product"`
	MachineSeconds   int64             `json:"machineSeconds"`   // since the machine was started
	ApplianceSeconds int64             `json:"applianceSeconds"` // since the appliance was
	Load             [3]float64        `json:"load"`             // means of 1, 5 and 15 minutes
	Processors       int               `json:"processors"`
	Memory           uint64            `json:"memory"`
	MemoryAvailable  uint64            `json:"memoryAvailable"`
	Captures         []capture.Status  `json:"captures"` // that run
	CapturesEnded    int               `json:"capturesEnded"`
	Running          []access.Activity `json:"running"` // all that does, captures among it
	Disk             diskState         `json:"disk"`
	Sessions         []access.Session  `json:"sessions"`
	Trouble          string            `json:"trouble,omitempty"`
}

// A diskState is the disk of the diagnostic directory.
type diskState struct {
	FreeBytes    int64 `json:"freeBytes"`
	ReserveBytes int64 `json:"reserveBytes"`
	Files        int   `json:"files"`
	Bytes        int64 `json:"bytes"`
}

// status returns the command that shows the state of the appliance.
func status(s statusService, v Version) *menu.Command {
	return menu.Decl[menu.NoArgs, applianceStatus]{
		Name:  "status",
		Help:  "Show how the appliance is: load, disk, sessions, and all that runs.",
		Role:  menu.ReadOnly,
		Shows: true,
		Shape: menu.Object,
		Run: func(_ context.Context, _ menu.Caller, _ menu.NoArgs, out *menu.Out[applianceStatus]) error {
			machine, err := system.Read()
			if err != nil {
				return err
			}
			usage, err := s.DirectoryUse()
			if err != nil {
				return err
			}
			now := time.Now().UTC().Truncate(time.Second)
			all := s.Captures()
			running := captures.Running(all)
			if running == nil {
				running = []capture.Status{}
			}
			return out.Record(applianceStatus{
				Time: now, Hostname: s.Hostname(), Product: v.Product + " " + v.Version,
				MachineSeconds: int64(machine.Up.Seconds()), ApplianceSeconds: int64(time.Since(s.Started()).Seconds()),
				Load: machine.Load, Processors: machine.Processors, Memory: machine.Memory,
				MemoryAvailable: machine.Available,
				Captures:        running, CapturesEnded: len(all) - len(running), Running: s.Activities(),
				Disk:     diskState{usage.FreeBytes, usage.ReserveBytes, usage.Files, usage.Bytes},
				Sessions: s.Sessions(), Trouble: s.Trouble(),
			})
		},
		Text: statusText,
	}.Command()
}

func statusText(w io.Writer, s applianceStatus) {
	line := func(name, format string, args ...any) {
		tables.Line(w, 11, "%-11s%s", name+":", fmt.Sprintf(format, args...))
	}
	line("Status", "%s, %s, as of %s", s.Hostname, s.Product, menu.UTC(s.Time))
	line("Up", "machine %s, appliance %s", span(s.MachineSeconds), span(s.ApplianceSeconds))
	line("Load", "%.2f %.2f %.2f (1, 5, 15 minutes), processors: %d", s.Load[0], s.Load[1], s.Load[2], s.Processors)
	line("Memory", "%s available of %s", captures.Bytes(int64(s.MemoryAvailable)), captures.Bytes(int64(s.Memory)))
	low := ""
	if s.Disk.FreeBytes < s.Disk.ReserveBytes {
		low = " - LOW: no capture can start"
	}
	line("Disk", "%s free, %s in reserve%s", captures.Bytes(s.Disk.FreeBytes), captures.Bytes(s.Disk.ReserveBytes), low)
	line("Files", "%d in the diagnostic directory, %s", s.Disk.Files, captures.Bytes(s.Disk.Bytes))
	line("Captures", "%d running, %d ended", len(s.Captures), s.CapturesEnded)
	line("Sessions", "%d", len(s.Sessions))
	for _, one := range s.Sessions {
		tables.Line(w, 4, "  %s (%s) from %s, %s, runs %s", one.User, one.Role, one.Source, one.Type,
			tables.OrDash(strings.Join(one.Running, ", ")))
	}
	if s.Trouble != "" {
		line("Trouble", "%s", s.Trouble)
	}
	activitiesText(w, s.Running)
}

// activitiesText writes all that runs as a table. The names, which may be those of files, stand below
// the rows with the details, so that neither makes a column narrow.
func activitiesText(w io.Writer, list []access.Activity) {
	if len(list) == 0 {
		fmt.Fprintln(w, "\nNothing runs.")
		return
	}
	fmt.Fprintln(w)
	t := tables.Table{Head: []string{"RUNS", "STATE", "SINCE (UTC)", "SIZE", "BY"}, Spare: []string{"BY"}}
	for _, a := range list {
		since, size := "-", "-"
		if !a.Since.IsZero() {
			since = a.Since.UTC().Format("2006-01-02 15:04")
		}
		if a.Bytes > 0 {
			size = captures.Bytes(a.Bytes)
		}
		t.Add(tables.Whole(a.Type), tables.Whole(a.State), tables.Whole(since), tables.Whole(size), tables.OrDash(a.Owner))
		below := menu.Clean(a.Name)
		if a.Detail != "" {
			below += ": " + menu.Clean(a.Detail)
		}
		t.Below(below)
	}
	t.Write(w)
}

// span returns seconds as days, hours and minutes; less than a minute as seconds.
func span(seconds int64) string {
	d := time.Duration(seconds) * time.Second
	if d >= time.Minute {
		d = d.Truncate(time.Minute)
	}
	return menu.FormatDuration(d)
}
