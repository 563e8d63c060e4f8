package menu

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"diagsh/internal/menu/problem"
)

// FromJSON converts a decoded JSON object to arguments. A number for a size counts bytes and for a
// duration seconds, whatever the parameter's text unit is; -1 is unlimited, and so is 0 where a
// record says so; a list may be an array. Arguments that records have in an object of their own,
// such as the limits of a capture, may come in that object.
func (c *Command) FromJSON(object map[string]any) (Arguments, error) {
	args := Arguments{}
	var faults []*Error
	add := func(fault *Error) {
		if fault != nil {
			faults = append(faults, fault)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(object)) { // so that of several faults the first is always the same
		group, nested := object[name].(map[string]any)
		if !nested || c.param(name) != nil || !c.hasGroup(name) {
			add(c.addJSON(args, name, object[name]))
			continue
		}
		for _, member := range slices.Sorted(maps.Keys(group)) {
			if p := c.param(member); p == nil || p.Object != name {
				add(c.unknownArgument(name + "." + member))
				continue
			}
			add(c.addJSON(args, member, group[member]))
		}
	}
	return args, problem.Together(faults)
}

func (c *Command) hasGroup(name string) bool {
	return slices.ContainsFunc(c.Params, func(p Param) bool { return p.Object == name })
}

func (c *Command) addJSON(args Arguments, name string, value any) *Error {
	p := c.param(name)
	if p == nil {
		return c.unknownArgument(name)
	}
	text, err := jsonText(p, value)
	if err != nil {
		return err
	}
	if _, number := value.(json.Number); !number {
		text = p.underAlias(name, text)
	}
	return p.give(args, text)
}

func jsonText(p *Param, value any) (string, *Error) {
	switch v := value.(type) {
	case string:
		return v, nil
	case bool:
		if v {
			return "yes", nil
		}
		return "no", nil
	case json.Number:
		switch {
		case p.Limit && (v == "-1" || v == "0" && p.Zero):
			return "unlimited", nil
		case p.Type == "size":
			return v.String() + "B", nil
		case p.Type == "duration" && p.Unit != "":
			return v.String() + "s", nil
		}
		return v.String(), nil
	case []any:
		if p.Type == "list" {
			return jsonList(p, v)
		}
		if p.Type == "records" {
			return jsonRecords(p, v)
		}
	}
	return "", BadArgument(p.Name, "%s cannot have that JSON value", p.Name).WithHint("It takes a %s", p.Type)
}

// jsonList converts an array of texts or numbers to a comma list.
func jsonList(p *Param, list []any) (string, *Error) {
	var parts []string
	for _, e := range list {
		switch e := e.(type) {
		case json.Number:
			parts = append(parts, e.String())
			continue
		case string:
			if !strings.Contains(e, ",") {
				parts = append(parts, e)
				continue
			}
		}
		return "", BadArgument(p.Name, "%s is a list of texts", p.Name)
	}
	return strings.Join(parts, ","), nil
}
