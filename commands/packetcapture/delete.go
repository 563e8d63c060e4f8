package packetcapture

import (
	"context"
	"fmt"

	"diagsh/capture"
	"diagsh/commands/shared/captures"
	"diagsh/internal/access"
	"diagsh/internal/menu"
)

type deleteArgs struct {
	Name    string       `arg:"name,positional:1,required" ask:"Capture to delete, or ALL" help:"Name of a capture that has ended, or ALL of them."`
	Files   string       `arg:"files,bound" default:"delete" choices:"delete|keep" help:"What becomes of the files: they are deleted with the capture, or stay in the diagnostic directory."`
	Stop    bool         `arg:"stop" default:"no" help:"Say yes to end a capture first that runs or waits for its time."`
	Confirm menu.Confirm `arg:"confirm" ask:"Delete it and its files?" help:"Say yes: files are removed."`
	noted
}

func deleteCommand(s captureService) *menu.Command {
	return menu.Decl[deleteArgs, captures.Removed]{
		Name: "delete",
		Help: "Delete captures that have ended, with their files.",
		Details: "With files keep, the capture goes and its name is free; its files stay in the diagnostic directory, and are copied, " +
			"protected and deleted to make room as before.",
		Role:      menu.Operator,
		Resources: []menu.Resource{{Method: "DELETE", Path: "captures/{name}", Status: 204}},
		Hidden:    func(context.Context) bool { return len(captures.Ended(s.Captures())) == 0 },
		Ask: func(_ context.Context, _ menu.Caller, a deleteArgs, q *menu.Question) error {
			switch q.Name {
			case "name":
				captures.Choose(q, captures.Ended(s.Captures()))
				q.Choices = append(q.Choices, menu.Choice{Value: capture.All, Label: "ALL captures that have ended", AnyCase: true})
				q.Skip, q.Required = false, true
			case "confirm":
				return a.askConfirm(s, q)
			}
			return nil
		},
		Run: func(_ context.Context, caller menu.Caller, a deleteArgs, out *menu.Out[captures.Removed]) error {
			return a.note(s, caller, access.Operation{Act: access.OperationDelete, Capture: a.Name, Files: a.Files != keepFiles}, func() error { return a.delete(s, caller, out) })
		},
		TextTable: captures.RemovedTable,
	}.Command()
}

// askConfirm prepares the question whether what is named is to be deleted.
func (a deleteArgs) askConfirm(s captureService, q *menu.Question) error {
	question := "Delete %s with all files?"
	if a.Files == keepFiles {
		question = "Delete %s and keep the files?"
	}
	if a.Name == capture.All {
		chosen := a.all(s)
		q.Skip = len(chosen) == 0
		q.Text = fmt.Sprintf(question, captures.Count(len(chosen), "capture"))
		return nil
	}
	status, err := s.Capture(a.Name)
	if err != nil {
		return menu.Blame("name", err)
	}
	if status.State == capture.Running && !a.Stop {
		return &menu.Error{Code: menu.State, Argument: "name", Message: "The capture " + a.Name + " is running",
			Hint: "Stop it first"}
	}
	q.Text = fmt.Sprintf(question, a.Name)
	return nil
}

// keepFiles is the value of deleteArgs.Files that keeps them.
const keepFiles = "keep"

// all returns the captures that ALL stands for.
func (a deleteArgs) all(s captureService) []capture.Status {
	if a.Stop {
		return s.Captures()
	}
	return captures.Ended(s.Captures())
}

// ended returns a capture that could not be stopped because it had just ended by itself, or was stopped
// by another user. For all others it returns why it could not be stopped.
func ended(s captureService, name string, why error) (capture.Status, error) {
	status, err := s.Capture(name)
	if err == nil && len(captures.Active([]capture.Status{status})) > 0 {
		err = why
	}
	return status, err
}

// delete deletes what is named, and yields what was removed.
func (a deleteArgs) delete(s captureService, caller menu.Caller, out *menu.Out[captures.Removed]) error {
	chosen := a.all(s)
	if a.Name != capture.All {
		status, err := s.Capture(a.Name)
		if err != nil {
			return err
		}
		chosen = []capture.Status{status}
	}
	for i, status := range chosen {
		if !a.Stop || len(captures.Active(chosen[i:i+1])) == 0 {
			continue
		}
		stopped, err := s.StopCapture(caller, status.Name)
		if err != nil && menu.AsError(err).Code == menu.State {
			stopped, err = ended(s, status.Name, err)
		}
		if err != nil {
			return err
		}
		chosen[i] = stopped
	}
	if a.Files == keepFiles {
		return captures.Forget(s, caller, chosen, out)
	}
	return captures.Delete(s, caller, chosen, out)
}
