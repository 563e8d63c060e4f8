package portlog

import (
	"context"

	"diagsh/diag/ports"
	"diagsh/internal/menu"
)

func startCommand(s logService) *menu.Command {
	return menu.Decl[ports.LogRequest, ports.LogStatus]{
		Name: "start",
		Help: "Begin the port log.",
		Details: "What is not given is taken from the settings (setup). The log continues when you leave the menu or " +
			"the session. It writes files in sets: the next one begins at 5 MB and at midnight, and the oldest go. " +
			"What is not selected is not written. ALL as a value takes a selection of the settings back.",
		Role:      menu.Operator,
		Resources: []menu.Resource{{Method: "POST", Path: "portlog/start"}},
		Shape:     menu.Object,
		Hidden:    func(context.Context) bool { return running(s) },
		Ask:       func(_ context.Context, _ menu.Caller, _ ports.LogRequest, q *menu.Question) error { return offerAll(q) },
		Check: func(_ context.Context, _ menu.Caller, r ports.LogRequest, name string) error {
			return check(r.LogOptions, name)
		},
		Run: func(_ context.Context, caller menu.Caller, r ports.LogRequest, out *menu.Out[ports.LogStatus]) error {
			if err := checkAll(r.Selection); err != nil {
				return err
			}
			r.PartialLog = withoutAll(r.PartialLog)
			status, err := s.StartPortLog(caller, r)
			if err != nil {
				return err
			}
			out.Printf("The port log is started. Its files are in /diagnostic (SFTP, SCP) at once, and grow.\n%s",
				menu.Text(unknownUsers(status.LogOptions)))
			return out.Record(status)
		},
		Text: writeStatus,
	}.Command()
}
