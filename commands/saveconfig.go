package commands

import (
	"context"
	"fmt"
	"io"
	"slices"

	"diagsh/internal/config"
	"diagsh/internal/menu"
)

type saveService interface {
	SavedConfigurations() ([]config.Saved, error)
	SaveConfiguration(name string, replace bool) (config.Saved, error)
}

type saveconfigArgs struct {
	Mask    bool   `arg:"mask,positional:0?" help:"Yes or no before the naming, as scripts for AsyncOS have it; nothing in the configuration has to be masked."`
	Naming  string `arg:"naming,positional:0?" choices:"system|own" default:"system" ask:"Choose how the file is named" help:"By the system, from host name and time, or with a name of your own."`
	Name    string `arg:"name,positional:1" ask:"Name of the file" help:"Name of the file in the configuration directory."`
	Replace bool   `arg:"replace" ask:"Replace it?" default:"no" help:"Say yes: a file that has the name already is lost."`
}

// saveconfig returns the command that writes the committed configuration into a file of the
// configuration directory.
func saveconfig(s saveService) *menu.Command {
	return menu.Decl[saveconfigArgs, config.Saved]{
		Name:  "saveconfig",
		Help:  "Save the committed configuration to a file.",
		Role:  menu.Administrator,
		Shape: menu.Object,
		Ask: func(_ context.Context, _ menu.Caller, a saveconfigArgs, q *menu.Question) error {
			switch q.Name {
			case "name":
				q.Skip, q.Required = a.Naming != "own", a.Naming == "own"
			case "replace":
				saved, err := s.SavedConfigurations()
				if err != nil {
					return err
				}
				i := slices.IndexFunc(saved, func(f config.Saved) bool { return f.Is(a.Name) })
				if q.Skip = i < 0; i >= 0 {
					q.Text = fmt.Sprintf("There is %s of %s already. Replace it?", saved[i].Name,
						menu.UTC(saved[i].Time))
				}
			}
			return nil
		},
		Run: func(_ context.Context, _ menu.Caller, a saveconfigArgs, out *menu.Out[config.Saved]) error {
			saved, err := s.SaveConfiguration(a.Name, a.Replace)
			if err != nil {
				return err
			}
			return out.Record(saved)
		},
		Text: func(w io.Writer, f config.Saved) {
			fmt.Fprintf(w, "The configuration is saved as %s in the configuration directory.\n", f.Name)
		},
	}.Command()
}
