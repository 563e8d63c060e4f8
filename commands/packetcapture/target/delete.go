package target

import (
	"context"

	"diagsh/capture"
	"diagsh/commands/shared/captures"
	"diagsh/internal/menu"
)

type deleteArgs struct {
	Name    string       `arg:"name,positional:1,required" ask:"Target to delete" help:"Name of the target."`
	Confirm menu.Confirm `arg:"confirm" ask:"Delete it? Copies to it that wait are given up" help:"Say yes: copies that wait are given up."`
}

func deleteCommand(s Service) *menu.Command {
	return menu.Decl[deleteArgs, capture.Target]{
		Name:      "delete",
		Help:      "Delete a target.",
		Role:      menu.Administrator,
		Resources: []menu.Resource{{Method: "DELETE", Path: "targets/{name}", Status: 204}},
		Shape:     menu.Object,
		Hidden:    func(context.Context) bool { return len(s.Targets()) == 0 },
		Ask: func(_ context.Context, _ menu.Caller, _ deleteArgs, q *menu.Question) error {
			if q.Name == "name" {
				Choose(s, q)
			}
			return nil
		},
		Run: func(_ context.Context, caller menu.Caller, a deleteArgs, out *menu.Out[capture.Target]) error {
			var deleted capture.Target
			for _, t := range s.Targets() {
				if t.Name == a.Name {
					deleted = t
				}
			}
			if err := s.DeleteTarget(caller, a.Name); err != nil {
				return menu.Blame("name", err)
			}
			out.Printf("Deleted:\n")
			return out.Record(deleted)
		},
		Text: captures.Target,
	}.Command()
}
