package portlog

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"diagsh/commands/shared/captures"
	"diagsh/commands/shared/tables"
	"diagsh/diag/ports"
	"diagsh/internal/menu"
)

func statusCommand(s logService) *menu.Command {
	return menu.Decl[menu.NoArgs, ports.LogStatus]{
		Name: "status",
		Help: "Show the port log that runs, or the last one.",
		Details: "It says how sockets are watched and what that does not see, how much is written and lost, and how " +
			"far back the files reach.",
		Role:      menu.ReadOnly,
		Shows:     true,
		Topic:     "portlog",
		Resources: []menu.Resource{{Method: "GET", Path: "portlog"}},
		Shape:     menu.Object,
		Run: func(_ context.Context, _ menu.Caller, _ menu.NoArgs, out *menu.Out[ports.LogStatus]) error {
			return out.Record(s.PortLogStatus())
		},
		Text: writeStatus,
	}.Command()
}

// indent is the column of the values, and briefly that in the Status of the menu.
const (
	indent  = 11
	briefly = 11
)

// row writes a label and a text beside it.
func row(w io.Writer, label, format string, arguments ...any) {
	tables.Line(w, indent, "%-*s%s", indent, label, menu.Clean(fmt.Sprintf(format, arguments...)))
}

// writeStatus writes everything about the log.
func writeStatus(w io.Writer, s ports.LogStatus) {
	row(w, "Port log:", "%s", state(s))
	if s.Problem != "" {
		row(w, "Problem:", "%s", s.Problem)
	}
	if !s.Start.IsZero() {
		row(w, "Started:", "%s by %s", menu.UTC(s.Start), s.Owner)
	}
	if !s.End.IsZero() {
		row(w, "Ended:", "%s", menu.UTC(s.End))
	}
	if e := s.Engine; e != nil {
		writeEngine(w, *e)
	}
	if !s.Start.IsZero() {
		row(w, "Records:", "%d written, %d lost, %s", s.Records, s.RecordsLost, captures.Count(int(s.GapsWritten), "gap"))
	}
	reach := ""
	if !s.Oldest.IsZero() {
		reach = ", back to " + menu.UTC(s.Oldest)
	}
	row(w, "Files:", "%s, %s%s", captures.Count(s.Sets, "set"), captures.Bytes(s.Bytes), reach)
	if s.File != "" {
		row(w, "Writing:", "%s", s.File)
	}
	writeOptions(w, s.LogOptions)
}

func writeEngine(w io.Writer, e ports.Status) {
	row(w, "Watching:", "tier %s", e.Tier.InWords())
	row(w, "Sockets:", "%d held; %d events, %d lost, in %s", e.Sockets, e.Events, e.Lost, captures.Count(int(e.Gaps), "gap"))
	if e.Cgroup != "" {
		row(w, "Cgroup:", "%s", e.Cgroup)
	}
	for _, sentence := range e.Blind {
		tables.Line(w, len("Not seen: "), "Not seen: %s", menu.Clean(sentence))
	}
}

// writeOptions writes what a log selects, and its bounds.
func writeOptions(w io.Writer, o ports.LogOptions) {
	row(w, "Keeps:", "%s", keeps(o))
	row(w, "Format:", "%s", writes(o))
	row(w, "Selects:", "%s", o.InWords())
	if o.Persistent {
		row(w, "Restart:", "goes on when the appliance starts again")
	}
}

// keeps returns the bounds of a log.
func keeps(o ports.LogOptions) string {
	if o.Days == 0 {
		return menu.Size(o.SizeBytes).String()
	}
	return menu.Size(o.SizeBytes).String() + ", " + captures.Count(int(o.Days), "day")
}

// writes returns what the files of a log have.
func writes(o ports.LogOptions) string {
	if o.Coalesce {
		return formats[o.Format] + ", one line a connection"
	}
	return formats[o.Format]
}

var formats = map[ports.LogFormat]string{
	ports.NDJSON:       "JSON lines",
	ports.PortReporter: "Port Reporter",
	ports.BothFormats:  "JSON lines and Port Reporter",
}

// state returns for how long the log runs, or why it ended.
func state(s ports.LogStatus) string {
	switch s.State {
	case ports.LogRunning, ports.LogPaused:
		return strings.ToLower(string(s.State)) + " " + menu.FormatDuration(time.Since(s.Start).Truncate(time.Second))
	case ports.LogStopped:
		return reasons[s.StopReason]
	}
	return "not started"
}

var reasons = map[ports.LogStop]string{
	ports.LogStoppedByUser: "stopped by user",
	ports.LogShutdown:      "stopped (shutdown of the appliance)",
	ports.LogInterrupted:   "stopped (the appliance was interrupted)",
}

// brief writes the Status of the menu.
func brief(w io.Writer, s ports.LogStatus, settings ports.LogSettings) {
	text := state(s)
	if s.State == ports.LogRunning {
		text += fmt.Sprintf(" (%s, %s)", captures.Bytes(s.Bytes), captures.Count(int(s.Records), "record"))
	}
	if s.Problem != "" {
		text += ". " + s.Problem
	}
	tables.Line(w, briefly, "%-*s%s", briefly, "Port log:", menu.Clean(text))
	words := []string{settings.InWords(), keeps(settings.LogOptions), writes(settings.LogOptions)}
	if settings.Persistent {
		words = append(words, "goes on after a restart")
	}
	tables.Line(w, briefly, "%-*s%s", briefly, "Settings:", menu.Clean(strings.Join(words, " | ")))
}
