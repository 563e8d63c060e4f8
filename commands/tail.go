package commands

import (
	"context"
	"fmt"
	"io"
	"slices"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// A tailService reads the logs as they are written.
type tailService interface {
	TailLog(ctx context.Context, log string, count int, follow bool, yield func(access.LogLine) error) error
}

type tailArgs struct {
	Log    string `arg:"log,positional:1" ask:"Choose the log" choices:"audit|appliance" default:"audit" help:"The audit log, or the appliance's own."`
	Count  int    `arg:"count" default:"10" min:"0" max:"100000" help:"Begin with this many lines, the newest."`
	Follow bool   `arg:"follow" default:"yes" help:"Go on with the lines that are written, until it is interrupted."`
}

// tail returns the command that follows a log.
func tail(s tailService) *menu.Command {
	return menu.Decl[tailArgs, access.LogLine]{
		Name:    "tail",
		Help:    "Follow the audit log or the appliance's own log.",
		Details: "To search the audit log, see auditlog.",
		Role:    menu.Administrator,
		Shape:   menu.Stream,
		Run: func(ctx context.Context, _ menu.Caller, a tailArgs, out *menu.Out[access.LogLine]) error {
			if a.Follow {
				out.Printf("Press Ctrl-C to stop.\n")
			}
			return s.TailLog(ctx, a.Log, a.Count, a.Follow, out.Record)
		},
		Text: logLine,
	}.Command()
}

func logLine(w io.Writer, l access.LogLine) {
	if l.Event != nil {
		auditLine(w, *l.Event)
		return
	}
	fmt.Fprintf(w, "%s  %-5s  %s", menu.UTC(l.Time), menu.Clean(l.Level), menu.Clean(l.Message))
	names := make([]string, 0, len(l.Attributes))
	for name := range l.Attributes {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(w, " %s=%s", menu.Clean(name), menu.Quote(menu.Clean(l.Attributes[name])))
	}
	fmt.Fprintln(w)
}
