package commands

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"diagsh/commands/shared/tables"
	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// An auditService reads the audit log. It has no method that writes or changes it.
type auditService interface {
	Events(ctx context.Context, f access.EventFilter, yield func(access.Event) error) error
}

type auditlogArgs struct {
	User  string    `arg:"user" help:"Only what this user did."`
	From  time.Time `arg:"from" help:"Only from this time on, such as 2026-03-01 or \"2026-03-01 10:15\" (UTC)."`
	To    time.Time `arg:"to" help:"Only up to this time."`
	Path  string    `arg:"path" help:"Only this command or those below it, such as packetcapture, or a file name."`
	Act   string    `arg:"act" choices:"command|login|logout|refused|download|delete|system" help:"Only this kind of act."`
	Token string    `arg:"token" help:"Only what was done by this API token, as token list names it."`
	Count int       `arg:"count,positional:1" default:"100" min:"1" max:"1000000" help:"Number of lines, the newest."`
}

// auditlog returns the command that shows who did what. It yields lines as it finds them, the
// oldest first.
func auditlog(s auditService) *menu.Command {
	return menu.Decl[auditlogArgs, access.Event]{
		Name:      "auditlog",
		Help:      "Show who did what, from where, with which result.",
		Role:      menu.Administrator,
		Resources: []menu.Resource{{Method: "GET", Path: "audit-events", List: "events", Key: "time,session,path"}},
		Run: func(ctx context.Context, _ menu.Caller, a auditlogArgs, out *menu.Out[access.Event]) error {
			found := false
			wanted := access.EventFilter{User: a.User, From: a.From, To: a.To, Path: a.Path,
				Act: a.Act, Token: a.Token, Newest: a.Count}
			err := s.Events(ctx, wanted, func(e access.Event) error {
				found = true
				return out.Record(e)
			})
			if err == nil && !found {
				out.Printf("The log has no such line.\n")
			}
			return err
		},
		Text: auditLine,
	}.Command()
}

func auditLine(w io.Writer, e access.Event) {
	what := []string{}
	if e.Path != "" {
		what = append(what, e.Path)
	}
	names := make([]string, 0, len(e.Arguments))
	for name := range e.Arguments {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		what = append(what, name, menu.Quote(e.Arguments[name]))
	}
	result := e.Result
	if e.Message != "" {
		result += " (" + strings.TrimSuffix(e.Message, ".") + ")"
	}
	if len(what) > 0 {
		result = strings.Join(what, " ") + ": " + result
	}
	by := ""
	if e.Token != "" {
		by = " by token " + e.Token
	}
	if e.Client != "" {
		by += " with " + e.Client
	}
	fmt.Fprintf(w, "%s  %-8s  %s from %s%s  %s\n", menu.UTC(e.Time), e.Act, tables.OrDash(e.User),
		tables.OrDash(e.Source), by, result)
}
