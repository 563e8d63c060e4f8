package commands

import (
	"context"
	"io"
	"strings"
	"time"

	"diagsh/commands/shared/tables"
	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// A sessionService knows who is logged in.
type sessionService interface {
	Sessions() []access.Session
}

// who returns the command that lists who is logged in, and what they run.
func who(s sessionService) *menu.Command {
	return menu.Decl[menu.NoArgs, access.Session]{
		Name:      "who",
		Help:      "List who is logged in, and what they run.",
		Role:      menu.ReadOnly,
		Shows:     true,
		Resources: []menu.Resource{{Method: "GET", Path: "sessions", List: "sessions", Key: "session"}},
		Topic:     "sessions",
		Run: func(_ context.Context, _ menu.Caller, _ menu.NoArgs, out *menu.Out[access.Session]) error {
			return out.Records(s.Sessions())
		},
		TextTable: whoTable,
	}.Command()
}

func whoTable(w io.Writer, list []access.Session) {
	t := tables.Table{Head: []string{"USER", "ROLE", tables.Whole("LOGIN TIME (UTC)"), "IDLE", "REMOTE HOST", "WHAT",
		"RUNS"}, Spare: []string{"ROLE", "WHAT"}}
	for _, s := range list {
		what := s.Type
		if s.Token != "" {
			what += ", token " + s.Token
		}
		t.Add(s.User, string(s.Role), tables.Whole(s.Began.UTC().Format(tables.Minute)),
			menu.FormatDuration(time.Since(s.IdleFrom).Truncate(time.Second)), s.Source, what,
			tables.OrDash(strings.Join(s.Running, ", ")))
	}
	t.Write(w)
}
