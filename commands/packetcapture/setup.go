package packetcapture

import (
	"context"
	"strings"
	"time"

	"diagsh/capture"
	"diagsh/commands/shared/captures"
	"diagsh/internal/menu"
)

type setupArgs struct {
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

func setupCommand(s captureService) *menu.Command {
	return menu.Decl[setupArgs, capture.Settings]{
		Name:    "setup",
		Help:    "Change what captures start with.",
		Details: "The settings hold at once, for captures to come; no commit is needed.",
		Role:    menu.Operator,
		Shape:   menu.Object,
		Ask: func(_ context.Context, _ menu.Caller, a setupArgs, q *menu.Question) error {
			askSetup(s, a, q)
			return nil
		},
		Check: func(ctx context.Context, _ menu.Caller, a setupArgs, name string) error {
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
		CompleteValue: func(_ context.Context, _ menu.Caller, _ setupArgs, _, text string) menu.Completion {
			return captures.SuggestFilter(text, s.CaptureInterfaces())
		},
		Run: func(_ context.Context, caller menu.Caller, a setupArgs, out *menu.Out[capture.Settings]) error {
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
			return menu.BadArgument(name, "%q %s", v, fault).WithHint("%s", hint)
		}
	}
	return nil
}

// askSetup shows the present settings as defaults, and asks for a filter in the way that was chosen.
func askSetup(s captureService, a setupArgs, q *menu.Question) {
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
func (a setupArgs) predefined() string {
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

func (a setupArgs) apply(to *capture.Settings) {
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
