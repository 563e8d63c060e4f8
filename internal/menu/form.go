package menu

import (
	"fmt"
	"strings"
	"unicode"
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
		p.Label = inWords(p.Spelt())
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

// inWords returns the name of a JSON member in words: durationSeconds is "Duration", since what shows it
// says the unit.
func inWords(member string) string {
	for _, unit := range []string{"Seconds", "Bytes", "Time"} {
		if rest, found := strings.CutSuffix(member, unit); found && rest != "" {
			member = rest
			break
		}
	}
	var b strings.Builder
	for i, r := range member {
		switch {
		case i == 0:
			b.WriteRune(unicode.ToUpper(r))
		case unicode.IsUpper(r):
			b.WriteRune(' ')
			b.WriteRune(unicode.ToLower(r))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
