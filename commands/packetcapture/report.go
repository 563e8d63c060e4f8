package packetcapture

import (
	"context"

	"diagsh/capture"
	"diagsh/commands/shared/captures"
	"diagsh/commands/shared/reports"
	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// A reportService makes reports of captures.
type reportService interface {
	Captures() []capture.Status
	ReportCapture(ctx context.Context, caller menu.Caller, name string, progress func(string)) (access.Report, error)
}

type reportArgs struct {
	Name string `arg:"name,positional:1,required" ask:"Capture to report on" help:"Name of a capture that has ended."`
}

func reportCommand(s reportService) *menu.Command {
	return menu.Decl[reportArgs, access.Report]{
		Name: "report",
		Help: "Make one archive of all that belongs to a capture that has ended.",
		Details: "It has the files, what was written beside them, the port log of that time, the tables of the scenario " +
			"and what changed in them, the status, an index.html that leads through it and the SHA-256 of each file. It " +
			"is among the reports (diagnostic reporting). packetcapture start with report yes makes it by itself.",
		Role:      menu.Operator,
		Shape:     menu.Object,
		Resources: []menu.Resource{{Method: "POST", Path: "captures/{name}/report"}},
		Hidden:    func(context.Context) bool { return len(captures.Ended(s.Captures())) == 0 },
		Ask: func(_ context.Context, _ menu.Caller, _ reportArgs, q *menu.Question) error {
			captures.Choose(q, captures.Ended(s.Captures()))
			q.Skip, q.Required = false, true
			return nil
		},
		Run: func(ctx context.Context, caller menu.Caller, a reportArgs, out *menu.Out[access.Report]) error {
			report, err := s.ReportCapture(ctx, caller, a.Name, func(text string) { out.Progress("%s", text) })
			if err != nil {
				return err
			}
			return out.Record(report)
		},
		Text: reports.Made,
	}.Command()
}
