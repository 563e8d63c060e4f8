package menu

import (
	"maps"
	"slices"
	"strings"

	"diagsh/internal/menu/problem"
)

// An Alias is a former name of an argument, which lines and programs may still use. Help shows it.
type Alias struct {
	Name string `json:"name"`
	Unit string `json:"unit,omitempty"` // unit of a bare number under this name
}

// aliases parses the tag alias: names separated by blanks, each with its unit after a sign.
func aliases(tag string) (list []Alias) {
	for _, word := range strings.Fields(tag) {
		name, unit, _ := strings.Cut(word, "=")
		list = append(list, Alias{name, unit})
	}
	return list
}

// names returns all names of an argument, the current one first.
func (p *Param) names() []string {
	names := []string{p.Name}
	for _, a := range p.Aliases {
		names = append(names, a.Name)
	}
	return names
}

// Called reports whether a word is a name of the argument, in any case.
func (p *Param) Called(word string) bool {
	return slices.ContainsFunc(p.names(), func(n string) bool { return strings.EqualFold(n, word) })
}

// param returns the parameter with a name, in any case, or nil.
func (c *Command) param(name string) *Param {
	for i := range c.Params {
		if c.Params[i].Called(name) {
			return &c.Params[i]
		}
	}
	return nil
}

// underAlias converts a value that was given under a name to one for the argument's current name:
// it adds the unit of a bare number under that name.
func (p *Param) underAlias(name, value string) string {
	for _, a := range p.Aliases {
		if strings.EqualFold(a.Name, name) {
			return withUnit(value, a.Unit)
		}
	}
	return value
}

// withUnit adds a unit to a bare number.
func withUnit(value, unit string) string {
	if bare := strings.TrimSpace(value); bare != "" && strings.Trim(bare, "0123456789") == "" {
		return bare + unit
	}
	return value
}

// give adds the argument to others. It may be given once, under any of its names.
func (p *Param) give(args Arguments, value string) *Error {
	if _, twice := args[p.Name]; twice {
		return BadArgument(p.Name, "%s is given twice", p.Name)
	}
	args[p.Name] = value
	return nil
}

// present returns arguments under their current names.
func (c *Command) present(given Arguments) (Arguments, error) {
	args := make(Arguments, len(given))
	var faults []*Error
	for _, name := range slices.Sorted(maps.Keys(given)) { // so that of several faults the first is always the same
		p := c.param(name)
		if p == nil {
			faults = append(faults, c.unknownArgument(name))
			continue
		}
		if fault := p.give(args, p.underAlias(name, given[name])); fault != nil {
			faults = append(faults, fault)
		}
	}
	return args, problem.Together(faults)
}

// allNames returns the names of all arguments, former ones too.
func (c *Command) allNames() (names []string) {
	for i := range c.Params {
		names = append(names, c.Params[i].names()...)
	}
	return names
}

// nearestParam returns the current name of the argument that a word most likely meant, or "" if
// none is near.
func (c *Command) nearestParam(word string) string {
	if p := c.param(Nearest(word, c.allNames())); p != nil {
		return p.Name
	}
	return ""
}
