package packetcapture

import (
	"context"

	"diagsh/capture"
	"diagsh/commands/shared/captures"
	"diagsh/internal/access"
	"diagsh/internal/menu"
)

type stopArgs struct {
	captures.StopArgs
	noted
}

func stopCommand(s captureService) *menu.Command {
	stop := captures.StopDecl(s, "End a capture.", func(name string) string { return "Capture " + name + " stopped." })
	return menu.Decl[stopArgs, capture.Status]{
		Name: stop.Name, Help: stop.Help, Role: stop.Role, Shape: stop.Shape, Hidden: stop.Hidden,
		Resources: []menu.Resource{{Method: "POST", Path: "captures/{name}/stop"}},
		Ask: func(ctx context.Context, caller menu.Caller, a stopArgs, q *menu.Question) error {
			if q.Name != "name" {
				return nil
			}
			return stop.Ask(ctx, caller, a.StopArgs, q)
		},
		Run: func(ctx context.Context, caller menu.Caller, a stopArgs, out *menu.Out[capture.Status]) error {
			return a.note(s, caller, access.Operation{Act: access.OperationStop, Capture: a.Name}, func() error { return stop.Run(ctx, caller, a.StopArgs, out) })
		},
		Text: stop.Text,
	}.Command()
}
