package commands

import (
	"context"
	"fmt"
	"io"

	"diagsh/config"
	"diagsh/menu"
)

type clearService interface {
	Configuration(caller menu.Caller) config.View
	ClearChanges(caller menu.Caller) ([]config.Change, error)
}

type clearchangesArgs struct {
	Confirm menu.Confirm `arg:"confirm" ask:"Drop all changes since the last commit?" default:"yes" help:"Say yes: your pending changes are dropped."`
}

// clearchanges drops the caller's pending changes.
func clearchanges(s clearService) *menu.Command {
	return menu.Spec[clearchangesArgs, config.Change]{
		Name:    "clearchanges",
		Aliases: []string{"clear"},
		Help:    "Drop your pending changes.",
		Role:    menu.Administrator,
		Ask: func(_ context.Context, caller menu.Caller, _ clearchangesArgs, _ *menu.Question) error {
			if len(s.Configuration(caller).Changes) == 0 {
				return menu.Errorf(menu.State, "There are no changes to clear")
			}
			return nil
		},
		Run: func(_ context.Context, caller menu.Caller, _ clearchangesArgs, out *menu.Out[config.Change]) error {
			dropped, err := s.ClearChanges(caller)
			if err := out.Records(dropped); err != nil {
				return err
			}
			return err
		},
		TextTable: func(w io.Writer, dropped []config.Change) {
			for _, c := range dropped {
				fmt.Fprintf(w, "%s\n", c)
			}
			fmt.Fprint(w, "These changes are dropped.\n")
		},
	}.Command()
}
