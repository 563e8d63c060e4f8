package packetcapture

import (
	"context"

	"diagsh/capture"
	"diagsh/commands/shared/captures"
	"diagsh/internal/menu"
)

// An exportService copies captures to other hosts.
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

// targetMenu returns packetcapture > target.
func targetMenu(s exportService) *menu.Menu {
	return &menu.Menu{
		Name:  "target",
		Help:  "Places that captures are copied to.",
		Items: []menu.Item{targetNewCommand(s), targetListCommand(s), targetDeleteCommand(s)},
	}
}

type targetNewArgs struct {
	Name    string      `arg:"name,positional:1,required" ask:"Name of the target" help:"Name of the new target."`
	URL     string      `arg:"url,positional:2,required" label:"URL" ask:"Where, such as sftp://user@host/folder or https://host/folder" help:"A URL: sftp://USER@HOST[:PORT]/FOLDER, below the user's own folder with /~/FOLDER, or https://[USER@]HOST[:PORT]/FOLDER."`
	HostKey string      `arg:"hostkey,bound" label:"Host key" ask:"Fingerprint of the host's key (SHA256:...); Enter to ask the host, or for HTTPS to trust authorities" help:"Fingerprint of the only key that the host may have, SHA256:...; without it a host of SFTP is asked for its key, and it must be given then."`
	Secret  menu.Secret `arg:"secret" ask:"Password or token; Enter for none, with SFTP for the appliance's own key" help:"Password, or for HTTPS without a user a token; without it the appliance logs in at SFTP by its own key, which target list shows."`
	Auto    bool        `arg:"auto" default:"no" ask:"Copy every capture there as it closes?" help:"Say yes and every file of a capture is copied there as it closes."`
}

func targetNewCommand(s exportService) *menu.Command {
	return menu.Decl[targetNewArgs, capture.Target]{
		Name: "new",
		Help: "Add a target.",
		Details: "With auto yes each file is copied as it closes, those of rings while the capture runs. A file " +
			"that waits for its copy is deleted only by a user: not by its ring, which then has more files " +
			"than it keeps, and not by retention. If the target is away or slower than the capture for too long, " +
			"the quota or the reserve of the disk ends the capture with the reason DiskLow, and nothing is " +
			"lost that was captured before.",
		Role:      menu.Administrator,
		Resources: []menu.Resource{{Method: "POST", Path: "targets", Status: 201, Location: "targets/{name}"}},
		Shape:     menu.Object,
		Run: func(ctx context.Context, caller menu.Caller, a targetNewArgs, out *menu.Out[capture.Target]) error {
			t, err := s.AddTarget(ctx, caller,
				capture.Target{Name: a.Name, URL: a.URL, HostKey: a.HostKey, Auto: a.Auto}, a.Secret)
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

// sayKey shows the appliance's own public key if a target needs it.
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

func targetListCommand(s exportService) *menu.Command {
	return menu.Decl[menu.NoArgs, capture.Target]{
		Name:      "list",
		Help:      "List the targets.",
		Role:      menu.Operator,
		Resources: []menu.Resource{{Method: "GET", Path: "targets", List: "targets", Key: "name"}, {Method: "GET", Path: "targets/{name}", Key: "name", Pick: true, Help: "Show one target."}},
		Topic:     "targets",
		Run: func(_ context.Context, _ menu.Caller, _ menu.NoArgs, out *menu.Out[capture.Target]) error {
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
	Name    string       `arg:"name,positional:1,required" ask:"Target to delete" help:"Name of the target."`
	Confirm menu.Confirm `arg:"confirm" ask:"Delete it? Copies to it that wait are given up" help:"Say yes: copies that wait are given up."`
}

func targetDeleteCommand(s exportService) *menu.Command {
	return menu.Decl[targetDeleteArgs, capture.Target]{
		Name:      "delete",
		Help:      "Delete a target.",
		Role:      menu.Administrator,
		Resources: []menu.Resource{{Method: "DELETE", Path: "targets/{name}", Status: 204}},
		Shape:     menu.Object,
		Hidden:    func(context.Context) bool { return len(s.Targets()) == 0 },
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
				return menu.Blame("name", err)
			}
			out.Printf("Deleted:\n")
			return out.Record(deleted)
		},
		Text: captures.Target,
	}.Command()
}
