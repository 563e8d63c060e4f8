package commands

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"diagsh/access"
	"diagsh/menu"
)

// sessionService knows who is logged in.
type sessionService interface {
	Sessions() []access.Session
}

// who lists who is logged in, and what they run.
func who(s sessionService) *menu.Command {
	return menu.Spec[noArgs, access.Session]{
		Name: "who",
		Help: "List who is logged in, and what they run.",
		Role: menu.ReadOnly,
		Run: func(_ context.Context, _ menu.Caller, _ noArgs, out *menu.Out[access.Session]) error {
			return out.Records(s.Sessions())
		},
		TextTable: whoTable,
	}.Command()
}

func whoTable(w io.Writer, list []access.Session) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "USER\tROLE\tLOGIN TIME\tIDLE\tREMOTE HOST\tWHAT\tRUNS")
	for _, s := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.User, s.Role, s.Began.UTC().Format("2006-01-02 15:04 UTC"),
			menu.FormatDuration(time.Since(s.IdleFrom).Truncate(time.Second)), s.Source, s.Kind, orDash(strings.Join(s.Running, ", ")))
	}
	t.Flush()
}
