package commands

import (
	"context"
	"fmt"
	"io"

	"diagsh/internal/config"
	"diagsh/internal/menu"
)

type showconfigArgs struct {
	Pending bool `arg:"pending" default:"no" help:"With your pending changes."`
}

// A shownConfig is the configuration as JSON and as text.
type shownConfig struct {
	Commit        int            `json:"commit"`
	Time          string         `json:"time"`
	User          string         `json:"user"`
	Pending       int            `json:"pending"` // changes in it that are not committed
	Configuration map[string]any `json:"configuration"`

	document config.Document
	last     config.Commit
}

// showconfig returns the command that shows the configuration document. loadconfig reads it back.
// It contains no secrets, so nothing is masked.
func showconfig(s configurationViewer) *menu.Command {
	return menu.Decl[showconfigArgs, shownConfig]{
		Name:  "showconfig",
		Help:  "Show the configuration.",
		Role:  menu.Operator,
		Shows: true,
		Resources: []menu.Resource{
			{Method: "GET", Path: "configuration", Tagged: true},
			{Method: "GET", Path: "configuration/candidate", Tagged: true, Given: menu.Arguments{"pending": "yes"}, Help: "Show the configuration with your pending changes."},
		},
		Shape: menu.Object,
		Run: func(_ context.Context, caller menu.Caller, a showconfigArgs, out *menu.Out[shownConfig]) error {
			view := s.Configuration(caller)
			shown := shownConfig{Commit: view.Last.Number, Time: view.Last.Time.Format("2006-01-02T15:04:05Z07:00"),
				User: view.Last.User, document: view.Running, last: view.Last}
			if a.Pending {
				shown.document, shown.Pending = view.Candidate, len(view.Changes)
			}
			shown.Configuration = shown.document.Tree()
			return out.Record(shown)
		},
		Text: func(w io.Writer, c shownConfig) {
			fmt.Fprintf(w, "# Commit %d at %s by %s\n", c.Commit, menu.UTC(c.last.Time), c.User)
			if c.Pending > 0 {
				fmt.Fprintf(w, "# with changes that are not committed: %d\n", c.Pending)
			}
			if len(c.document) == 0 {
				fmt.Fprint(w, "# It is empty: everything is as the machine and the host configuration have it.\n")
			}
			w.Write(c.document.YAML())
		},
	}.Command()
}
