package portlog

import (
	"context"
	"errors"
	"strings"
	"time"

	"diagsh/commands/shared/captures"
	"diagsh/commands/shared/portlogs"
	"diagsh/diag/ports"
	"diagsh/diag/ports/records"
	"diagsh/internal/menu"
)

// A recordService has the files of the log.
type recordService interface {
	PortLogFiles() records.Log
	PortLogStatus() ports.LogStatus
}

type showArgs struct {
	ports.Selection
	From   time.Time `arg:"from" help:"Only from this time on, such as 2026-03-01 or \"2026-03-01 10:15\" (UTC)."`
	To     time.Time `arg:"to" help:"Only up to this time."`
	Count  int       `arg:"count,positional:1" default:"100" min:"1" max:"1000000" help:"Number of records, the newest."`
	Follow bool      `arg:"follow,stream" default:"no" help:"Go on with the records that are written, until it is interrupted."`
}

// showCommand returns the command that lists the records of the log, the oldest first. It yields
// them as it reads them.
func showCommand(s recordService) *menu.Command {
	return menu.Decl[showArgs, ports.Record]{
		Name: "show",
		Help: "Show the records of the port log.",
		Details: "Of this log and earlier ones, as far back as their files reach. Who opened, accepted, used and " +
			"closed a socket stands with its user and file below the line; - is the kernel, or nobody who is known. " +
			"Gaps, and where a log begins and ends, are always shown.",
		Role:      menu.ReadOnly,
		Shows:     true,
		Resources: []menu.Resource{{Method: "GET", Path: "portlog/records", List: "records", Key: "time,socket,event,remotePort"}},
		Check: func(_ context.Context, _ menu.Caller, a showArgs, name string) error {
			return checkReading(a.Selection, name)
		},
		Run: func(ctx context.Context, _ menu.Caller, a showArgs, out *menu.Out[ports.Record]) error {
			return a.show(ctx, s, out)
		},
		Text: portlogs.Record,
	}.Command()
}

func (a showArgs) show(ctx context.Context, s recordService, out *menu.Out[ports.Record]) error {
	query, err := queryOf(a.Selection, a.From, a.To)
	if err != nil {
		return err
	}
	if a.Follow && !a.To.IsZero() {
		return menu.BadArgument("to", "What is written from now on has no end yet").WithHint("Leave out to, or follow")
	}
	query.Newest = a.Count
	day, found := "", !query.Filter.Selects()
	yield := func(r *ports.Record) error {
		found = found || !r.Event.Mark()
		if d := r.Time.UTC().Format(time.DateOnly); d != day {
			day = d
			out.Printf("%s\n%s", d, menu.Text(portlogs.Heading))
		}
		return out.Record(*r)
	}
	there := func(read records.Read) error {
		status := s.PortLogStatus()
		if day == "" || !found {
			out.Printf("%s\n", noRecords(status, a.Follow))
		}
		out.Printf("%s", menu.Text(elsewhere(status)))
		if a.Follow && !runs(status) {
			out.Printf("No port log runs: the records of the next one come here.\n")
		}
		if a.Follow {
			defer out.Printf("Press Ctrl-C to stop.\n")
		}
		return out.Printf("%s", menu.Text(torn(read)))
	}
	if a.Follow {
		return readError(records.Follow(ctx, s.PortLogFiles(), query, there, yield))
	}
	read, err := records.Each(ctx, s.PortLogFiles(), query, yield)
	if err != nil {
		return readError(err)
	}
	return there(read)
}

// checkReading returns an error if the argument that was just given selects nothing, or is wrong. An
// empty one, such as a script's variable that is not set, would pass for everything.
func checkReading(s ports.Selection, name string) error {
	lists := map[string][]string{"processes": s.Processes, "users": s.Users, "ports": s.Ports, "addresses": s.Addresses, "events": s.Events}
	if list, ok := lists[name]; ok && len(list) == 0 {
		return menu.BadArgument(name, "%s is empty", name).WithHint("Give a value, or leave %s out if none is meant", name)
	}
	return check(ports.LogOptions{Selection: s}, name)
}

// noRecords says why there may be none.
func noRecords(s ports.LogStatus, follow bool) string {
	switch {
	case follow && runs(s):
		return "The port log has no such record yet."
	case runs(s) || s.Sets > 0:
		return "The port log has no such record."
	}
	return "There is no port log. portlog start begins one."
}

// elsewhere says, where records are read, that those of the log that runs are not among them.
func elsewhere(s ports.LogStatus) string {
	if !runs(s) || s.Format != ports.PortReporter {
		return ""
	}
	return "The log that runs is written in the form of Port Reporter only: its records are in its files, not here.\n"
}

// torn says how many lines were no records.
func torn(read records.Read) string {
	if read.Torn == 0 {
		return ""
	}
	return "[" + captures.Count(read.Torn, "line") + " left out, which ended before the record did.]\n"
}

// readError returns an error of reading as one for users, and that of a reader who has gone as it is.
func readError(err error) error {
	var gone *records.YieldError
	if errors.As(err, &gone) {
		return gone.Err
	}
	return menu.Failing("read the port log", err)
}

// queryOf returns which records are wanted.
func queryOf(s ports.Selection, from, to time.Time) (q records.Query, err error) {
	q.From, q.To = from, to
	if !from.IsZero() && !to.IsZero() && to.Before(from) {
		return q, menu.BadArgument("to", "The end is before the beginning")
	}
	if err := checkAll(s); err != nil {
		return q, err
	}
	if q.Filter, err = meant(ports.LogOptions{Selection: s}).Filter(); err != nil {
		return q, selectionError(err)
	}
	return q, nil
}

// selectionError says of a wrong value which argument it is.
func selectionError(err error) error {
	var wrong *ports.SelectionError
	if errors.As(err, &wrong) {
		return menu.BadArgument(strings.ToLower(wrong.Member), "%s is not %s", menu.Quoted(wrong.Value), wrong.Wants)
	}
	return menu.Failing("read the selection", err)
}
