package packetcapture

import (
	"context"
	"slices"
	"strings"
	"time"

	"diagsh/capture"
	"diagsh/commands/shared/captures"
	"diagsh/internal/access"
	"diagsh/internal/menu"
)

type setupArgs struct {
	capture.Partial
	Stop    *bool    `arg:"stop" help:"Whether a capture stops at its size (mode single) or continues and keeps the last packets (mode circular)."`
	Kind    string   `arg:"kind" choices:"PREDEFINED|ENDS|CUSTOM|CLEAR" help:"How the filter is given."`
	Ports   []string `arg:"ports" help:"Ports of the predefined filter."`
	Clients []string `arg:"clients" help:"Client addresses of the predefined filter."`
	Servers []string `arg:"servers" help:"Server addresses of the predefined filter."`
}

var setupDialogue = []menu.Asked{
	{Name: "sizebytes", Text: "Maximum size of the capture file, in MB, or unlimited", Unit: "MB"},
	{Name: "stop", Text: "Stop when this size is reached? If not, the oldest packets make room for new ones"},
	{Name: "interfaces", Text: "Interfaces to capture on, names or numbers separated by commas"},
	{Name: "kind", Text: "Choose how to filter; Enter keeps the present filter"},
	{Name: "ports", Text: "Ports, separated by commas; empty for any"},
	{Name: "clients", Text: "Client addresses, separated by commas; empty for any"},
	{Name: "servers", Text: "Server addresses, separated by commas; empty for any"},
	{Name: "filters", Text: "Protocol, local and remote ends"},
	{Name: "filter", Text: "Filter expression as tcpdump takes it, or CLEAR for none"},
	{Name: "durationseconds", Text: "Time limit, such as 60s or 5m, or unlimited"},
	{Name: "management", Text: "Capture the packets of management sessions too?"},
}

func setupCommand(s captureService) *menu.Command {
	return menu.Decl[setupArgs, capture.Settings]{
		Name:    "setup",
		Help:    "Change what captures start with.",
		Details: "The settings hold at once, for captures to come; no commit is needed.",
		Role:    menu.Operator,
		Resources: []menu.Resource{
			{Method: "PUT", Path: "capture-settings", Tagged: true, Help: "Change what captures start with; what is left out stays."},
			{Method: "PATCH", Path: "capture-settings", Tagged: true},
		},
		Shape: menu.Object,

		Dialogue: setupDialogue,
		Ask: func(_ context.Context, _ menu.Caller, a setupArgs, q *menu.Question) error {
			if q.Name == "filters" && a.Kind == "ENDS" {
				q.Required = true // without them it would be a choice of no filter
				return captures.AskFilters(q)
			}
			askSetup(s, a, q)
			return nil
		},
		Check: func(ctx context.Context, _ menu.Caller, a setupArgs, name string) error {
			switch name {
			case "filter":
				return s.CheckFilter(ctx, captures.Cleared(a.Filter))
			case "ports":
				return checkEach(ctx, s, name, a.Ports, "port", "is not a port",
					"A port is a number up to 65535 or the name of a service")
			case "clients":
				return checkEach(ctx, s, name, a.Clients, "host", "is not an address",
					"Give IPv4 or IPv6 addresses, or names that can be looked up")
			case "servers":
				return checkEach(ctx, s, name, a.Servers, "host", "is not an address",
					"Give IPv4 or IPv6 addresses, or names that can be looked up")
			case "scenario":
				return checkScenario(s, a.Scenario)
			}
			return captures.CheckOption(a.Options, name)
		},
		CompleteValue: func(_ context.Context, _ menu.Caller, _ setupArgs, _, text string) menu.Completion {
			return captures.SuggestFilter(text, s.CaptureInterfaces())
		},
		Suggest: func(_ context.Context, _ menu.Caller, _ setupArgs, argument, _ string) []menu.Choice {
			return suggestScenario(s, argument)
		},
		Run: func(_ context.Context, caller menu.Caller, a setupArgs, out *menu.Out[capture.Settings]) error {
			if a.Kind == "PREDEFINED" && !a.saysPredefined() {
				return menu.BadArgument("kind", "PREDEFINED is a filter of ports, clients and servers, and none of them is given").
					WithHint("Write such as: kind PREDEFINED ports 80,443; kind CLEAR is no filter")
			}
			if err := s.SetCaptureSettings(caller, a.given()); err != nil {
				return err
			}
			return out.Record(s.CaptureSettings())
		},
		Text: captures.Settings,
	}.Command()
}

// checkEach checks the values of the predefined filter one by one. So an error names the wrong
// value, and not a place in an expression that the user has not typed. A value must be one word:
// with more it could be any expression.
func checkEach(
	ctx context.Context, s captureService, name string, values []string, primitive, fault, hint string,
) error {
	for _, v := range values {
		if strings.ContainsAny(v, " \t()") || s.CheckFilter(ctx, primitive+" "+v) != nil {
			return menu.BadArgument(name, "%q %s", v, fault).WithHint("%s", hint)
		}
	}
	return nil
}

// askSetup prepares a question of setup: the present settings are the defaults, and only the
// questions for the chosen form of filter are asked.
func askSetup(s captureService, a setupArgs, q *menu.Question) {
	present := s.CaptureSettings()
	switch q.Name {
	case "sizebytes":
		q.Default = "unlimited"
		if present.Limits.SizeBytes > 0 {
			q.Default = strings.TrimSuffix(menu.Size(present.Limits.SizeBytes).String(), "MB")
		}
	case "stop":
		// Without a size none is reached. The modes ring and append have arguments of their own.
		size := present.Limits.SizeBytes
		if a.Gives("sizeBytes") {
			size = a.Limits.SizeBytes
		}
		q.Skip = size <= 0 || a.Mode != "" || present.Mode == capture.Ring || present.Mode == capture.Append
		q.Default = "Y"
		if present.Mode == capture.Circular {
			q.Default = "N"
		}
	case "durationseconds":
		q.Default = "unlimited"
		if present.Limits.DurationSeconds > 0 {
			q.Default = menu.FormatDuration(time.Duration(present.Limits.DurationSeconds) * time.Second)
		}
	case "interfaces":
		captures.ChooseInterfaces(q, s.CaptureInterfaces(), present.Interfaces)
	case "kind":
		q.Text = "The filter is: " + captures.BothFilters(present.Options) + "\n\n" + q.Text
		q.Keywords = true
		q.Choices = []menu.Choice{
			{Value: "PREDEFINED", Help: "Ports, clients and servers, asked one by one."},
			{Value: "ENDS", Help: "Protocol, addresses and ports of both ends, asked one by one; several."},
			{Value: "CUSTOM", Help: "A filter expression as tcpdump takes it."},
			{Value: "CLEAR", Help: "No filter."},
		}
	case "ports", "clients", "servers":
		q.Skip = a.Kind != "PREDEFINED"
	case "filters":
		q.Skip = true // ENDS asks
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

// saysPredefined reports whether something of the predefined filter is given, if only that it is any,
// as empty answers say.
func (a setupArgs) saysPredefined() bool {
	return slices.ContainsFunc(a.Given, func(name string) bool { return name == "ports" || name == "clients" || name == "servers" })
}

// predefined returns the expression for ports, clients and servers.
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

// given returns the settings that the arguments change.
func (a setupArgs) given() capture.Partial {
	p := a.Partial
	if a.Stop != nil && p.Mode == "" {
		p.Mode = capture.Circular
		if *a.Stop {
			p.Mode = capture.Single
		}
	}
	if strings.EqualFold(p.Scenario, access.NoScenario) {
		p.Scenario, p.Given = "", append(p.Given, "scenario")
	}
	p.Process = captures.OfAll(p.Process)
	if p.Gives("filter") {
		p.Filter = captures.Cleared(p.Filter)
	} else if a.Kind == "CLEAR" || a.Kind == "PREDEFINED" || a.predefined() != "" {
		p.Filter, p.Given = a.predefined(), append(p.Given, "filter")
	}
	// A way to filter that is chosen is the only one, unless another is given beside it.
	if a.Kind != "" && !p.Gives("filters") {
		p.Given = append(p.Given, "filters")
	}
	if a.Kind == "ENDS" && !p.Gives("filter") {
		p.Given = append(p.Given, "filter")
	}
	return p
}
