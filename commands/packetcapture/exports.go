package packetcapture

import (
	"context"

	"diagsh/capture"
	"diagsh/commands/shared/captures"
	"diagsh/internal/menu"
)

func exportsCommand(s exportService) *menu.Command {
	return menu.Decl[menu.NoArgs, capture.Export]{
		Name:      "exports",
		Help:      "List the copies to targets, those that wait too.",
		Role:      menu.ReadOnly,
		Shows:     true,
		Resources: []menu.Resource{{Method: "GET", Path: "exports", List: "exports", Key: "file,target"}},
		Topic:     "exports",
		Hidden:    func(context.Context) bool { return len(s.Exports()) == 0 },
		Run: func(_ context.Context, _ menu.Caller, _ menu.NoArgs, out *menu.Out[capture.Export]) error {
			return out.Records(s.Exports())
		},
		TextTable: captures.Exports,
	}.Command()
}
