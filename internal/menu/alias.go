package menu

import (
	"slices"
	"strings"
)

// An Alias is another name of an argument, which it had before. Lines and programs may use it; help names it once.
type Alias struct {
	Name string `json:"name"`
	Unit string `json:"unit,omitempty"` // what a bare number counts under this name
}

// aliases reads the tag alias: names divided by blanks, each with its unit after a sign.
func aliases(tag string) (list []Alias) {
	for _, word := range strings.Fields(tag) {
		name, unit, _ := strings.Cut(word, "=")
		list = append(list, Alias{name, unit})
	}
	return list
}

// names returns all names of an argument, the present one first.
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

// param returns the parameter of a name, in any case; nil if there is none.
func (c *Command) param(name string) *Param {
	for i := range c.Params {
		if c.Params[i].Called(name) {
			return &c.Params[i]
		}
	}
	return nil
}

// underAlias returns a value that was given under a name as one for the argument's present name: with the unit that a bare number counts
// under the other.
func (p *Param) underAlias(name, value string) string {
	for _, a := range p.Aliases {
		if strings.EqualFold(a.Name, name) {
			return withUnit(value, a.Unit)
		}
	}
	return value
}

// withUnit gives a bare number its unit.
func withUnit(value, unit string) string {
	if bare := strings.TrimSpace(value); bare != "" && strings.Trim(bare, "0123456789") == "" {
		return bare + unit
	}
	return value
}

// give adds the argument to others. It may be given once, under whichever of its names.
func (p *Param) give(args Arguments, value string) error {
	if _, twice := args[p.Name]; twice {
		return Wrong(p.Name, "%s is given twice", p.Name)
	}
	args[p.Name] = value
	return nil
}

// present returns arguments under their present names.
func (c *Command) present(given Arguments) (Arguments, error) {
	args := make(Arguments, len(given))
	for name, value := range given {
		p := c.param(name)
		if p == nil {
			return nil, c.unknownArgument(name)
		}
		if err := p.give(args, p.underAlias(name, value)); err != nil {
			return nil, err
		}
	}
	return args, nil
}

// allNames returns the names of all arguments, old ones too.
func (c *Command) allNames() (names []string) {
	for i := range c.Params {
		names = append(names, c.Params[i].names()...)
	}
	return names
}

// nearestParam returns the present name of the argument that a word most likely meant, empty when none is near.
func (c *Command) nearestParam(word string) string {
	if p := c.param(Nearest(word, c.allNames())); p != nil {
		return p.Name
	}
	return ""
}
