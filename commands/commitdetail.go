package commands

import (
	"context"

	"diagsh/commands/shared/changes"
	"diagsh/internal/config"
	"diagsh/internal/menu"
)

type commitsService interface {
	Commits() []config.Commit
}

type commitdetailArgs struct {
	Number *int `arg:"number,positional:1" alias:"commit" min:"0" help:"Number of one of the last commits; the last one, if not given."`
}

// commitdetail returns the command that shows who changed what, and why.
func commitdetail(s commitsService) *menu.Command {
	return menu.Decl[commitdetailArgs, config.Commit]{
		Name:      "commitdetail",
		Help:      "Show the last commit.",
		Role:      menu.Operator,
		Shows:     true,
		Resources: []menu.Resource{{Method: "GET", Path: "configuration/commits/{number}"}},
		Shape:     menu.Object,
		Topic:     "commits",
		Run: func(_ context.Context, _ menu.Caller, a commitdetailArgs, out *menu.Out[config.Commit]) error {
			for _, c := range s.Commits() {
				if a.Number == nil || c.Number == *a.Number {
					return out.Record(c)
				}
			}
			return &menu.Error{Code: menu.NotFound, Argument: "number",
				Message: "The commit is not among the last ones", Hint: "commitdetail alone shows the last one"}
		},
		Text: changes.Commit,
	}.Command()
}
