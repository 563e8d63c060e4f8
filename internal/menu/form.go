package menu

import (
	"fmt"

	"diagsh/internal/menu/words"
)

// The groups of arguments in a form.
const (
	GroupFirst  = "first"  // always shown
	GroupMore   = "more"   // folded
	GroupExpert = "expert" // folded, and seldom needed
)

// inForms sets how forms show the argument, where its declaration does not say.
func (p *Param) inForms() {
	if p.Label == "" {
		p.Label = words.OfMember(p.Spelt())
	}
	switch p.Group {
	case GroupFirst, GroupMore, GroupExpert:
	case "":
		p.Group = GroupMore
		if p.Required || p.Main || p.Next || p.Ask != "" {
			p.Group = GroupFirst
		}
	default:
		panic(fmt.Sprintf("menu: parameter %s has the unknown group %q", p.Name, p.Group))
	}
}

// Spelt returns the name of the argument as records have it, which requests may use too.
func (p *Param) Spelt() string {
	if p.Member != "" {
		return p.Member
	}
	return p.Name
}
