package commands

import (
	"context"
	"fmt"
	"io"
	"slices"

	"diagsh/internal/config"
	"diagsh/internal/menu"
)

type clearService interface {
	Configuration(caller menu.Caller) config.View
	ClearChanges(caller menu.Caller, setting string) ([]config.Change, error)
}

type clearchangesArgs struct {
	Setting string       `arg:"setting,positional:1,bound" help:"Only this one, or those of one object, such as interfaces.eth0.mtu or vlans.eth0.34; all, if not given."`
	Confirm menu.Confirm `arg:"confirm" ask:"Drop all changes since the last commit?" default:"yes" help:"Say yes: your pending changes are dropped."`
}

// clearchanges returns the command that drops the caller's pending changes.
func clearchanges(s clearService) *menu.Command {
	return menu.Decl[clearchangesArgs, config.Change]{
		Name:      "clearchanges",
		Aliases:   []string{"clear"},
		Help:      "Drop your pending changes, all or of one setting.",
		Role:      menu.Administrator,
		Resources: []menu.Resource{{Method: "DELETE", Path: "configuration/candidate", Tagged: true, Status: 204}},
		Suggest: func(_ context.Context, caller menu.Caller, _ clearchangesArgs, name, _ string) (list []menu.Choice) {
			for _, c := range s.Configuration(caller).Changes {
				if name == "setting" {
					list = append(list, menu.Choice{Value: c.Setting, Help: c.String()})
				}
			}
			return list
		},
		Ask: func(_ context.Context, caller menu.Caller, a clearchangesArgs, q *menu.Question) error {
			if q.Name == "confirm" && a.Setting != "" {
				q.Text = fmt.Sprintf("Drop what you changed of %s?", a.Setting)
			}
			if len(s.Configuration(caller).Changes) == 0 {
				return menu.Errorf(menu.State, "There are no changes to clear")
			}
			return nil
		},
		Check: func(_ context.Context, caller menu.Caller, a clearchangesArgs, name string) error {
			named := func(c config.Change) bool { return c.Is(a.Setting) }
			if name == "setting" && !slices.ContainsFunc(s.Configuration(caller).Changes, named) {
				return &menu.Error{Code: menu.NotFound, Argument: "setting",
					Message: fmt.Sprintf("No change of %q is pending", a.Setting), Hint: "showchanges lists what is"}
			}
			return nil
		},
		Run: func(_ context.Context, caller menu.Caller, a clearchangesArgs, out *menu.Out[config.Change]) error {
			dropped, err := s.ClearChanges(caller, a.Setting)
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
