package copies

import (
	"context"
	"fmt"
	"io"

	"diagsh/capture"
	"diagsh/internal/menu"
)

type copyArgs struct {
	Target string `arg:"target,positional:1,required" ask:"Target" help:"Name of the target."`
	File   string `arg:"file,positional:2,bound" ask:"Capture or file; Enter for all of the target" help:"Name of a file, or of a capture; all copies to the target if not given."`
}

// A verb is one thing that users do to copies.
type verb struct {
	name, help, details string
	does                string // what was done to a copy, in words
	none                string // what was done to a target that no copy waits for
	run                 func(Service, menu.Caller, capture.Copies) ([]capture.Export, error)
	right               func(capture.Export) bool // that it is for
}

// command returns the command of a verb.
func (v verb) command(s Service) *menu.Command {
	return menu.Decl[copyArgs, capture.Export]{
		Name: v.name, Help: v.help, Details: v.details,
		Role: menu.Operator,
		Resources: []menu.Resource{
			{Method: "POST", Path: "targets/{target}/" + v.name, List: "exports", Key: "file,target"},
			{Method: "POST", Path: "exports/{file}/{target}/" + v.name, List: "exports", Key: "file,target", Help: "The same for one file, or for the files of a capture."},
		},
		Hidden: none(s, v.right),
		Ask: func(_ context.Context, _ menu.Caller, a copyArgs, q *menu.Question) error {
			choose(s, a.Target, v.right, q)
			return nil
		},
		Run: func(_ context.Context, caller menu.Caller, a copyArgs, out *menu.Out[capture.Export]) error {
			list, err := v.run(s, caller, capture.Copies{Target: a.Target, File: a.File})
			if err != nil {
				return err
			}
			if len(list) == 0 {
				out.Printf("%s, and no copy waits for it.\n", fmt.Sprintf(v.none, a.Target))
			}
			return out.Records(list)
		},
		Text: func(w io.Writer, e capture.Export) { fmt.Fprintf(w, "%s: %s to %s.\n", v.does, e.File, e.Target) },
	}.Command()
}

func over(e capture.Export) bool {
	return e.State == capture.ExportDone || e.State == capture.ExportFailed || e.State == capture.ExportCancelled
}

func pauseCommand(s Service) *menu.Command {
	return verb{name: "pause", help: "Keep copies from going on until they are resumed.", does: "Paused", none: "The target %s is paused",
		details: "What the target has of a file stays there, and resume goes on from there. Without a file the target is paused: " +
			"copies to it that come later wait too. A pause holds over a restart. Files that wait are not deleted meanwhile.",
		run: Service.PauseCopies, right: func(e capture.Export) bool { return !over(e) && e.State != capture.ExportPaused }}.command(s)
}

func resumeCommand(s Service) *menu.Command {
	return verb{name: "resume", help: "Have paused copies go on.", does: "Goes on", none: "The target %s goes on",
		details: "Without a file the target goes on, with all copies to it that were paused by themselves.",
		run:     Service.ResumeCopies, right: func(e capture.Export) bool { return e.State == capture.ExportPaused }}.command(s)
}

func cancelCommand(s Service) *menu.Command {
	return verb{name: "cancel", help: "End copies that are not done.", does: "Cancelled",
		details: "Their files may be deleted then, by a ring or to make room. What a target has of a file stays there. again begins anew.",
		run:     Service.CancelCopies, right: func(e capture.Export) bool { return !over(e) || e.Held }}.command(s)
}

func againCommand(s Service) *menu.Command {
	return verb{name: "again", help: "Begin copies anew that failed or were cancelled.", does: "Waits for its turn",
		details: "Copies that wait for their next try do not wait any longer.",
		run:     Service.RetryCopies, right: func(e capture.Export) bool { return e.State != capture.ExportDone && e.State != capture.ExportSending }}.command(s)
}
