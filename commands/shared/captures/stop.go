package captures

import (
	"context"

	"diagsh/capture"
	"diagsh/internal/menu"
)

// StopArgs are the arguments of StopDecl.
type StopArgs struct {
	Name string `arg:"name,positional:1,bound" ask:"Name of the capture" help:"Name of the capture; may be left out when there is only one."`
}

// A stopService is the part of the table of captures that StopDecl needs.
type stopService interface {
	Captures() []capture.Status
	StopCapture(caller menu.Caller, name string) (capture.Status, error)
}

// StopDecl declares the command that ends a capture: the named one, or the only one that is active.
// said returns the sentence for one that was stopped.
func StopDecl(s stopService, help string, said func(name string) string) menu.Decl[StopArgs, capture.Status] {
	return menu.Decl[StopArgs, capture.Status]{
		Name:   "stop",
		Help:   help,
		Role:   menu.Operator,
		Shape:  menu.Object,
		Hidden: func(context.Context) bool { return len(Active(s.Captures())) == 0 },
		Ask: func(_ context.Context, _ menu.Caller, _ StopArgs, q *menu.Question) error {
			Choose(q, Active(s.Captures()))
			return nil
		},
		Run: func(_ context.Context, caller menu.Caller, a StopArgs, out *menu.Out[capture.Status]) error {
			name, err := onlyActive(s.Captures(), a.Name)
			if err != nil {
				return err
			}
			status, err := s.StopCapture(caller, name)
			if err != nil {
				return err
			}
			out.Printf("%s\n", said(status.Name))
			return out.Record(status)
		},
		Text: Status,
	}
}
