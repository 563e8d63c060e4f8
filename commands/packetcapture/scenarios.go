package packetcapture

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"diagsh/commands/shared/tables"
	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// A scenarioService knows the scenarios of captures.
type scenarioService interface {
	Scenarios() ([]access.Scenario, error)
	Scenario(name string) (access.Scenario, error)
}

type scenariosArgs struct {
	Scenario string `arg:"name,positional:1,bound" alias:"scenario" help:"Name of a scenario, whose options and tables are shown; without it, all."`
}

func scenariosCommand(s scenarioService) *menu.Command {
	return menu.Decl[scenariosArgs, access.Scenario]{
		Name: "scenarios",
		Help: "List the scenarios that captures can begin with.",
		Details: "A scenario is a bundle: options of a capture, whether the port log runs with it, and tables that are " +
			"read when the capture begins and after its end. What you give with packetcapture start goes before the " +
			"scenario's options. A vendor adds scenarios by files of a folder.",
		Role:      menu.ReadOnly,
		Shows:     true,
		Resources: []menu.Resource{{Method: "GET", Path: "scenarios", List: "scenarios", Key: "name"}},
		Suggest: func(_ context.Context, _ menu.Caller, _ scenariosArgs, argument, _ string) []menu.Choice {
			return suggestScenarios(s)
		},
		Run: func(_ context.Context, _ menu.Caller, a scenariosArgs, out *menu.Out[access.Scenario]) error {
			if a.Scenario != "" {
				one, err := s.Scenario(a.Scenario)
				if err != nil {
					return menu.Blame("name", err)
				}
				return out.Record(one)
			}
			list, err := s.Scenarios()
			if err != nil {
				return err
			}
			return out.Records(list)
		},
		TextTable: scenariosText,
	}.Command()
}

// suggestScenarios offers the names of the scenarios. A vendor's file that is not right is named by
// the command itself.
func suggestScenarios(s scenarioService) (choices []menu.Choice) {
	list, err := s.Scenarios()
	if err != nil {
		return nil
	}
	for _, one := range list {
		choices = append(choices, menu.Choice{Value: one.Name, Help: menu.Clean(one.Description)})
	}
	return choices
}

// suggestScenario offers the scenarios, and none of them, where that is the argument.
func suggestScenario(s scenarioService, argument string) []menu.Choice {
	if argument != "scenario" {
		return nil
	}
	return append(suggestScenarios(s), menu.Choice{Value: access.NoScenario, Help: "No scenario."})
}

// checkScenario returns an error for a name that no scenario has.
func checkScenario(s scenarioService, name string) error {
	if name == "" || strings.EqualFold(name, access.NoScenario) {
		return nil
	}
	_, err := s.Scenario(name)
	return err
}

// scenariosText writes one scenario in full, several as a table.
func scenariosText(w io.Writer, list []access.Scenario) {
	if len(list) != 1 {
		t := tables.Table{Head: []string{"SCENARIO", "PORT LOG", "TABLES", "WHAT FOR"}}
		for _, s := range list {
			t.Add(s.Name, yesNo(s.PortLog), fmt.Sprint(len(s.Tables)), menu.Clean(s.Description))
		}
		t.Write(w)
		return
	}
	s := list[0]
	line := func(name, text string) { tables.Line(w, 12, "%-12s%s", name, menu.Clean(text)) }
	line("Scenario:", s.Name)
	line("What for:", s.Description)
	names := make([]string, 0, len(s.Options))
	for name := range s.Options {
		names = append(names, name)
	}
	slices.Sort(names)
	for i, name := range names {
		label := "Options:"
		if i > 0 {
			label = ""
		}
		value := fmt.Sprint(s.Options[name])
		switch s.Options[name] {
		case "":
			value = "none"
		case true, false:
			value = yesNo(s.Options[name] == true)
		}
		line(label, name+" "+value)
	}
	line("Port log:", yesNo(s.PortLog))
	for i, t := range s.Tables {
		label := "Tables:"
		if i > 0 {
			label = ""
		}
		line(label, t.Title+": "+t.Line)
	}
}

func yesNo(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}
