package commands

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"

	"diagsh/internal/menu"
)

// whoami returns the command that shows the caller as the appliance sees it.
func whoami() *menu.Command {
	return menu.Decl[menu.NoArgs, menu.Caller]{
		Name:  "whoami",
		Help:  "Show who you are here.",
		Role:  menu.ReadOnly,
		Shape: menu.Object,
		Run: func(_ context.Context, caller menu.Caller, _ menu.NoArgs, out *menu.Out[menu.Caller]) error {
			return out.Record(caller)
		},
		Text: func(w io.Writer, c menu.Caller) {
			fmt.Fprintf(w, "User:    %s\nRole:    %s\nFrom:    %s\nSession: %s\n", c.User, c.Role, c.Source, c.Session)
			if c.Token != "" {
				fmt.Fprintf(w, "Token:   %s\nPaths:   %s\n", c.Token, cmp.Or(strings.Join(c.Paths, ", "), "all"))
			}
		},
	}.Command()
}
