package portlog

import (
	"context"

	"diagsh/diag/ports"
	"diagsh/internal/menu"
)

func stopCommand(s logService) *menu.Command {
	return menu.Decl[menu.NoArgs, ports.LogStatus]{
		Name:      "stop",
		Help:      "End the port log.",
		Details:   "Its files stay.",
		Role:      menu.Operator,
		Resources: []menu.Resource{{Method: "POST", Path: "portlog/stop"}},
		Shape:     menu.Object,
		Hidden:    func(context.Context) bool { return !running(s) },
		Run: func(_ context.Context, caller menu.Caller, _ menu.NoArgs, out *menu.Out[ports.LogStatus]) error {
			status, err := s.StopPortLog(caller)
			if err != nil {
				return err
			}
			out.Printf("The port log is stopped.\n")
			return out.Record(status)
		},
		Text: writeStatus,
	}.Command()
}
