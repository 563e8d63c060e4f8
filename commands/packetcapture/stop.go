package packetcapture

import (
	"context"

	"diagsh/capture"
	"diagsh/commands/shared/captures"
	"diagsh/internal/menu"
)

type stopArgs struct {
	Name string `arg:"name,positional:1" ask:"Name of the capture" help:"Name of the capture; may be left out when there is only one."`
}

func stopCommand(s captureService) *menu.Command {
	return menu.Decl[stopArgs, capture.Status]{
		Name:   "stop",
		Help:   "End a capture.",
		Role:   menu.Operator,
		Shape:  menu.Object,
		Hidden: func(context.Context) bool { return len(captures.Active(s.Captures())) == 0 },
		Ask: func(_ context.Context, _ menu.Caller, _ stopArgs, q *menu.Question) error {
			captures.Choose(q, captures.Active(s.Captures()))
			return nil
		},
		Run: func(_ context.Context, caller menu.Caller, a stopArgs, out *menu.Out[capture.Status]) error {
			status, err := captures.Stop(s, caller, a.Name)
			if err != nil {
				return err
			}
			out.Printf("Capture %s stopped.\n", status.Name)
			return out.Record(status)
		},
		Text: captures.Status,
	}.Command()
}
