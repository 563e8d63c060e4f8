// Package etherconfig is the menu etherconfig: the appliance's Ethernet interfaces. Its changes are
// pending until commit.
package etherconfig

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"diagsh/commands/shared/changes"
	"diagsh/internal/config"
	"diagsh/internal/menu"
	"diagsh/internal/netconf"
)

// Services is what the menu's commands need from the running appliance.
type Services interface {
	changes.Editor
}

// Menu returns etherconfig.
func Menu(s Services) *menu.Menu {
	return &menu.Menu{
		Name: "etherconfig",
		Help: "Configure Ethernet interfaces.",
		Items: []menu.Item{
			media(s),
			vlan(s),
			loopback(s),
			mtu(s),
			multicast(s),
		},
	}
}

// interfaces returns the links of this machine that the menu is about, and after them the VLANs of
// d.
func interfaces(d config.Document) ([]netconf.Link, error) {
	all, err := netconf.List()
	if err != nil {
		return nil, menu.Errorf(menu.Failed, "The interfaces of this machine cannot be read")
	}
	list := slices.DeleteFunc(all, func(l netconf.Link) bool {
		_, ours := d.VLAN(l.Name)
		return l.Loopback || l.MAC == "" || l.VLAN != 0 && ours
	})
	slices.SortFunc(list, func(a, b netconf.Link) int { return strings.Compare(a.Name, b.Name) })
	for _, v := range d.VLANs() {
		made := netconf.Link{Name: v.Name, Parent: v.Parent, VLAN: v.ID}
		if i := slices.IndexFunc(list, func(l netconf.Link) bool { return l.Name == v.Parent }); i >= 0 {
			made.MTU, made.MinMTU, made.MaxMTU, made.MAC = list[i].MTU, list[i].MinMTU, list[i].MTU, list[i].MAC
		}
		list = append(list, made)
	}
	return list, nil
}

// gone returns the interfaces that have a setting although this machine does not have them. A user
// may want to take the setting back.
func gone(view config.View, field string, there []netconf.Link) (names []string) {
	for _, d := range []config.Document{view.Candidate, view.Running} {
		for _, p := range d.Paths() {
			if p.Section == "interfaces" && p.Field == field && !slices.Contains(names, p.Name) &&
				!slices.ContainsFunc(there, func(l netconf.Link) bool { return l.Name == p.Name }) {
				names = append(names, p.Name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// listStatus returns the Status of a menu with a list: what its list command shows, with numbers.
func listStatus[R any](
	rows func(menu.Caller) ([]R, error), line func(R) string, none string,
) func(context.Context, menu.Caller, io.Writer) error {
	return func(_ context.Context, caller menu.Caller, w io.Writer) error {
		list, err := rows(caller)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			fmt.Fprintf(w, "%s\n", none)
		}
		for i, r := range list {
			fmt.Fprintf(w, "%d. %s\n", i+1, line(r))
		}
		return nil
	}
}

// listSpec returns the declaration of a menu's list as a command, for lines and programs.
func listSpec[R any](
	help string, rows func(menu.Caller) ([]R, error), table func(io.Writer, []R),
) menu.Decl[menu.NoArgs, R] {
	return menu.Decl[menu.NoArgs, R]{
		Name: "list",
		Help: help,
		Role: menu.ReadOnly,
		Run: func(_ context.Context, caller menu.Caller, _ menu.NoArgs, out *menu.Out[R]) error {
			list, err := rows(caller)
			if err != nil {
				return err
			}
			return out.Records(list)
		},
		TextTable: table,
	}
}

// statusAbove returns the Status of a menu about one setting: what its status command shows.
func statusAbove[R any](
	s Services, now func(config.View) R, text func(io.Writer, R),
) func(context.Context, menu.Caller, io.Writer) error {
	return func(_ context.Context, caller menu.Caller, w io.Writer) error {
		text(w, now(s.Configuration(caller)))
		return nil
	}
}

// statusSpec returns the declaration of the status command of a menu about one setting.
func statusSpec[R any](
	s Services, help string, now func(config.View) R, text func(io.Writer, R),
) menu.Decl[menu.NoArgs, R] {
	return menu.Decl[menu.NoArgs, R]{
		Name:  "status",
		Help:  help,
		Role:  menu.ReadOnly,
		Shape: menu.Object,
		Run: func(_ context.Context, caller menu.Caller, _ menu.NoArgs, out *menu.Out[R]) error {
			return out.Record(now(s.Configuration(caller)))
		},
		Text: text,
	}
}

// setSpec returns the declaration of a verb that gives a setting one value. The verb is hidden if
// is reports that the setting has that value already.
func setSpec(
	s Services, name, help string, path config.Path, value string, is func(config.View) bool,
) menu.Decl[menu.NoArgs, config.Change] {
	return menu.Decl[menu.NoArgs, config.Change]{
		Name:       name,
		Help:       help,
		Role:       menu.Administrator,
		HiddenFrom: func(_ context.Context, caller menu.Caller) bool { return is(s.Configuration(caller)) },
		Run: func(_ context.Context, caller menu.Caller, _ menu.NoArgs, out *menu.Out[config.Change]) error {
			return edit(s, caller, out, func(d config.Document) { d.Set(path, value) })
		},
		TextTable: changes.Pending,
	}
}

// pending returns the mark of a value that is not committed yet, or "".
func pending(is bool) string {
	if is {
		return " (pending)"
	}
	return ""
}

// edit changes the caller's pending configuration and yields the changes.
func edit(s Services, caller menu.Caller, out *menu.Out[config.Change], change func(config.Document)) error {
	return changes.Edit(s, caller, out, func(d config.Document) error {
		change(d)
		return nil
	})
}
