package network

import (
	"context"
	"fmt"

	"diagsh/capture"
	"diagsh/capture/tuples"
	"diagsh/commands/shared/captures"
	"diagsh/internal/menu"
)

// tcpdump returns diagnostic > network > tcpdump: captures by the stored settings, in six verbs.
func tcpdump(s captures.Service) *menu.Menu {
	return &menu.Menu{
		Name:   "tcpdump",
		Help:   "Dump ethernet packets.",
		Status: captures.MenuStatus(s),
		Items: []menu.Item{
			tcpdumpStart(s),
			tcpdumpStop(s),
			tcpdumpStatus(s),
			tcpdumpFilter(s),
			tcpdumpInterface(s),
			tcpdumpClear(s),
		},
	}
}

type tcpdumpStartArgs struct {
	Name    string      `arg:"name,positional:1" help:"Name of the capture; one is made if none is given."`
	Given   []string    `arg:"*"`
	Filters tuples.List `arg:"filters,bound" help:"Protocol, local and remote ends, such as \"tcp remoteaddress 192.0.2.3 remoteport 80;443 or udp\"; CLEAR for none."`
}

func tcpdumpStart(s captures.Service) *menu.Command {
	return menu.Decl[tcpdumpStartArgs, capture.Status]{
		Name: "start",
		Help: "Start packet capture.",
		Details: "It uses the filter, the interfaces and the limits that are set, and continues when you leave the " +
			"menu or the session.",
		Terminal: "At a prompt, filters alone at the end of the line has protocol, addresses and ports asked one by one.",
		Role:     menu.Operator,
		Shape:    menu.Object,
		Ask: func(_ context.Context, _ menu.Caller, _ tcpdumpStartArgs, q *menu.Question) error {
			if q.Name == "filters" {
				return captures.AskFilters(q)
			}
			return nil
		},
		Run: func(_ context.Context, caller menu.Caller, a tcpdumpStartArgs, out *menu.Out[capture.Status]) error {
			request := capture.Request{Name: a.Name, Partial: capture.Partial{Options: capture.Options{Filters: a.Filters}, Given: a.Given}}
			status, err := s.StartCapture(caller, request)
			if err != nil {
				return err
			}
			out.Printf("Capture started.\n%s", menu.Text(captures.Whereabouts(status)))
			return out.Record(status)
		},
		Text: captures.Status,
	}.Command()
}

func tcpdumpStop(s captures.Service) *menu.Command {
	return captures.StopDecl(s, "Stop packet capture.", func(string) string { return "Capture stopped." }).Command()
}

func tcpdumpStatus(s captures.Service) *menu.Command {
	return menu.Decl[menu.NoArgs, capture.Status]{
		Name: "status",
		Help: "Status capture.",
		Role: menu.ReadOnly,
		Run: func(_ context.Context, _ menu.Caller, _ menu.NoArgs, out *menu.Out[capture.Status]) error {
			return out.Records(captures.Current(s.Captures()))
		},
		TextTable: captures.Statuses,
	}.Command()
}

type tcpdumpFilterArgs struct {
	Filter string `arg:"filter,positional:1,assisted" ask:"Filter expression as tcpdump takes it, or CLEAR for none" help:"A tcpdump filter such as \"host 192.0.2.1 and port 25\"; CLEAR for none."`
}

func tcpdumpFilter(s captures.Service) *menu.Command {
	return menu.Decl[tcpdumpFilterArgs, capture.Settings]{
		Name:  "filter",
		Help:  "Set packet capture filter.",
		Role:  menu.Operator,
		Shape: menu.Object,
		Ask: func(_ context.Context, _ menu.Caller, _ tcpdumpFilterArgs, q *menu.Question) error {
			q.Required, q.Default = true, s.CaptureSettings().Filter
			if q.Default == "" {
				q.Default = captures.Clear
			}
			return nil
		},
		Check: func(ctx context.Context, _ menu.Caller, a tcpdumpFilterArgs, _ string) error {
			return s.CheckFilter(ctx, captures.Cleared(a.Filter))
		},
		CompleteValue: func(_ context.Context, _ menu.Caller, _ tcpdumpFilterArgs, _, text string) menu.Completion {
			return captures.SuggestFilter(text, s.CaptureInterfaces())
		},
		Run: func(_ context.Context, caller menu.Caller, a tcpdumpFilterArgs, out *menu.Out[capture.Settings]) error {
			given := capture.Partial{Options: capture.Options{Filter: captures.Cleared(a.Filter)},
				Given: []string{"filter"}}
			if given.Filter == "" {
				given.Given = append(given.Given, "filters")
			}
			return set(s, caller, given, out)
		},
		Text: captures.Settings,
	}.Command()
}

type tcpdumpInterfaceArgs struct {
	Interfaces []string `arg:"interfaces,positional:1" alias:"interface" ask:"Interfaces to capture on, names or numbers separated by commas" help:"Names of interfaces separated by commas, or ALL."`
}

func tcpdumpInterface(s captures.Service) *menu.Command {
	return menu.Decl[tcpdumpInterfaceArgs, capture.Settings]{
		Name:  "interface",
		Help:  "Set packet capture interface.",
		Role:  menu.Operator,
		Shape: menu.Object,
		Ask: func(_ context.Context, _ menu.Caller, _ tcpdumpInterfaceArgs, q *menu.Question) error {
			q.Required = true
			captures.ChooseInterfaces(q, s.CaptureInterfaces(), s.CaptureSettings().Interfaces)
			return nil
		},
		Run: func(_ context.Context, caller menu.Caller, a tcpdumpInterfaceArgs, out *menu.Out[capture.Settings]) error {
			return set(s, caller, capture.Partial{Options: capture.Options{Interfaces: a.Interfaces}}, out)
		},
		Text: captures.Settings,
	}.Command()
}

func set(s captures.Service, caller menu.Caller, given capture.Partial, out *menu.Out[capture.Settings]) error {
	if err := s.SetCaptureSettings(caller, given); err != nil {
		return err
	}
	return out.Record(s.CaptureSettings())
}

type tcpdumpClearArgs struct {
	Confirm menu.Confirm `arg:"confirm" ask:"Remove all ended captures and their files?" help:"Say yes: files are removed."`
}

func tcpdumpClear(s captures.Service) *menu.Command {
	return menu.Decl[tcpdumpClearArgs, captures.Removed]{
		Name:   "clear",
		Help:   "Remove previous packet captures.",
		Role:   menu.Operator,
		Hidden: func(context.Context) bool { return len(captures.Ended(s.Captures())) == 0 },
		Ask: func(_ context.Context, _ menu.Caller, _ tcpdumpClearArgs, q *menu.Question) error {
			n := len(captures.Ended(s.Captures()))
			q.Skip = n == 0
			q.Text = fmt.Sprintf("Remove %s with all files?", captures.Count(n, "ended capture"))
			return nil
		},
		Run: func(_ context.Context, caller menu.Caller, _ tcpdumpClearArgs, out *menu.Out[captures.Removed]) error {
			return captures.Delete(s, caller, captures.Ended(s.Captures()), out)
		},
		TextTable: captures.RemovedTable,
	}.Command()
}
