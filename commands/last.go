package commands

import (
	"context"
	"io"
	"time"

	"diagsh/commands/shared/tables"
	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// A loginService remembers past logins.
type loginService interface {
	PastLogins(newest int) []access.PastLogin
}

type lastArgs struct {
	Count int `arg:"count,positional:1" default:"30" min:"1" max:"10000" help:"Number of logins, the newest."`
}

// last returns the command that lists past logins, the newest first.
func last(s loginService) *menu.Command {
	return menu.Decl[lastArgs, access.PastLogin]{
		Name:  "last",
		Help:  "List the logins of the past.",
		Role:  menu.ReadOnly,
		Shows: true,
		Run: func(_ context.Context, _ menu.Caller, a lastArgs, out *menu.Out[access.PastLogin]) error {
			return out.Records(s.PastLogins(a.Count))
		},
		TextTable: lastTable,
	}.Command()
}

func lastTable(w io.Writer, list []access.PastLogin) {
	t := tables.Table{Head: []string{"USERNAME", "REMOTE HOST", "BY", tables.Whole("LOGIN TIME (UTC)"),
		"LOGOUT TIME (UTC)", "TOTAL TIME"}, Spare: []string{"BY"}}
	for _, v := range list {
		ended, total := "still logged in", menu.FormatDuration(time.Since(v.Began).Truncate(time.Second))
		if v.Ended != nil {
			ended = tables.Whole(v.Ended.UTC().Format(tables.Minute))
			total = menu.FormatDuration(v.Ended.Sub(v.Began).Truncate(time.Second))
		}
		if v.Reason != "" {
			ended += " (" + v.Reason + ")"
		}
		t.Add(v.User, v.Source, v.Method, tables.Whole(v.Began.UTC().Format(tables.Minute)), ended, total)
	}
	t.Write(w)
}
