package commands

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"

	"diagsh/capture"
	"diagsh/capture/filter"
	"diagsh/commands/shared/captures"
	"diagsh/commands/shared/tables"
	links "diagsh/diag/interfaces"
	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// A filterService lists the interfaces that filters apply to, and checks expressions.
type filterService interface {
	CaptureInterfaces() []capture.InterfaceInfo
	CheckFilter(ctx context.Context, expression string) error
	FilterNames() filter.Names
	SavedFilters(user string) []access.SavedFilter
	SaveFilter(user string, f access.SavedFilter) error
	DeleteFilter(user, name string) error
}

// filterMenu returns the menu about the language of capture filters. Nothing is captured here.
func filterMenu(s filterService) *menu.Menu {
	return &menu.Menu{
		Name:  "filter",
		Help:  "Understand and build capture filters.",
		Items: []menu.Item{filterExplain(s), filterBuild(s), filterSave(s), filterList(s), filterDelete(s)},
	}
}

// An explained filter is a filter in words and as the kernel's program.
type explained struct {
	Expression   string    `json:"expression"`
	Meaning      menu.Text `json:"meaning"`
	LinkType     string    `json:"linkType"`
	Instructions int       `json:"instructions"`
	Listing      menu.Text `json:"listing"`
	Kernel       bool      `json:"kernel"`
	KernelReason string    `json:"kernelReason,omitempty"`
}

type filterExplainArgs struct {
	Expression string `arg:"expression,positional:1,required,assisted" ask:"Filter expression as tcpdump takes it" help:"A tcpdump filter such as \"host 192.0.2.1 and port 25\"; in a line of commands, in quotes."`
	LinkType   string `arg:"linktype" label:"Link type" choices:"ethernet|raw" default:"ethernet" help:"What the packets begin with."`
}

func filterExplain(s filterService) *menu.Command {
	return menu.Decl[filterExplainArgs, explained]{
		Name:    "explain",
		Help:    "Say in words what a filter matches, and show its program.",
		Details: "The program is what the kernel runs on each packet, listed as tcpdump -d does.",
		Role:    menu.ReadOnly,
		Shape:   menu.Object,
		CompleteValue: func(_ context.Context, _ menu.Caller, _ filterExplainArgs, _, text string) menu.Completion {
			return captures.SuggestFilter(text, s.CaptureInterfaces())
		},
		Run: func(ctx context.Context, _ menu.Caller, a filterExplainArgs, out *menu.Out[explained]) error {
			target := filter.Target{LinkType: filter.EN10MB, Kind: filter.Live, Names: s.FilterNames()}
			if a.LinkType == "raw" {
				target.LinkType = filter.Raw
			}
			meaning, err := filter.Explain(a.Expression)
			if err != nil {
				return filterFault(err)
			}
			program, err := filter.CompileContext(ctx, a.Expression, target)
			if err != nil {
				return filterFault(err)
			}
			ready, why := program.KernelReady()
			return out.Record(explained{Expression: a.Expression, Meaning: menu.Text(strings.TrimRight(meaning, "\n")),
				LinkType: target.LinkType.String(), Instructions: len(program.Instructions),
				Listing: menu.Text(program.Listing()), Kernel: ready, KernelReason: why})
		},
		Text: func(w io.Writer, e explained) {
			fmt.Fprintf(w, "Matches:\n%s\n\nProgram for %s, %d instructions:\n%s", indented(string(e.Meaning)),
				e.LinkType, e.Instructions, e.Listing)
			if !e.Kernel {
				fmt.Fprintf(w, "The kernel does not take it: %s.\n", e.KernelReason)
			}
		},
	}.Command()
}

func indented(text string) string { return "  " + strings.ReplaceAll(text, "\n", "\n  ") }

// filterFault returns the error for users that stands for a compiler's.
func filterFault(err error) error {
	var f *filter.Error
	if !errors.As(err, &f) {
		return err
	}
	e := menu.BadArgument("expression", "The filter is wrong at character %d: %s", f.Character(),
		strings.TrimSuffix(f.Message, "."))
	e.Hint = menu.Sentence(f.Hint)
	return e
}

// A built filter is a structured filter as an expression.
type built struct {
	Expression string `json:"expression"`
}

type filterBuildArgs struct {
	Protocol      string `arg:"protocol" ask:"Protocol (TCP, UDP, ICMP or a number; Enter for any)" help:"TCP, UDP, ICMP or a number; several with ;, not with !."`
	LocalAddress  string `arg:"localaddress" label:"Local address" ask:"Local address (Enter for any of this host)" help:"Addresses of this side: single, a-b, a/len, several with ;, not with !."`
	LocalPort     string `arg:"localport" label:"Local port" ask:"Local port (Enter for any)" help:"Ports of this side: single, a-b, several with ;, not with !."`
	RemoteAddress string `arg:"remoteaddress" label:"Remote address" ask:"Remote address (Enter for any)" help:"Addresses of the other side: single, a-b, a/len, several with ;, not with !."`
	RemotePort    string `arg:"remoteport" label:"Remote port" ask:"Remote port (Enter for any)" help:"Ports of the other side: single, a-b, several with ;, not with !."`
	EthernetType  string `arg:"ethernettype" label:"Ethernet type" help:"IPv4, IPv6, ARP or a number."`
	MAC           string `arg:"ethernetaddress" label:"Ethernet address" alias:"mac" help:"An Ethernet address at either end."`
	Interface     string `arg:"captureinterface" label:"Capture interface" alias:"interface" help:"The interface, in captures on several."`
	Filters       string `arg:"filters" help:"Several such filters as a JSON array of objects; a packet that any of them matches is taken."`
}

func filterBuild(s filterService) *menu.Command {
	return menu.Decl[filterBuildArgs, built]{
		Name:    "build",
		Help:    "Write a filter from protocol, addresses and ports of both sides.",
		Details: "Local and remote are relative to this host, so both directions of a conversation match.",
		Role:    menu.ReadOnly,
		Shape:   menu.Object,
		Run: func(ctx context.Context, _ menu.Caller, a filterBuildArgs, out *menu.Out[built]) error {
			filters, err := a.structured()
			if err != nil {
				return err
			}
			expression, err := filter.StructuredExpression(filters, thisHost(s.CaptureInterfaces()))
			var field *filter.FieldError
			if errors.As(err, &field) {
				name := field.Field
				if a.Filters == "" {
					name = strings.ToLower(name) // the argument
				}
				e := menu.BadArgument(name, "%s %q: %s", name, field.Value, field.Message)
				if field.Replacement != "" {
					e.Hint = "Try " + field.Replacement
				}
				return e
			}
			if err != nil {
				return err
			}
			if err := s.CheckFilter(ctx, expression); err != nil {
				return err
			}
			return out.Record(built{expression})
		},
		Text: func(w io.Writer, b built) { fmt.Fprintln(w, captures.Filter(b.Expression)) },
	}.Command()
}

// A givenFilter is a structured filter in JSON. It also takes the names that Azure Network Watcher
// has for the two addresses.
type givenFilter struct {
	filter.Structured
	LocalIPAddress  string `json:"localIPAddress"`
	RemoteIPAddress string `json:"remoteIPAddress"`
}

func (a filterBuildArgs) structured() ([]filter.Structured, error) {
	if a.Filters == "" {
		return []filter.Structured{{Protocol: a.Protocol, LocalAddress: a.LocalAddress, LocalPort: a.LocalPort,
			RemoteAddress: a.RemoteAddress, RemotePort: a.RemotePort, EthernetType: a.EthernetType,
			EthernetAddress: a.MAC, CaptureInterface: a.Interface}}, nil
	}
	decoder := json.NewDecoder(strings.NewReader(a.Filters))
	decoder.DisallowUnknownFields()
	var given []givenFilter
	if err := decoder.Decode(&given); err != nil {
		return nil, menu.BadArgument("filters", "That is not a JSON array of filters").
			WithHint(`It is such as [{"protocol":"TCP","remotePort":"443"},{"protocol":"UDP"}]`)
	}
	list := make([]filter.Structured, len(given))
	for i, g := range given {
		list[i] = g.Structured
		list[i].LocalAddress, list[i].RemoteAddress = cmp.Or(g.LocalAddress, g.LocalIPAddress),
			cmp.Or(g.RemoteAddress, g.RemoteIPAddress)
	}
	return list, nil
}

// thisHost returns the addresses that a structured filter calls local.
func thisHost(interfaces []capture.InterfaceInfo) filter.Host {
	host := filter.Host{Interfaces: links.AltNames()}
	if host.Interfaces == nil {
		host.Interfaces = map[string]int{}
	}
	for _, i := range interfaces {
		if link, err := net.InterfaceByName(i.Name); err == nil {
			host.Interfaces[i.Name] = link.Index
		}
		for _, text := range i.Addresses {
			text, _, _ = strings.Cut(text, "/")
			if a, err := netip.ParseAddr(text); err == nil {
				host.Addresses = append(host.Addresses, a)
			}
		}
	}
	return host
}

type filterSaveArgs struct {
	Name       string `arg:"name,positional:1,required" ask:"Name to keep it by" help:"A name, which is yours alone; a filter of the same name is replaced."`
	Expression string `arg:"expression,positional:2,required,assisted" ask:"Filter expression as tcpdump takes it" help:"A tcpdump filter such as \"host 192.0.2.1 and port 25\"; in a line of commands, in quotes."`
}

func filterSave(s filterService) *menu.Command {
	return menu.Decl[filterSaveArgs, access.SavedFilter]{
		Name:    "save",
		Help:    "Keep a filter by a name.",
		Details: "Each user has filters of their own. The page offers them where a filter is typed.",
		Role:    menu.Operator,
		Shape:   menu.Object,
		CompleteValue: func(_ context.Context, _ menu.Caller, _ filterSaveArgs, _, text string) menu.Completion {
			return captures.SuggestFilter(text, s.CaptureInterfaces())
		},
		Check: func(ctx context.Context, _ menu.Caller, a filterSaveArgs, name string) error {
			if name != "expression" {
				return nil
			}
			if err := s.CheckFilter(ctx, a.Expression); err != nil {
				return menu.Blame("expression", err)
			}
			return nil
		},
		Run: func(_ context.Context, caller menu.Caller, a filterSaveArgs, out *menu.Out[access.SavedFilter]) error {
			f := access.SavedFilter{Name: strings.TrimSpace(a.Name), Expression: strings.TrimSpace(a.Expression)}
			if err := s.SaveFilter(caller.User, f); err != nil {
				return err
			}
			return out.Record(f)
		},
		Text: func(w io.Writer, f access.SavedFilter) { fmt.Fprintf(w, "%s is kept: %s\n", f.Name, f.Expression) },
	}.Command()
}

func filterList(s filterService) *menu.Command {
	return menu.Decl[menu.NoArgs, access.SavedFilter]{
		Name: "list",
		Help: "List the filters that you keep.",
		Role: menu.Operator,
		Run: func(_ context.Context, caller menu.Caller, _ menu.NoArgs, out *menu.Out[access.SavedFilter]) error {
			return out.Records(s.SavedFilters(caller.User))
		},
		TextTable: func(w io.Writer, list []access.SavedFilter) {
			if len(list) == 0 {
				fmt.Fprintln(w, "You keep no filter.")
				return
			}
			t := tables.Table{Head: []string{"NAME", "FILTER"}}
			for _, f := range list {
				t.Add(f.Name, f.Expression)
			}
			t.Write(w)
		},
	}.Command()
}

type filterDeleteArgs struct {
	Name string `arg:"name,positional:1,required" ask:"Filter to delete" help:"Name of a filter that you keep."`
}

func filterDelete(s filterService) *menu.Command {
	return menu.Decl[filterDeleteArgs, access.SavedFilter]{
		Name:  "delete",
		Help:  "Delete a filter that you keep.",
		Role:  menu.Operator,
		Shape: menu.Object,
		Ask: func(_ context.Context, caller menu.Caller, _ filterDeleteArgs, q *menu.Question) error {
			for _, f := range s.SavedFilters(caller.User) {
				q.Choices = append(q.Choices, menu.Choice{Value: f.Name, Help: f.Expression, AnyCase: true})
			}
			return nil
		},
		Run: func(_ context.Context, caller menu.Caller, a filterDeleteArgs, out *menu.Out[access.SavedFilter]) error {
			kept := s.SavedFilters(caller.User)
			if err := s.DeleteFilter(caller.User, a.Name); err != nil {
				return err
			}
			deleted := access.SavedFilter{Name: a.Name}
			if i := slices.IndexFunc(kept, func(f access.SavedFilter) bool { return f.Name == a.Name }); i >= 0 {
				deleted = kept[i]
			}
			return out.Record(deleted)
		},
		Text: func(w io.Writer, f access.SavedFilter) { fmt.Fprintf(w, "%s is deleted.\n", f.Name) },
	}.Command()
}
