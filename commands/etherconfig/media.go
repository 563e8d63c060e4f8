package etherconfig

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"diagsh/commands/shared/changes"
	"diagsh/commands/shared/tables"
	"diagsh/internal/config"
	"diagsh/internal/menu"
)

// A mediaRow is an interface with the media of its link.
type mediaRow struct {
	Interface string   `json:"interface"`
	MAC       string   `json:"mac"`
	Media     string   `json:"media"` // as it will be after the caller's commit; empty where the driver knows none
	Pending   bool     `json:"pending"`
	Supported []string `json:"supported"`
	SpeedMbit int      `json:"speedMbit"`
	Duplex    string   `json:"duplex"`
	Gone      bool     `json:"gone,omitempty"` // the machine does not have the interface
}

func media(s Services) *menu.Menu {
	rows := func(caller menu.Caller) ([]mediaRow, error) { return mediaRows(s.Configuration(caller)) }
	return &menu.Menu{
		Name:   "media",
		Help:   "View and edit Ethernet media settings.",
		Status: listStatus(rows, mediaLine, "This machine has no Ethernet interface."),
		Items: []menu.Item{mediaEdit(s),
			listSpec("List the interfaces with their media.", rows, mediaTable).Command()},
	}
}

func mediaRows(view config.View) ([]mediaRow, error) {
	list, err := interfaces(view.Candidate)
	if err != nil {
		return nil, err
	}
	var rows []mediaRow
	for _, l := range list {
		if l.VLAN != 0 {
			continue
		}
		at := config.MediaOf(l.Name)
		r := mediaRow{Interface: l.Name, MAC: l.MAC, Supported: []string{},
			Pending: view.Candidate[at] != view.Running[at]}
		if l.Media != nil {
			r.Media, r.Supported, r.SpeedMbit, r.Duplex = l.Media.Current, l.Media.Supported,
				l.Media.SpeedMbit, l.Media.Duplex
		}
		if wanted := view.Candidate[at]; wanted != "" {
			r.Media = wanted
		}
		rows = append(rows, r)
	}
	for _, name := range gone(view, "media", list) {
		at := config.MediaOf(name)
		rows = append(rows, mediaRow{Interface: name, Media: view.Candidate[at],
			Pending: view.Candidate[at] != view.Running[at], Supported: []string{}, Gone: true})
	}
	return rows, nil
}

func mediaLine(r mediaRow) string {
	now := ""
	if r.SpeedMbit > 0 {
		now = fmt.Sprintf(": <%d Mbit/s %s-duplex>", r.SpeedMbit, r.Duplex)
	}
	medium := r.Media
	if medium == "" {
		medium = "unknown"
	}
	if r.Gone {
		return fmt.Sprintf("%s (%s) not there%s", r.Interface, cmp.Or(r.Media, "default"), pending(r.Pending))
	}
	return fmt.Sprintf("%s (%s%s)%s %s", r.Interface, medium, now, pending(r.Pending), r.MAC)
}

func mediaTable(w io.Writer, rows []mediaRow) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "INTERFACE\tMAC\tMEDIA\tSPEED\tDUPLEX\tSUPPORTED")
	for _, r := range rows {
		speed := "-"
		if r.SpeedMbit > 0 {
			speed = fmt.Sprint(r.SpeedMbit)
		}
		if r.Gone {
			fmt.Fprintf(t, "%s\tnot there\t%s%s\t-\t-\t-\n", r.Interface, tables.OrDash(r.Media), pending(r.Pending))
			continue
		}
		fmt.Fprintf(t, "%s\t%s\t%s%s\t%s\t%s\t%s\n", r.Interface, r.MAC, tables.OrDash(r.Media), pending(r.Pending),
			speed, tables.OrDash(r.Duplex), tables.OrDash(strings.Join(r.Supported, " ")))
	}
	t.Flush()
}

type mediaEditArgs struct {
	Interface string `arg:"interface,positional:1,required" ask:"Interface to edit" help:"Name of the interface."`
	Media     string `arg:"media,positional:2,required" ask:"Media" help:"One of the modes that the driver offers, or autoselect; default for an interface that is gone."`
}

func mediaEdit(s Services) *menu.Command {
	return menu.Decl[mediaEditArgs, config.Change]{
		Name: "edit",
		Help: "Change the speed and duplex of an interface.",
		Role: menu.Administrator,
		Ask: func(_ context.Context, caller menu.Caller, a mediaEditArgs, q *menu.Question) error {
			rows, err := mediaRows(s.Configuration(caller))
			if err != nil {
				return err
			}
			for _, r := range rows {
				switch {
				case q.Name == "interface":
					q.Choices = append(q.Choices, menu.Choice{Value: r.Interface, Label: mediaLine(r)})
				case r.Interface != a.Interface:
				case r.Gone:
					q.Default = "default"
					q.Choices = append(q.Choices,
						menu.Choice{Value: "default", Label: "default (the setting is taken back)", AnyCase: true})
				case len(r.Supported) == 0:
					return &menu.Error{Code: menu.Unsupported, Argument: "interface",
						Message: "The driver of " + r.Interface + " offers no choice of media"}
				default:
					q.Default = r.Media
					for _, m := range r.Supported {
						q.Choices = append(q.Choices, menu.Choice{Value: m, AnyCase: true})
					}
				}
			}
			return nil
		},
		Run: func(_ context.Context, caller menu.Caller, a mediaEditArgs, out *menu.Out[config.Change]) error {
			if a.Media == "default" {
				a.Media = ""
			}
			return edit(s, caller, out, func(d config.Document) { d.Set(config.MediaOf(a.Interface), a.Media) })
		},
		TextTable: changes.Pending,
	}.Command()
}
