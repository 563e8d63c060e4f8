package etherconfig

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"

	"diagsh/commands/shared/changes"
	"diagsh/internal/config"
	"diagsh/internal/menu"
)

// A vlanRow is a VLAN of the configuration.
type vlanRow struct {
	config.VLAN
	Pending bool `json:"pending"`
}

func vlan(s Services) *menu.Menu {
	rows := func(caller menu.Caller) ([]vlanRow, error) { return vlanRows(s.Configuration(caller)), nil }
	return &menu.Menu{
		Name:   "vlan",
		Help:   "View and configure VLANs.",
		Status: listStatus(rows, vlanLine, "There are no VLANs."),
		Items: []menu.Item{
			vlanNew(s),
			vlanEdit(s),
			vlanDelete(s),
			listSpec("List the VLANs.", rows, vlanTable).Command(),
		},
	}
}

func vlanRows(view config.View) []vlanRow {
	var rows []vlanRow
	for _, v := range view.Candidate.VLANs() {
		before, ok := view.Running.VLAN(v.Name)
		rows = append(rows, vlanRow{v, !ok || before != v})
	}
	return rows
}

func vlanLine(r vlanRow) string {
	return fmt.Sprintf("VLAN %d (%s)%s", r.ID, r.Parent, pending(r.Pending))
}

func vlanTable(w io.Writer, rows []vlanRow) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tVLAN\tINTERFACE")
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%d\t%s%s\n", r.Name, r.ID, r.Parent, pending(r.Pending))
	}
	t.Flush()
}

// vlanName returns the name of a VLAN's own interface.
func vlanName(parent string, id int) string { return parent + "." + strconv.Itoa(id) }

// chooseParent offers the interfaces that can carry a VLAN.
func chooseParent(s Services, caller menu.Caller, q *menu.Question) error {
	list, err := interfaces(s.Configuration(caller).Candidate)
	for _, l := range list {
		if l.Ethernet() {
			q.Choices = append(q.Choices, menu.Choice{Value: l.Name})
		}
	}
	if q.Default == "" && len(q.Choices) > 0 {
		q.Default = q.Choices[0].Value
	}
	return err
}

// chooseVLAN offers the VLANs of the configuration.
func chooseVLAN(s Services, caller menu.Caller, q *menu.Question) error {
	rows := vlanRows(s.Configuration(caller))
	if len(rows) == 0 {
		return menu.Errorf(menu.State, "There are no VLANs").WithHint("Make one with new")
	}
	for _, r := range rows {
		q.Choices = append(q.Choices, menu.Choice{Value: r.Name, Label: vlanLine(r)})
	}
	return nil
}

func noVLANs(s Services) func(context.Context, menu.Caller) bool {
	return func(_ context.Context, caller menu.Caller) bool { return len(vlanRows(s.Configuration(caller))) == 0 }
}

type vlanNewArgs struct {
	VLAN      int    `arg:"vlan,positional:1,required" label:"VLAN ID" ask:"VLAN ID for the interface, such as 34" min:"1" max:"4094" help:"The number in the packets' tags, from 1 to 4094."`
	Interface string `arg:"interface,positional:2,required" ask:"Ethernet interface for the VLAN" help:"The interface that carries it."`
}

func vlanNew(s Services) *menu.Command {
	return menu.Decl[vlanNewArgs, config.Change]{
		Name: "new",
		Help: "Create a new VLAN.",
		Role: menu.Administrator,
		Ask: func(_ context.Context, caller menu.Caller, _ vlanNewArgs, q *menu.Question) error {
			if q.Name == "interface" {
				return chooseParent(s, caller, q)
			}
			return nil
		},
		Run: func(_ context.Context, caller menu.Caller, a vlanNewArgs, out *menu.Out[config.Change]) error {
			name := vlanName(a.Interface, a.VLAN)
			if err := freeName(s.Configuration(caller).Candidate, name); err != nil {
				return err
			}
			return edit(s, caller, out,
				func(d config.Document) { d.SetVLAN(config.VLAN{Name: name, Parent: a.Interface, ID: a.VLAN}) })
		},
		TextTable: changes.Pending,
	}.Command()
}

// freeName returns an error if a VLAN's interface cannot have a name.
func freeName(d config.Document, name string) error {
	if _, exists := d.VLAN(name); exists {
		return menu.BadArgument("vlan", "The VLAN %s is there already", name)
	}
	if !config.PlainInterface(name) {
		return menu.BadArgument("vlan", "The name %s is longer than the 15 characters that Linux gives an interface",
			name).WithHint("loadconfig can give it another name")
	}
	return nil
}

type vlanEditArgs struct {
	Name      string `arg:"name,positional:1,required" ask:"VLAN to edit" help:"Name of the VLAN's interface, such as eth0.34."`
	VLAN      int    `arg:"vlan,positional:2,required" label:"VLAN ID" ask:"VLAN ID for the interface" min:"1" max:"4094" help:"The number in the packets' tags, from 1 to 4094."`
	Interface string `arg:"interface,positional:3,required" ask:"Ethernet interface for the VLAN" help:"The interface that carries it."`
}

func vlanEdit(s Services) *menu.Command {
	return menu.Decl[vlanEditArgs, config.Change]{
		Name:       "edit",
		Help:       "Change a VLAN.",
		Role:       menu.Administrator,
		HiddenFrom: noVLANs(s),
		Ask: func(_ context.Context, caller menu.Caller, a vlanEditArgs, q *menu.Question) error {
			if q.Name == "name" {
				return chooseVLAN(s, caller, q)
			}
			present, _ := s.Configuration(caller).Candidate.VLAN(a.Name)
			if q.Name == "vlan" {
				q.Default = strconv.Itoa(present.ID)
				return nil
			}
			q.Default = present.Parent
			return chooseParent(s, caller, q)
		},
		Run: func(_ context.Context, caller menu.Caller, a vlanEditArgs, out *menu.Out[config.Change]) error {
			d, name := s.Configuration(caller).Candidate, vlanName(a.Interface, a.VLAN)
			if present, _ := d.VLAN(a.Name); present.Parent != a.Interface || present.ID != a.VLAN {
				if err := freeName(d, name); err != nil {
					return err
				}
			} else {
				name = a.Name
			}
			return edit(s, caller, out, func(d config.Document) {
				mtu := d[config.MTUOf(a.Name)]
				d.DeleteVLAN(a.Name)
				d.SetVLAN(config.VLAN{Name: name, Parent: a.Interface, ID: a.VLAN})
				d.Set(config.MTUOf(name), mtu)
			})
		},
		TextTable: changes.Pending,
	}.Command()
}

type vlanDeleteArgs struct {
	Name string `arg:"name,positional:1,required" ask:"VLAN to delete" help:"Name of the VLAN's interface, such as eth0.34."`
}

func vlanDelete(s Services) *menu.Command {
	return menu.Decl[vlanDeleteArgs, config.Change]{
		Name:       "delete",
		Help:       "Remove a VLAN.",
		Role:       menu.Administrator,
		HiddenFrom: noVLANs(s),
		Ask: func(_ context.Context, caller menu.Caller, _ vlanDeleteArgs, q *menu.Question) error {
			return chooseVLAN(s, caller, q)
		},
		Run: func(_ context.Context, caller menu.Caller, a vlanDeleteArgs, out *menu.Out[config.Change]) error {
			return edit(s, caller, out, func(d config.Document) { d.DeleteVLAN(a.Name) })
		},
		TextTable: changes.Pending,
	}.Command()
}
