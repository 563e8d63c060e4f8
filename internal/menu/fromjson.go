package menu

import (
	"encoding/json"
	"maps"
	"reflect"
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
		switch {
		case c.param(name) != nil || !c.hasGroup(name):
			add(c.addJSON(args, name, object[name]))
			continue
		case !nested:
			add(notJSON(name, name, object[name], "an object"))
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
	return "", notJSON(p.Name, p.Name, value, p.inJSON())
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
			return "", BadArgument(p.Name, "%s in %s has a comma, which separates values", Quoted(e), p.Name).WithHint("Give each value as a text of its own")
		}
		return "", notJSON(p.Name, "A value in "+p.Name, e, "a "+p.element())
	}
	return strings.Join(parts, ","), nil
}

// notJSON returns the refusal of a value in JSON: what it is the value of, and what it must be.
func notJSON(argument, what string, value any, wants string) *Error {
	kind := "an object"
	switch value.(type) {
	case nil:
		return BadArgument(argument, "%s is null", what).WithHint("Leave it out, or give %s", wants)
	case string:
		kind = "a text"
	case bool:
		kind = "true or false"
	case json.Number:
		kind = "a number"
	case []any:
		kind = "an array"
	}
	return BadArgument(argument, "%s cannot be %s", what, kind).WithHint("Give %s", wants)
}

// inJSON returns what the value of a parameter is in JSON.
func (p *Param) inJSON() string {
	switch p.Type {
	case "yes/no", "confirm":
		return "true or false"
	case "number":
		return "a whole number"
	case "size":
		return `a number of bytes, or a text such as "200MB"`
	case "duration":
		return `a number of seconds, or a text such as "5m"`
	case "time":
		return `a text such as "2026-03-01T10:15:00Z"`
	case "records", "list":
		if p.recorded {
			return "an array of " + p.element() + "s; [] is none"
		}
		return "an array of " + p.element() + "s"
	}
	return "a text"
}

// element returns what each value of a list is in JSON.
func (p *Param) element() string {
	switch p.Elements().Kind() {
	case reflect.Int:
		return "number"
	case reflect.Struct:
		return "object"
	}
	return "text"
}
