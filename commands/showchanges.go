package commands

import (
	"context"
	"fmt"
	"io"

	"diagsh/commands/shared/changes"
	"diagsh/internal/config"
	"diagsh/internal/menu"
)

type configurationViewer interface {
	Configuration(caller menu.Caller) config.View
}

// showchanges returns the command that shows the caller's changes that are not committed yet.
func showchanges(s configurationViewer) *menu.Command {
	return menu.Decl[menu.NoArgs, config.Change]{
		Name:      "showchanges",
		Help:      "Show your pending changes.",
		Role:      menu.Administrator,
		Shows:     true,
		Resources: []menu.Resource{{Method: "GET", Path: "configuration/changes", List: "changes", Key: "setting"}},
		Topic:     "candidate",
		Run: func(_ context.Context, caller menu.Caller, _ menu.NoArgs, out *menu.Out[config.Change]) error {
			view := s.Configuration(caller)
			if len(view.Underneath) > 0 {
				out.Printf("Committed since you began:\n%s\n\n", menu.Text(config.Underneath(view.Underneath)))
			}
			out.Printf("%s", menu.Text(changes.Elsewhere(view)))
			for _, w := range view.Warnings {
				out.Printf("%s\n\n", w.Text)
			}
			return out.Records(view.Changes)
		},
		TextTable: func(w io.Writer, list []config.Change) {
			if len(list) == 0 {
				fmt.Fprint(w, "You have no pending changes.\n")
				return
			}
			changes.Tree(w, list)
		},
	}.Command()
}
