package commands

import (
	"context"

	"diagsh/capture"
	"diagsh/commands/shared/captures"
	"diagsh/internal/menu"
)

// exportService copies captures to other hosts.
type exportService interface {
	Targets() []capture.Target
	AddTarget(ctx context.Context, caller menu.Caller, t capture.Target, secret menu.Secret) (capture.Target, error)
	DeleteTarget(caller menu.Caller, name string) error
	ExportKey() (string, error)
	Exports() []capture.Export
	ExportPackets(caller menu.Caller, name, target string) ([]capture.Export, error)
	Captures() []capture.Status
	FileNames(begun string, most int) []string
}

type captureExportArgs struct {
	Name   menu.Packets `arg:"name,main,required" ask:"Capture or file" help:"Name of a capture that has ended, or of a file of the diagnostic directory."`
	Target string       `arg:"target,next,required" ask:"Target" help:"Name of the target (target list)."`
}

func captureExport(s exportService) *menu.Command {
	return menu.Spec[captureExportArgs, captures.Queued]{
		Name:    "export",
		Help:    "Copy a capture to a target.",
		Details: "The appliance copies while you do something else, and tries again until it is done, also after a restart; exports shows how far it is.",
		Role:    menu.Operator,
		Hidden:  func(context.Context) bool { return len(s.Targets()) == 0 },
		Ask: func(_ context.Context, _ menu.Caller, _ captureExportArgs, q *menu.Question) error {
			switch q.Name {
			case "name":
				captures.ChoosePackets(q, captures.Ended(s.Captures()))
			case "target":
				chooseTarget(s, q)
			}
			return nil
		},
		Suggest: suggestFiles[captureExportArgs](func(begun string, most int) []string { return s.FileNames(begun, most) }),
		Run: func(_ context.Context, caller menu.Caller, a captureExportArgs, out *menu.Out[captures.Queued]) error {
			list, err := s.ExportPackets(caller, string(a.Name), a.Target)
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

func chooseTarget(s exportService, q *menu.Question) {
	for _, t := range s.Targets() {
		q.Choices = append(q.Choices, menu.Choice{Value: t.Name})
	}
	q.Open, q.Required = true, true
}

func captureExports(s exportService) *menu.Command {
	return menu.Spec[noArgs, capture.Export]{
		Name:   "exports",
		Help:   "List the copies to targets, those that wait too.",
		Role:   menu.ReadOnly,
		Hidden: func(context.Context) bool { return len(s.Exports()) == 0 },
		Run: func(_ context.Context, _ menu.Caller, _ noArgs, out *menu.Out[capture.Export]) error {
			return out.Records(s.Exports())
		},
		TextTable: captures.Exports,
	}.Command()
}

// captureTarget is packetcapture > target.
func captureTarget(s exportService) *menu.Menu {
	return &menu.Menu{
		Name:  "target",
		Help:  "Places that captures are copied to.",
		Items: []menu.Item{targetNew(s), targetList(s), targetDelete(s)},
	}
}

type targetNewArgs struct {
	Name    string      `arg:"name,main,required" ask:"Name of the target" help:"Name of the new target."`
	URL     string      `arg:"url,next,required" ask:"Where, such as sftp://user@host/folder or https://host/folder" help:"A URL: sftp://USER@HOST[:PORT]/FOLDER, below the user's own folder with /~/FOLDER, or https://[USER@]HOST[:PORT]/FOLDER."`
	HostKey string      `arg:"hostkey" ask:"Fingerprint of the host's key (SHA256:...); Enter to ask the host, or for HTTPS to trust authorities" help:"Fingerprint of the only key that the host may have, SHA256:...; without it a host of SFTP is asked for its key, and it must be given then."`
	Secret  menu.Secret `arg:"secret" ask:"Password or token; Enter for none, with SFTP for the appliance's own key" help:"Password, or for HTTPS without a user a token; without it the appliance logs in at SFTP by its own key, which target list shows."`
	Auto    bool        `arg:"auto" default:"no" ask:"Copy every capture there as it closes?" help:"Say yes and every file of a capture is copied there as it closes."`
}

func targetNew(s exportService) *menu.Command {
	return menu.Spec[targetNewArgs, capture.Target]{
		Name: "new",
		Help: "Add a target.",
		Details: "With auto yes each file is copied as it closes, those of rings while the capture goes on. A file that waits for its copy is deleted by nobody but a user: " +
			"not by its ring, which then has more files than it keeps, and not by retention. If the target is away or slower than the capture for too long, " +
			"the quota or the reserve of the disk ends the capture with the reason DiskLow, and nothing is lost that was captured before.",
		Role:  menu.Administrator,
		Shape: menu.Object,
		Run: func(ctx context.Context, caller menu.Caller, a targetNewArgs, out *menu.Out[capture.Target]) error {
			t, err := s.AddTarget(ctx, caller, capture.Target{Name: a.Name, URL: a.URL, HostKey: a.HostKey, Auto: a.Auto}, a.Secret)
			if err != nil {
				return err
			}
			if err := out.Record(t); err != nil {
				return err
			}
			return sayKey(s, []capture.Target{t}, out)
		},
		Text: captures.Target,
	}.Command()
}

// sayKey shows the appliance's own key if a target needs it.
func sayKey(s exportService, targets []capture.Target, out *menu.Out[capture.Target]) error {
	for _, t := range targets {
		if t.Login != "key" {
			continue
		}
		key, err := s.ExportKey()
		if err != nil {
			return err
		}
		return out.Printf("The appliance logs in by its own key; the host must know it:\n%s\n", key)
	}
	return nil
}

func targetList(s exportService) *menu.Command {
	return menu.Spec[noArgs, capture.Target]{
		Name: "list",
		Help: "List the targets.",
		Role: menu.Operator,
		Run: func(_ context.Context, _ menu.Caller, _ noArgs, out *menu.Out[capture.Target]) error {
			targets := s.Targets()
			if len(targets) == 0 {
				out.Printf("There is no target.\n")
			}
			if err := out.Records(targets); err != nil {
				return err
			}
			return sayKey(s, targets, out)
		},
		Text: captures.Target,
	}.Command()
}

type targetDeleteArgs struct {
	Name    string       `arg:"name,main,required" ask:"Target to delete" help:"Name of the target."`
	Confirm menu.Confirm `arg:"confirm" ask:"Delete it? Copies to it that wait are given up" help:"Say yes: copies that wait are given up."`
}

func targetDelete(s exportService) *menu.Command {
	return menu.Spec[targetDeleteArgs, capture.Target]{
		Name:   "delete",
		Help:   "Delete a target.",
		Role:   menu.Administrator,
		Shape:  menu.Object,
		Hidden: func(context.Context) bool { return len(s.Targets()) == 0 },
		Ask: func(_ context.Context, _ menu.Caller, _ targetDeleteArgs, q *menu.Question) error {
			if q.Name == "name" {
				chooseTarget(s, q)
			}
			return nil
		},
		Run: func(_ context.Context, caller menu.Caller, a targetDeleteArgs, out *menu.Out[capture.Target]) error {
			var deleted capture.Target
			for _, t := range s.Targets() {
				if t.Name == a.Name {
					deleted = t
				}
			}
			if err := s.DeleteTarget(caller, a.Name); err != nil {
				return blame("name", err)
			}
			out.Printf("Deleted:\n")
			return out.Record(deleted)
		},
		Text: captures.Target,
	}.Command()
}
