package portlog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"diagsh/diag/ports"
	"diagsh/diag/users"
	"diagsh/internal/menu"
)

type setupArgs struct{ ports.PartialLog }

var setupDialogue = []menu.Asked{
	{Name: "sizebytes", Text: "Maximum size of all files together, in MB", Unit: "MB"},
	{Name: "days", Text: "Days after which files go, or unlimited"},
	{Name: "format", Text: "Files to write"},
	{Name: "coalesce", Text: "Write only one line a connection, at its close?"},
	{Name: "processes", Text: "Processes to log, names or numbers separated by commas, or ALL"},
	{Name: "users", Text: "Users whose processes to log, names or numbers separated by commas, or ALL"},
	{Name: "ports", Text: "Ports to log, separated by commas, or ALL"},
	{Name: "addresses", Text: "Addresses or networks to log, separated by commas, or ALL"},
	{Name: "events", Text: "Events to log, separated by commas, or ALL"},
	{Name: "persistent", Text: "Go on when the appliance starts again?"},
}

func setupCommand(s logService) *menu.Command {
	return menu.Decl[setupArgs, ports.LogSettings]{
		Name:    "setup",
		Help:    "Change what the port log starts with.",
		Details: "The settings hold at once, for logs to come; no commit is needed. ALL takes a selection back.",
		Role:    menu.Operator,
		Resources: []menu.Resource{
			{Method: "PUT", Path: "portlog-settings", Tagged: true, Help: "Change what the port log starts with; what is left out stays."},
			{Method: "PATCH", Path: "portlog-settings", Tagged: true},
		},
		Shape:    menu.Object,
		Dialogue: setupDialogue,
		Ask: func(_ context.Context, _ menu.Caller, _ setupArgs, q *menu.Question) error {
			askSetup(s.PortLogSettings(), q)
			return offerAll(q)
		},
		Suggest: func(_ context.Context, _ menu.Caller, _ setupArgs, argument, _ string) []menu.Choice {
			return suggestAll(argument)
		},
		Check: func(_ context.Context, _ menu.Caller, a setupArgs, name string) error {
			return check(a.LogOptions, name)
		},
		Run: func(_ context.Context, caller menu.Caller, a setupArgs, out *menu.Out[ports.LogSettings]) error {
			if err := checkAll(a.Selection); err != nil {
				return err
			}
			if err := s.SetPortLogSettings(caller, withoutAll(a.PartialLog)); err != nil {
				return err
			}
			settings := s.PortLogSettings()
			out.Printf("%s", menu.Text(unknownUsers(settings.LogOptions)))
			return out.Record(settings)
		},
		Text: writeSettings,
	}.Command()
}

// askSetup makes the present settings the defaults of the questions.
func askSetup(present ports.LogSettings, q *menu.Question) {
	switch q.Name {
	case "sizebytes":
		q.Default = strings.TrimSuffix(menu.Size(present.SizeBytes).String(), "MB")
	case "days":
		q.Default = "unlimited"
		if present.Days > 0 {
			q.Default = strconv.FormatInt(present.Days, 10)
		}
	case "format":
		q.Default = string(present.Format)
	case "coalesce":
		q.Default = yesNo(present.Coalesce)
	case "persistent":
		q.Default = yesNo(present.Persistent)
	case "processes":
		q.Default = orAll(present.Processes)
	case "users":
		q.Default = orAll(present.Users)
	case "ports":
		q.Default = orAll(present.Ports)
	case "addresses":
		q.Default = orAll(present.Addresses)
	case "events":
		q.Default = orAll(present.Events)
	}
}

func yesNo(b bool) string {
	if b {
		return "Y"
	}
	return "N"
}

// all is the word that takes a selection back.
const all = "ALL"

func orAll(list []string) string { return cmp.Or(strings.Join(list, ","), all) }

// offerAll lets the word ALL stand beside the names of events.
func offerAll(q *menu.Question) error {
	if q.Name == "events" {
		q.Choices = append(q.Choices, menu.Choice{Value: all, AnyCase: true})
	}
	return nil
}

// suggestAll offers the word ALL where any name may stand.
func suggestAll(argument string) []menu.Choice {
	switch argument {
	case "processes", "users", "ports", "addresses":
		return []menu.Choice{{Value: all, Help: "No selection."}}
	}
	return nil
}

// isAll reports whether a list is the word ALL, in any case.
func isAll(list []string) bool { return len(list) == 1 && strings.EqualFold(list[0], all) }

// checkAll returns an error if the word ALL stands beside names, as if it were one.
func checkAll(s ports.Selection) error {
	for _, one := range []struct {
		argument string
		list     []string
	}{{"processes", s.Processes}, {"users", s.Users}} {
		if !isAll(one.list) && slices.ContainsFunc(one.list, func(name string) bool { return strings.EqualFold(name, all) }) {
			return menu.BadArgument(one.argument, "ALL cannot stand beside names").WithHint("Give ALL alone, or leave it out")
		}
	}
	return nil
}

// withoutAll returns options in which a selection that was taken back is empty.
func withoutAll(p ports.PartialLog) ports.PartialLog {
	p.LogOptions = meant(p.LogOptions)
	return p
}

func meant(o ports.LogOptions) ports.LogOptions {
	for _, list := range []*[]string{&o.Processes, &o.Users, &o.Ports, &o.Addresses, &o.Events} {
		if isAll(*list) {
			*list = []string{}
		}
	}
	return o
}

// unknownUsers says which users that are selected are none on this machine. They may come yet.
func unknownUsers(o ports.LogOptions) string {
	var text strings.Builder
	for _, user := range o.Users {
		if _, err := strconv.ParseUint(user, 10, 32); err == nil {
			continue
		}
		if _, err := users.Number(user); err != nil {
			fmt.Fprintf(&text, "There is no user %s on this machine: nothing is selected by that name before there is one.\n", menu.Quoted(user))
		}
	}
	return text.String()
}

// check returns an error if the argument that was just given is wrong.
func check(o ports.LogOptions, name string) error {
	var beside *menu.Error
	if errors.As(checkAll(o.Selection), &beside) && beside.Argument == name {
		return beside
	}
	_, err := meant(o).Filter()
	var wrong *ports.SelectionError
	if errors.As(err, &wrong) && strings.EqualFold(wrong.Member, name) {
		return menu.BadArgument(name, "%s is not %s", menu.Quoted(wrong.Value), wrong.Wants)
	}
	return nil
}
