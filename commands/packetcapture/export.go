package packetcapture

import (
	"context"

	"diagsh/capture"
	"diagsh/commands/packetcapture/copies"
	"diagsh/commands/packetcapture/target"
	"diagsh/commands/shared/captures"
	"diagsh/internal/menu"
)

// An exportService copies captures to other hosts.
type exportService interface {
	target.Service
	copies.Service
	ExportPackets(caller menu.Caller, name, target string, processes bool) ([]capture.Export, error)
	Captures() []capture.Status
	FileNames(begun string, most int) []string
}

type exportArgs struct {
	Name   menu.Packets `arg:"name,positional:1,required" ask:"Capture or file" help:"Name of a capture that has ended, or of a file of the diagnostic directory."`
	Target string       `arg:"target,positional:2,required" ask:"Target" help:"Name of the target (target list)."`

	Processes bool `arg:"processes" default:"no" help:"Copy files in which each packet says its processes, as NAME.processes.pcapng, instead of the files as they are."`
}

func exportCommand(s exportService) *menu.Command {
	return menu.Decl[exportArgs, captures.Queued]{
		Name: "export",
		Help: "Copy a capture to a target.",
		Details: "The appliance copies while you do something else, and tries again until it is done, also after a " +
			"restart; exports shows how far it is.",
		Role:      menu.Operator,
		Resources: []menu.Resource{{Method: "POST", Path: "captures/{name}/export", List: "exports", Key: "file,target"}},
		Hidden:    func(context.Context) bool { return len(s.Targets()) == 0 },
		Ask: func(_ context.Context, _ menu.Caller, _ exportArgs, q *menu.Question) error {
			switch q.Name {
			case "name":
				captures.ChoosePackets(q, captures.Ended(s.Captures()))
			case "target":
				target.Choose(s, q)
			}
			return nil
		},
		Suggest: suggestFiles[exportArgs](func(begun string, most int) []string { return s.FileNames(begun, most) }),
		Run: func(_ context.Context, caller menu.Caller, a exportArgs, out *menu.Out[captures.Queued]) error {
			list, err := s.ExportPackets(caller, string(a.Name), a.Target, a.Processes)
			if err != nil {
				return err
			}
			for _, e := range list {
				if err := out.Record(captures.Queued{File: e.File, Capture: e.Capture, Target: e.Target}); err != nil {
					return err
				}
			}
			return nil
		},
		Text: captures.QueuedText,
	}.Command()
}
