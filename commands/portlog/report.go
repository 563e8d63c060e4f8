package portlog

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"diagsh/commands/shared/captures"
	"diagsh/commands/shared/portlogs"
	"diagsh/diag/ports"
	"diagsh/diag/ports/records"
	"diagsh/diag/ports/usage"
	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// A reportService reads the log, and keeps pages among the reports.
type reportService interface {
	recordService
	KeepPage(caller menu.Caller, page access.ReportPage, write func(io.Writer) error) (access.Report, error)
	Hostname() string
}

type reportArgs struct {
	ports.Selection
	From     time.Time `arg:"from" help:"Only from this time on, such as 2026-03-01 or \"2026-03-01 10:15\" (UTC)."`
	To       time.Time `arg:"to" help:"Only up to this time."`
	Top      int       `arg:"top" default:"10" min:"1" max:"1000" help:"Number of rows of each table."`
	Interest []string  `arg:"interest,bound" help:"Addresses and networks of interest: who used them, and which were not used."`
	Page     bool      `arg:"page" default:"no" help:"Keep it as a page among the reports, too; that takes an operator."`
}

// A reported is a report, and the file of its page.
type reported struct {
	*usage.Report
	Torn int    `json:"tornLines"`      // that were no records
	Page string `json:"page,omitempty"` // its file

	elsewhere string // a sentence on records that are not here
}

func reportCommand(s reportService) *menu.Command {
	return menu.Decl[reportArgs, reported]{
		Name: "report",
		Help: "Sum up the port log.",
		Details: "Use by port, process, remote address, user and hour; who moved most bytes; what was refused, timed out " +
			"or rejected; listeners that came and went; programs with one socket; processes that have the name of a " +
			"program of the system and another file. Of a long log, tables drop what is rare and say so.",
		Role:      menu.ReadOnly,
		Shape:     menu.Object,
		Resources: []menu.Resource{{Method: "GET", Path: "portlog/report", Given: menu.Arguments{"page": "no"}}},
		Check: func(_ context.Context, caller menu.Caller, a reportArgs, name string) error {
			switch name {
			case "interest":
				_, err := usage.NewCounter(a.Interest)
				if err != nil {
					return selectionError(err)
				}
			case "page":
				return a.mayKeep(caller)
			}
			return checkReading(a.Selection, name)
		},
		Run: func(ctx context.Context, caller menu.Caller, a reportArgs, out *menu.Out[reported]) error {
			return a.report(ctx, s, caller, out)
		},
		Text: func(w io.Writer, r reported) {
			portlogs.Report(w, r.Report)
			io.WriteString(w, torn(records.Read{Torn: r.Torn})+r.elsewhere)
			if r.Page != "" {
				fmt.Fprintf(w, "\nThe page is in the diagnostic directory, for SFTP: %s\n", r.Page)
			}
		},
	}.Command()
}

// mayKeep returns an error if a page is wanted of somebody who may make no files.
func (a reportArgs) mayKeep(caller menu.Caller) error {
	if a.Page && !caller.Role.Includes(menu.Operator) {
		return &menu.Error{Code: menu.Denied, Argument: "page", Message: "Your role may keep no reports", Hint: "Leave out page"}
	}
	return nil
}

// progressStep is the number of records between two reports of progress.
const progressStep = 100_000

func (a reportArgs) report(ctx context.Context, s reportService, caller menu.Caller, out *menu.Out[reported]) error {
	if err := a.mayKeep(caller); err != nil {
		return err
	}
	query, err := queryOf(a.Selection, a.From, a.To)
	if err != nil {
		return err
	}
	counter, err := usage.NewCounter(a.Interest)
	if err != nil {
		return selectionError(err)
	}
	n := 0
	read, err := records.Each(ctx, s.PortLogFiles(), query, func(r *ports.Record) error {
		counter.Add(r)
		if n++; n%progressStep == 0 {
			out.Progress("%s", captures.Count(n, "record"))
		}
		return nil
	})
	if err != nil {
		return readError(err)
	}
	made := reported{Report: counter.Report(a.Top), Torn: read.Torn, elsewhere: elsewhere(s.PortLogStatus())}
	if a.Page {
		if made.Page, err = a.keep(s, caller, made.Report); err != nil {
			return err
		}
	}
	return out.Record(made)
}

// keep makes a page of a report, and returns the name of its file.
func (a reportArgs) keep(s reportService, caller menu.Caller, r *usage.Report) (string, error) {
	kept, err := s.KeepPage(caller, access.ReportPage{Of: "portlog", Title: "Port log", Command: a.line(), Records: int(r.Records)}, func(w io.Writer) error {
		return portlogs.Page(w, portlogs.About{Host: s.Hostname(), User: caller.User, Made: time.Now(), Command: a.line()}, r)
	})
	return kept.Name, err
}

// line is the command as it can be typed.
func (a reportArgs) line() string {
	words := []string{"portlog report"}
	for _, member := range []struct {
		name   string
		values []string
	}{{"processes", a.Processes}, {"users", a.Users}, {"ports", a.Ports}, {"addresses", a.Addresses}, {"events", a.Events}, {"interest", a.Interest}} {
		if len(member.values) > 0 {
			words = append(words, member.name, menu.Quote(strings.Join(member.values, ",")))
		}
	}
	for _, bound := range []struct {
		name string
		at   time.Time
	}{{"from", a.From}, {"to", a.To}} {
		if !bound.at.IsZero() {
			words = append(words, bound.name, menu.Quote(bound.at.UTC().Format(time.RFC3339)))
		}
	}
	return strings.Join(slices.Concat(words, []string{fmt.Sprintf("top %d", a.Top)}), " ")
}
