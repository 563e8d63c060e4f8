package etherconfig

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"diagsh/commands/shared/changes"
	"diagsh/internal/config"
	"diagsh/internal/menu"
)

// An mtuRow is the MTU of an interface as it will be after the caller's commit.
type mtuRow struct {
	Interface string `json:"interface"`
	MTU       int    `json:"mtu"`
	Default   bool   `json:"default"` // the configuration does not set it
	Pending   bool   `json:"pending"`
	Min       int    `json:"min"`
	Max       int    `json:"max"`
	Gone      bool   `json:"gone,omitempty"` // the machine does not have the interface

	vlan int
}

func mtu(s Services) *menu.Menu {
	rows := func(caller menu.Caller) ([]mtuRow, error) { return mtuRows(s.Configuration(caller)) }
	return &menu.Menu{
		Name:   "mtu",
		Help:   "View and configure the MTU.",
		Status: listStatus(rows, mtuLine, "This machine has no Ethernet interface."),
		Items:  []menu.Item{mtuEdit(s), listSpec("List the interfaces with their MTU.", rows, mtuTable).Command()},
	}
}

func mtuRows(view config.View) ([]mtuRow, error) {
	list, err := interfaces(view.Candidate)
	if err != nil {
		return nil, err
	}
	var rows []mtuRow
	for _, l := range list {
		at := config.MTUOf(l.Name)
		r := mtuRow{Interface: l.Name, MTU: l.MTU, Default: view.Candidate[at] == "",
			Pending: view.Candidate[at] != view.Running[at], Min: l.MinMTU, Max: l.MaxMTU, vlan: l.VLAN}
		if !r.Default {
			r.MTU = view.Candidate.MTU(l.Name)
		}
		rows = append(rows, r)
	}
	for _, name := range gone(view, "mtu", list) {
		at := config.MTUOf(name)
		rows = append(rows, mtuRow{Interface: name, MTU: view.Candidate.MTU(name), Default: view.Candidate[at] == "",
			Pending: view.Candidate[at] != view.Running[at], Gone: true})
	}
	return rows, nil
}

func mtuLine(r mtuRow) string {
	name := r.Interface
	if r.vlan != 0 {
		name = fmt.Sprintf("VLAN %d (%s)", r.vlan, r.Interface)
	}
	if r.Gone {
		name += " (not there)"
	}
	if r.Default && r.Pending {
		return name + " default mtu" + pending(true)
	}
	if r.Default {
		return fmt.Sprintf("%s default mtu %d", name, r.MTU)
	}
	return fmt.Sprintf("%s mtu %d%s", name, r.MTU, pending(r.Pending))
}

func mtuTable(w io.Writer, rows []mtuRow) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "INTERFACE\tMTU\tFROM\tTO\tSET")
	for _, r := range rows {
		set := "default"
		if !r.Default {
			set = "configured"
		}
		if r.Gone {
			fmt.Fprintf(t, "%s\t%s\t-\t-\t%s, not there%s\n", r.Interface,
				cmp.Or(strings.TrimPrefix(strconv.Itoa(r.MTU), "0"), "-"), set, pending(r.Pending))
			continue
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%s%s\n", r.Interface, r.MTU, r.Min, r.Max, set, pending(r.Pending))
	}
	t.Flush()
}

type mtuEditArgs struct {
	Interface string `arg:"interface,positional:1,required" ask:"Interface to edit" help:"Name of the interface."`
	MTU       string `arg:"mtu,positional:2,required" label:"MTU" ask:"New MTU, or default" help:"The largest packet in bytes; default for the machine's own."`
}

func mtuEdit(s Services) *menu.Command {
	return menu.Decl[mtuEditArgs, config.Change]{
		Name: "edit",
		Help: "Change the MTU of an interface.",
		Role: menu.Administrator,
		Ask: func(_ context.Context, caller menu.Caller, _ mtuEditArgs, q *menu.Question) error {
			if q.Name != "interface" {
				return nil
			}
			rows, err := mtuRows(s.Configuration(caller))
			for _, r := range rows {
				q.Choices = append(q.Choices, menu.Choice{Value: r.Interface, Label: mtuLine(r)})
			}
			return err
		},
		Check: func(_ context.Context, _ menu.Caller, a mtuEditArgs, name string) error {
			if n, err := strconv.Atoi(a.MTU); name == "mtu" && a.MTU != "default" && (err != nil || n < 1) {
				return menu.BadArgument("mtu", "%q is no MTU", a.MTU).
					WithHint("It is a whole number of bytes, such as 1500, or default")
			}
			return nil
		},
		Run: func(_ context.Context, caller menu.Caller, a mtuEditArgs, out *menu.Out[config.Change]) error {
			if a.MTU == "default" {
				a.MTU = ""
			}
			return edit(s, caller, out, func(d config.Document) { d.Set(config.MTUOf(a.Interface), a.MTU) })
		},
		TextTable: changes.Pending,
	}.Command()
}
