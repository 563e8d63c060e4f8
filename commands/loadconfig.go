package commands

import (
	"context"

	"diagsh/commands/shared/changes"
	"diagsh/internal/config"
	"diagsh/internal/menu"
)

type loadService interface {
	changes.Editor
	SavedConfigurations() ([]config.Saved, error)
	LoadSaved(caller menu.Caller, name string) error
	LoadConfiguration(caller menu.Caller, text string) error
}

type loadconfigArgs struct {
	From string    `arg:"from" choices:"paste|file" ask:"Choose where the configuration comes from" default:"paste" help:"Typed or pasted here, or a file that saveconfig made."`
	File string    `arg:"file,positional:1" ask:"File to load" help:"A file of the configuration directory."`
	Text menu.Text `arg:"text,stdin" ask:"The configuration" help:"The configuration itself, in YAML."`
}

// loadconfig returns the command that makes a whole document the pending configuration.
func loadconfig(s loadService) *menu.Command {
	return menu.Decl[loadconfigArgs, config.Change]{
		Name: "loadconfig",
		Help: "Load a configuration, from here or from a file.",
		Details: "What is loaded is pending: it replaces your pending changes, and commit makes it hold. A fault is " +
			"told with its line, and then nothing is loaded.",
		Role:      menu.Administrator,
		Resources: []menu.Resource{{Method: "PUT", Path: "configuration/candidate", Tagged: true, Document: "configuration", Into: "text", List: "changes", Key: "setting", Help: "Make a configuration, as GET answers it or as text, your pending one."}},
		Ask: func(_ context.Context, _ menu.Caller, a loadconfigArgs, q *menu.Question) error {
			switch q.Name {
			case "file":
				q.Skip, q.Required = a.From != "file", a.From == "file"
				saved, err := s.SavedConfigurations()
				if err != nil {
					return err
				}
				for _, f := range saved {
					q.Choices = append(q.Choices, menu.Choice{Value: f.Name})
				}
				q.Open = true // for an unknown name Run returns the better error, NotFound
			case "text":
				q.Skip = a.From == "file" || a.File != ""
			}
			return nil
		},
		Run: func(_ context.Context, caller menu.Caller, a loadconfigArgs, out *menu.Out[config.Change]) error {
			switch {
			case a.File != "" && a.Text != "":
				return menu.Errorf(menu.Usage, "A file and a text are given").WithHint("Give one of them")
			case a.File == "" && a.Text == "":
				return menu.Errorf(menu.Usage, "Nothing is given to load").
					WithHint("Give file NAME, text with the configuration in quotes, or the configuration on " +
						"standard input")
			}
			return changes.Yield(s, caller, out, func() error {
				if a.File != "" {
					return s.LoadSaved(caller, a.File)
				}
				return s.LoadConfiguration(caller, string(a.Text))
			})
		},
		TextTable: changes.Pending,
	}.Command()
}
