// Package etherconfig is the menu etherconfig: the appliance's Ethernet interfaces. Its changes are pending until commit.
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

// Menu is etherconfig.
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

// interfaces lists the links of this machine that the menu is about, beside the VLANs that are pending.
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

// gone are the interfaces that have a setting although this machine does not have them (any more), so that it can be taken back.
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

// listStatus is the list above the verbs of a menu: what its list command shows, with numbers.
func listStatus[R any](rows func(menu.Caller) ([]R, error), line func(R) string, none string) func(context.Context, menu.Caller, io.Writer) error {
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

// listArgs are those of a list: none.
type listArgs struct{}

// listCommand is the list of a menu as a command, so that a line and a program can have it.
func listCommand[R any](help string, rows func(menu.Caller) ([]R, error), table func(io.Writer, []R)) *menu.Command {
	return menu.Spec[listArgs, R]{
		Name: "list",
		Help: help,
		Role: menu.ReadOnly,
		Run: func(_ context.Context, caller menu.Caller, _ listArgs, out *menu.Out[R]) error {
			list, err := rows(caller)
			if err != nil {
				return err
			}
			for _, r := range list {
				if err := out.Record(r); err != nil {
					return err
				}
			}
			return nil
		},
		TextTable: table,
	}.Command()
}

// pending marks what is not committed yet.
func pending(is bool) string {
	if is {
		return " (pending)"
	}
	return ""
}

// edit changes the pending configuration.
func edit(s Services, caller menu.Caller, out *menu.Out[config.Change], change func(config.Document)) error {
	return changes.Edit(s, caller, out, func(d config.Document) error {
		change(d)
		return nil
	})
}
