package packetcapture

import (
	"context"
	"fmt"

	"diagsh/capture"
	"diagsh/commands/shared/captures"
	"diagsh/internal/menu"
)

type deleteArgs struct {
	Name    string       `arg:"name,positional:1,required" ask:"Capture to delete, or ALL" help:"Name of a capture that has ended, or ALL of them."`
	Confirm menu.Confirm `arg:"confirm" ask:"Delete it and its files?" help:"Say yes: files are removed."`
}

func deleteCommand(s captureService) *menu.Command {
	return menu.Decl[deleteArgs, captures.Removed]{
		Name:      "delete",
		Help:      "Delete captures that have ended, with their files.",
		Role:      menu.Operator,
		Resources: []menu.Resource{{Method: "DELETE", Path: "captures/{name}", Status: 204}},
		Hidden:    func(context.Context) bool { return len(captures.Ended(s.Captures())) == 0 },
		Ask: func(_ context.Context, _ menu.Caller, a deleteArgs, q *menu.Question) error {
			ended := captures.Ended(s.Captures())
			if q.Name == "name" {
				captures.Choose(q, ended)
				q.Choices = append(q.Choices, menu.Choice{Value: capture.All, Label: "ALL captures that have ended", AnyCase: true})
				q.Skip, q.Required = false, true
				return nil
			}
			if a.Name == capture.All {
				q.Skip = len(ended) == 0
				q.Text = fmt.Sprintf("Delete %s with all files?", captures.Count(len(ended), "capture"))
				return nil
			}
			status, err := s.Capture(a.Name)
			if err != nil {
				return menu.Blame("name", err)
			}
			if status.State == capture.Running {
				return &menu.Error{Code: menu.State, Argument: "name", Message: "The capture " + a.Name + " is running",
					Hint: "Stop it first"}
			}
			q.Text = fmt.Sprintf("Delete %s with all files?", a.Name)
			return nil
		},
		Run: func(_ context.Context, caller menu.Caller, a deleteArgs, out *menu.Out[captures.Removed]) error {
			chosen := captures.Ended(s.Captures())
			if a.Name != capture.All {
				status, err := s.Capture(a.Name)
				if err != nil {
					return err
				}
				chosen = []capture.Status{status}
			}
			return captures.Delete(s, caller, chosen, out)
		},
		TextTable: captures.RemovedTable,
	}.Command()
}
