package target

import (
	"context"

	"diagsh/capture"
	"diagsh/commands/shared/captures"
	"diagsh/internal/menu"
)

func listCommand(s Service) *menu.Command {
	return menu.Decl[menu.NoArgs, capture.Target]{
		Name:      "list",
		Help:      "List the targets.",
		Role:      menu.Operator,
		Resources: []menu.Resource{{Method: "GET", Path: "targets", List: "targets", Key: "name"}, {Method: "GET", Path: "targets/{name}", Key: "name", Pick: true, Help: "Show one target."}},
		Topic:     "targets",
		Run: func(_ context.Context, _ menu.Caller, _ menu.NoArgs, out *menu.Out[capture.Target]) error {
			targets := s.Targets()
			if len(targets) == 0 {
				out.Printf("There is no target.\n")
			}
			if err := out.Records(targets); err != nil {
				return err
			}
			return sayKey(s, targets, out)
		},
		Text: captures.Target,
	}.Command()
}
