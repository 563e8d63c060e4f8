package packetcapture

import (
	"context"

	"diagsh/capture"
	"diagsh/commands/shared/captures"
	"diagsh/internal/menu"
)

type statusArgs struct {
	Name   string `arg:"name,positional:1,one" help:"Name of a capture; without it, those that run, else the last one."`
	Detail bool   `arg:"detail" default:"no" help:"Say yes to see the filter in full, with the addresses found for host names and what leaves management sessions out."`
}

func statusCommand(s captureService) *menu.Command {
	return menu.Decl[statusArgs, capture.Status]{
		Name:      "status",
		Help:      "Show the captures that run, or the last one.",
		Role:      menu.ReadOnly,
		Shows:     true,
		Resources: []menu.Resource{{Method: "GET", Path: "captures/{name}", Help: "Show one capture."}},
		Hidden:    func(context.Context) bool { return len(s.Captures()) == 0 },
		Ask: func(_ context.Context, _ menu.Caller, _ statusArgs, q *menu.Question) error {
			captures.Choose(q, s.Captures())
			q.Required = false
			return nil
		},
		Run: func(_ context.Context, _ menu.Caller, a statusArgs, out *menu.Out[capture.Status]) error {
			if a.Name != "" {
				status, err := s.Capture(a.Name)
				if err != nil {
					return err
				}
				return a.show(out, []capture.Status{status})
			}
			return a.show(out, captures.Current(s.Captures()))
		},
		TextTable: captures.Statuses,
	}.Command()
}

// show yields captures, and after them their filters in full if the caller asked for details.
func (a statusArgs) show(out *menu.Out[capture.Status], list []capture.Status) error {
	if err := out.Records(list); err != nil || !a.Detail {
		return err
	}
	for _, s := range list {
		if err := out.Printf("%s", menu.Text(captures.EffectiveFilter(s))); err != nil {
			return err
		}
	}
	return nil
}
