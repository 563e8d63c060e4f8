package packetcapture

import (
	"context"

	"diagsh/capture"
	"diagsh/commands/shared/captures"
	"diagsh/internal/menu"
)

func listCommand(s captureService) *menu.Command {
	return menu.Decl[menu.NoArgs, capture.Status]{
		Name:      "list",
		Help:      "List all captures, those that ended too.",
		Role:      menu.ReadOnly,
		Shows:     true,
		Resources: []menu.Resource{{Method: "GET", Path: "captures", List: "captures", Key: "name"}},
		Topic:     "captures",
		Hidden:    func(context.Context) bool { return len(s.Captures()) == 0 },
		Run: func(_ context.Context, _ menu.Caller, _ menu.NoArgs, out *menu.Out[capture.Status]) error {
			return out.Records(s.Captures())
		},
		TextTable: captures.Table,
	}.Command()
}
