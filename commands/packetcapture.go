package commands

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"diagsh/capture"
	"diagsh/commands/shared/captures"
	"diagsh/internal/menu"
)

// captureService is the one table of captures, for all users and front ends.
type captureService interface {
	StartCapture(caller menu.Caller, request capture.Request) (capture.Status, error)
	StopCapture(caller menu.Caller, name string) (capture.Status, error)
	DeleteCapture(caller menu.Caller, name string) error
	Capture(name string) (capture.Status, error)
	Captures() []capture.Status
	CaptureSettings() capture.Settings
	SetCaptureSettings(caller menu.Caller, s capture.Settings) error
	CheckFilter(ctx context.Context, expression string) error
	CaptureInterfaces() []capture.InterfaceInfo
}

// packetServices are all that packetcapture needs of the appliance.
type packetServices interface {
	captureService
	packetService
	exportService
}

// packetcapture is the menu of named captures.
func packetcapture(s packetServices) *menu.Menu {
	return &menu.Menu{
		Name: "packetcapture",
		Help: "Capture packets on the appliance's interfaces.",
		Status: func(_ context.Context, _ menu.Caller, w io.Writer) error {
			captures.Brief(w, s.Captures(), s.CaptureSettings())
			return nil
		},
		Items: []menu.Item{
			captureStart(s),
			captureStop(s),
			captureStatus(s),
			captureSetup(s),
			captureList(s),
			captureDelete(s),
			captureWatch(s),
			captureShow(s),
			captureSummary(s),
			captureStream(s),
			captureExport(s),
			captureExports(s),
			captureTarget(s),
		},
	}
}

type captureStartArgs struct {
	Name       string         `arg:"name,main" help:"Name of the capture; one is made if none is given."`
	Interfaces []string       `arg:"interface" help:"Names of interfaces separated by commas, or ALL."`
	Filter     *string        `arg:"filter,assisted" help:"A tcpdump filter such as \"host 192.0.2.1 and port 25\"; CLEAR for none."`
	Size       *menu.Size     `arg:"size,unlimited" unit:"MB" min:"4096" help:"Ends at this file size; unlimited still ends before the disk is full."`
	Duration   *time.Duration `arg:"duration,unlimited" min:"1" max:"31536000" help:"Ends after this time, such as 60s or 5m."`
	Packets    *int64         `arg:"packets,unlimited" min:"1" help:"Ends after so many packets that match the filter."`
	Count      *int64         `arg:"count,unlimited" min:"1" help:"The same as packets."`
	Management *bool          `arg:"management" help:"Keep the packets of management sessions too."`
	Defaults   bool           `arg:"defaults" default:"no" help:"Say yes, for programs: what is not given is as on a new appliance, and not taken from the settings."`
	At         *time.Time     `arg:"at" help:"When to begin, such as \"2026-03-01 10:15\" (UTC); at once, if not given."`
	captures.Options
}

func captureStart(s captureService) *menu.Command {
	return menu.Spec[captureStartArgs, capture.Status]{
		Name: "start",
		Help: "Begin a capture.",
		Details: "What is not given is taken from the settings (setup). The capture goes on when you leave the menu or the session. " +
			"While the disk is slow, a ring or circular capture has more files than it keeps: at most twice as many and three, or 64 MB more.",
		Role:  menu.Operator,
		Shape: menu.Object,
		Ask: func(_ context.Context, _ menu.Caller, _ captureStartArgs, q *menu.Question) error {
			if q.Name == "interface" {
				captures.ChooseInterfaces(q, s.CaptureInterfaces(), nil)
			}
			return nil
		},
		Check: func(ctx context.Context, _ menu.Caller, a captureStartArgs, name string) error {
			if name == "filter" {
				return s.CheckFilter(ctx, captures.Cleared(*a.Filter))
			}
			if name == "at" {
				return notPast(*a.At)
			}
			return a.Options.Check(name)
		},
		Assist: func(_ context.Context, _ menu.Caller, _ captureStartArgs, _, text string) menu.Completion {
			return captures.SuggestFilter(text, s.CaptureInterfaces())
		},
		Run: func(_ context.Context, caller menu.Caller, a captureStartArgs, out *menu.Out[capture.Status]) error {
			if a.Count != nil && a.Packets != nil && *a.Count != *a.Packets {
				return errBothCounts()
			}
			status, err := s.StartCapture(caller, a.request())
			if err != nil {
				return err
			}
			if status.State == capture.NotStarted {
				out.Printf("Capture %s is planned.\n", status.Name)
			} else {
				out.Printf("Capture %s started.\n%s", status.Name, menu.Text(captures.Whereabouts(status)))
			}
			return out.Record(status)
		},
		Text: captures.Status,
	}.Command()
}

// clockSkew is how far a time may lie back that is meant as now.
const clockSkew = 10 * time.Second

func notPast(at time.Time) error {
	if now := time.Now(); at.Before(now.Add(-clockSkew)) {
		return menu.Wrong("at", "%s is in the past", at.UTC().Format("2006-01-02 15:04:05 UTC")).
			WithHint("It is %s now; leave at out to begin at once", now.UTC().Format("2006-01-02 15:04:05 UTC"))
	}
	return nil
}

func (a captureStartArgs) request() capture.Request {
	r := capture.Request{Name: a.Name, Interfaces: a.Interfaces, Management: a.Management, Defaults: a.Defaults}
	a.Options.Request(&r)
	if a.At != nil {
		r.StartAt = *a.At
	}
	if a.Filter != nil {
		expression := captures.Cleared(*a.Filter)
		r.Filter = &expression
	}
	if a.Size != nil {
		r.Limits.SizeBytes = int64(*a.Size)
	}
	if a.Duration != nil {
		r.Limits.DurationSeconds = captures.Seconds(*a.Duration)
	}
	for _, packets := range []*int64{a.Packets, a.Count} {
		if packets != nil {
			r.Limits.Packets = *packets
		}
	}
	return r
}

type captureNameArgs struct {
	Name string `arg:"name,main" ask:"Name of the capture" help:"Name of the capture; may be left out when there is only one."`
}

func captureStop(s captureService) *menu.Command {
	return menu.Spec[captureNameArgs, capture.Status]{
		Name:   "stop",
		Help:   "End a capture.",
		Role:   menu.Operator,
		Shape:  menu.Object,
		Hidden: func(context.Context) bool { return len(captures.Active(s.Captures())) == 0 },
		Ask: func(_ context.Context, _ menu.Caller, _ captureNameArgs, q *menu.Question) error {
			captures.Choose(q, captures.Active(s.Captures()))
			return nil
		},
		Run: func(_ context.Context, caller menu.Caller, a captureNameArgs, out *menu.Out[capture.Status]) error {
			status, err := captures.Stop(s, caller, a.Name)
			if err != nil {
				return err
			}
			out.Printf("Capture %s stopped.\n", status.Name)
			return out.Record(status)
		},
		Text: captures.Status,
	}.Command()
}

type captureStatusArgs struct {
	Name   string `arg:"name,main" help:"Name of a capture; without it, those that run, else the last one."`
	Detail bool   `arg:"detail" default:"no" help:"Say yes to see the filter in full, with what leaves management sessions out."`
}

func captureStatus(s captureService) *menu.Command {
	return menu.Spec[captureStatusArgs, capture.Status]{
		Name:   "status",
		Help:   "Show the captures that run, or the last one.",
		Role:   menu.ReadOnly,
		Hidden: func(context.Context) bool { return len(s.Captures()) == 0 },
		Ask: func(_ context.Context, _ menu.Caller, _ captureStatusArgs, q *menu.Question) error {
			captures.Choose(q, s.Captures())
			q.Required = false
			return nil
		},
		Run: func(_ context.Context, _ menu.Caller, a captureStatusArgs, out *menu.Out[capture.Status]) error {
			if a.Name != "" {
				status, err := s.Capture(a.Name)
				if err != nil {
					return err
				}
				out.Object()
				return a.show(out, []capture.Status{status})
			}
			return a.show(out, captures.Current(s.Captures()))
		},
		TextTable: captures.Statuses,
	}.Command()
}

// show yields captures, and behind them their filters in full if that is wanted.
func (a captureStatusArgs) show(out *menu.Out[capture.Status], list []capture.Status) error {
	if err := out.Records(list); err != nil || !a.Detail {
		return err
	}
	for _, s := range list {
		if err := out.Printf("%s", menu.Text(captures.EffectiveFilter(s))); err != nil {
			return err
		}
	}
	return nil
}

func captureList(s captureService) *menu.Command {
	return menu.Spec[noArgs, capture.Status]{
		Name:   "list",
		Help:   "List all captures, those that ended too.",
		Role:   menu.ReadOnly,
		Hidden: func(context.Context) bool { return len(s.Captures()) == 0 },
		Run: func(_ context.Context, _ menu.Caller, _ noArgs, out *menu.Out[capture.Status]) error {
			return out.Records(s.Captures())
		},
		TextTable: captures.Table,
	}.Command()
}

type captureDeleteArgs struct {
	Name    string       `arg:"name,main,required" ask:"Capture to delete, or ALL" help:"Name of a capture that has ended, or ALL of them."`
	Confirm menu.Confirm `arg:"confirm" ask:"Delete it and its files?" help:"Say yes: files are removed."`
}

func captureDelete(s captureService) *menu.Command {
	return menu.Spec[captureDeleteArgs, captures.Removed]{
		Name:   "delete",
		Help:   "Delete captures that have ended, with their files.",
		Role:   menu.Operator,
		Hidden: func(context.Context) bool { return len(captures.Ended(s.Captures())) == 0 },
		Ask: func(_ context.Context, _ menu.Caller, a captureDeleteArgs, q *menu.Question) error {
			ended := captures.Ended(s.Captures())
			if q.Name == "name" {
				captures.Choose(q, ended)
				q.Choices = append(q.Choices, menu.Choice{Value: capture.All, Label: "ALL captures that have ended"})
				q.Skip, q.Required = false, true
				return nil
			}
			if a.Name == capture.All {
				q.Skip = len(ended) == 0
				q.Text = fmt.Sprintf("Delete %s with all files?", captures.Count(len(ended), "capture"))
				return nil
			}
			status, err := s.Capture(a.Name)
			if err != nil {
				return blame("name", err)
			}
			if status.State == capture.Running {
				return &menu.Error{Kind: menu.State, Argument: "name", Message: "The capture " + a.Name + " is running", Hint: "Stop it first"}
			}
			q.Text = fmt.Sprintf("Delete %s with all files?", a.Name)
			return nil
		},
		Run: func(_ context.Context, caller menu.Caller, a captureDeleteArgs, out *menu.Out[captures.Removed]) error {
			chosen := captures.Ended(s.Captures())
			if a.Name != capture.All {
				status, err := s.Capture(a.Name)
				if err != nil {
					return err
				}
				chosen = []capture.Status{status}
			}
			return captures.Delete(s, caller, chosen, out)
		},
		TextTable: captures.RemovedTable,
	}.Command()
}

type captureSetupArgs struct {
	Size       *menu.Size     `arg:"size,unlimited" unit:"MB" min:"4096" ask:"Maximum size of the capture file, in MB, or unlimited" help:"A capture ends at this file size; unlimited still ends before the disk is full."`
	Stop       *bool          `arg:"stop" ask:"Stop when this size is reached? If not, the oldest packets make room for new ones" help:"Whether a capture stops at its size (mode single) or goes on and keeps the last packets (mode circular)."`
	Packets    *int64         `arg:"packets,unlimited" min:"1" help:"A capture ends after so many packets that match the filter."`
	Interfaces []string       `arg:"interface" ask:"Interfaces to capture on, names or numbers separated by commas" help:"Names of interfaces separated by commas, or ALL."`
	Kind       string         `arg:"kind" choices:"PREDEFINED|CUSTOM|CLEAR" ask:"Choose how to filter; Enter keeps the present filter" help:"How the filter is given."`
	Ports      []string       `arg:"ports" ask:"Ports, separated by commas; empty for any" help:"Ports of the predefined filter."`
	Clients    []string       `arg:"clients" ask:"Client addresses, separated by commas; empty for any" help:"Client addresses of the predefined filter."`
	Servers    []string       `arg:"servers" ask:"Server addresses, separated by commas; empty for any" help:"Server addresses of the predefined filter."`
	Filter     *string        `arg:"filter,assisted" ask:"Filter expression as tcpdump takes it, or CLEAR for none" help:"A tcpdump filter such as \"host 192.0.2.1 and port 25\"; CLEAR for none."`
	Duration   *time.Duration `arg:"duration,unlimited" min:"1" max:"31536000" ask:"Time limit, such as 60s or 5m, or unlimited" help:"A capture ends after this time."`
	Management *bool          `arg:"management" ask:"Capture the packets of management sessions too?" help:"Keep the packets of management sessions."`
	captures.Options
}

func captureSetup(s captureService) *menu.Command {
	return menu.Spec[captureSetupArgs, capture.Settings]{
		Name:    "setup",
		Help:    "Change what captures start with.",
		Details: "The settings hold at once, for captures to come; no commit is needed.",
		Role:    menu.Operator,
		Shape:   menu.Object,
		Ask: func(_ context.Context, _ menu.Caller, a captureSetupArgs, q *menu.Question) error {
			askSetup(s, a, q)
			return nil
		},
		Check: func(ctx context.Context, _ menu.Caller, a captureSetupArgs, name string) error {
			switch name {
			case "filter":
				return s.CheckFilter(ctx, captures.Cleared(*a.Filter))
			case "ports":
				return checkEach(ctx, s, name, a.Ports, "port", "is not a port", "A port is a number up to 65535 or the name of a service")
			case "clients":
				return checkEach(ctx, s, name, a.Clients, "host", "is not an address", "Give IPv4 or IPv6 addresses, or names that can be looked up")
			case "servers":
				return checkEach(ctx, s, name, a.Servers, "host", "is not an address", "Give IPv4 or IPv6 addresses, or names that can be looked up")
			}
			return a.Options.Check(name)
		},
		Assist: func(_ context.Context, _ menu.Caller, _ captureSetupArgs, _, text string) menu.Completion {
			return captures.SuggestFilter(text, s.CaptureInterfaces())
		},
		Run: func(_ context.Context, caller menu.Caller, a captureSetupArgs, out *menu.Out[capture.Settings]) error {
			settings := s.CaptureSettings()
			a.apply(&settings)
			if err := s.SetCaptureSettings(caller, settings); err != nil {
				return err
			}
			return out.Record(s.CaptureSettings())
		},
		Text: captures.Settings,
	}.Command()
}

// checkEach checks the values of the predefined filter one by one, so that the one at fault is named and not a place in an expression
// that nobody typed. A value is one word: with more, it could be any expression.
func checkEach(ctx context.Context, s captureService, name string, values []string, primitive, fault, hint string) error {
	for _, v := range values {
		if strings.ContainsAny(v, " \t()") || s.CheckFilter(ctx, primitive+" "+v) != nil {
			return menu.Wrong(name, "%q %s", v, fault).WithHint("%s", hint)
		}
	}
	return nil
}

// askSetup shows the present settings as defaults, and asks for a filter in the way that was chosen.
func askSetup(s captureService, a captureSetupArgs, q *menu.Question) {
	present := s.CaptureSettings()
	switch q.Name {
	case "size":
		q.Default = "unlimited"
		if present.Limits.SizeBytes > 0 {
			q.Default = strings.TrimSuffix(menu.Size(present.Limits.SizeBytes).String(), "MB")
		}
	case "stop":
		// Rings and files that are appended to have more words of their own, and without a size nothing is reached.
		size := present.Limits.SizeBytes
		if a.Size != nil {
			size = int64(*a.Size)
		}
		q.Skip = size <= 0 || a.Mode != "" || present.Mode == capture.Ring || present.Mode == capture.Append
		q.Default = "Y"
		if present.Mode == capture.Circular {
			q.Default = "N"
		}
	case "duration":
		q.Default = "unlimited"
		if present.Limits.DurationSeconds > 0 {
			q.Default = menu.FormatDuration(time.Duration(present.Limits.DurationSeconds) * time.Second)
		}
	case "interface":
		captures.ChooseInterfaces(q, s.CaptureInterfaces(), present.Interfaces)
	case "kind":
		q.Text = "The filter is: " + captures.Filter(present.Filter) + "\n\n" + q.Text
		q.Keywords = true
		q.Choices = []menu.Choice{
			{Value: "PREDEFINED", Help: "Ports, clients and servers, asked one by one."},
			{Value: "CUSTOM", Help: "A filter expression as tcpdump takes it."},
			{Value: "CLEAR", Help: "No filter."},
		}
	case "ports", "clients", "servers":
		q.Skip = a.Kind != "PREDEFINED"
	case "filter":
		custom := a.Kind == "CUSTOM"
		q.Skip, q.Required, q.Default = !custom, custom, present.Filter
	case "management":
		q.Default = "N"
		if present.Management {
			q.Default = "Y"
		}
	}
}

// predefined is the expression for ports, clients and servers.
func (a captureSetupArgs) predefined() string {
	var parts []string
	for _, p := range []struct {
		primitive string
		values    []string
	}{{"port", a.Ports}, {"host", a.Clients}, {"host", a.Servers}} {
		var alternatives []string
		for _, v := range p.values {
			alternatives = append(alternatives, p.primitive+" "+v)
		}
		if len(alternatives) > 0 {
			parts = append(parts, "("+strings.Join(alternatives, " or ")+")")
		}
	}
	return strings.Join(parts, " and ")
}

func (a captureSetupArgs) apply(to *capture.Settings) {
	if a.Size != nil {
		to.Limits.SizeBytes = int64(*a.Size)
	}
	if a.Stop != nil {
		to.Mode, to.Rotation = capture.Circular, capture.Rotation{}
		if *a.Stop {
			to.Mode = capture.Single
		}
	}
	if a.Duration != nil {
		to.Limits.DurationSeconds = captures.Seconds(*a.Duration)
	}
	if a.Packets != nil {
		to.Limits.Packets = *a.Packets
	}
	if len(a.Interfaces) > 0 {
		to.Interfaces = a.Interfaces
	}
	if expression := a.predefined(); expression != "" || a.Kind == "CLEAR" || a.Kind == "PREDEFINED" {
		to.Filter = expression
	}
	if a.Filter != nil {
		to.Filter = captures.Cleared(*a.Filter)
	}
	a.Options.Apply(to)
	if a.Management != nil {
		to.Management = *a.Management
	}
}
