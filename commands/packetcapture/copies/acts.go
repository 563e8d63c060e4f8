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

// decl returns the declaration of the command of a verb.
func (v verb) decl(s Service) menu.Decl[copyArgs, capture.Export] {
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
	}
}

func over(e capture.Export) bool {
	return e.State == capture.ExportDone || e.State == capture.ExportFailed || e.State == capture.ExportCancelled
}
