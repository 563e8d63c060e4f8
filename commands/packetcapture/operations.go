package packetcapture

import (
	"context"
	"fmt"
	"io"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// An operationService keeps what became of acts that were given a name.
type operationService interface {
	// BeginOperation notes that an act on a capture begins; end is called once, with its error.
	BeginOperation(caller menu.Caller, o access.Operation) (end func(error), err error)
	Operations() []access.Operation
}

func operationsCommand(s operationService) *menu.Command {
	return menu.Decl[menu.NoArgs, access.Operation]{
		Name: "operations",
		Help: "List what became of acts on captures that were given a name.",
		Details: "Programs name what they start, stop and delete, so that they can ask later how it ended, also after the appliance " +
			"has started again. It is kept for an hour.",
		Role:  menu.ReadOnly,
		Shows: true,
		Resources: []menu.Resource{{Method: "GET", Path: "operations", List: "operations", Key: "operation"},
			{Method: "GET", Path: "operations/{operation}", Key: "operation", Pick: true, Help: "Show one of these acts."}},
		Hidden: func(context.Context) bool { return len(s.Operations()) == 0 },
		Run: func(_ context.Context, _ menu.Caller, _ menu.NoArgs, out *menu.Out[access.Operation]) error {
			return out.Records(s.Operations())
		},
		TextTable: operationsTable,
	}.Command()
}

// operationsTable writes a line for each operation, and below it why it failed.
func operationsTable(w io.Writer, list []access.Operation) {
	if len(list) == 0 {
		fmt.Fprintln(w, "Nothing was given a name in the last hour.")
	}
	for _, o := range list {
		fmt.Fprintf(w, "%s  %s %s by %s, %s: %s\n", o.ID, o.Act, o.Capture, o.User, menu.UTC(o.StartTime), o.State)
		if o.Fault != nil {
			fmt.Fprintf(w, "    %s.\n", o.Fault.Message)
		}
	}
}

// noted is the argument of commands whose act can be given a name.
type noted struct {
	Operation string `arg:"operation,bound" group:"expert" help:"For programs: a name of letters, digits and hyphens, by which operations says how this ended."`
}

// note does something as an operation, if it has a name. o says what it does, and to which capture.
func (n noted) note(s operationService, caller menu.Caller, o access.Operation, do func() error) error {
	if n.Operation == "" {
		return do()
	}
	o.ID = n.Operation
	end, err := s.BeginOperation(caller, o)
	if err != nil {
		return err
	}
	err = do()
	end(err)
	return err
}
