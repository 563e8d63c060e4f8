package menu

import (
	"fmt"
	"slices"
	"strings"

	"diagsh/internal/menu/words"
)

// HelpText explains the item at a path: what it is, its one-line form, its arguments.
func (m *Menu) HelpText(path []string, allowed func(Role) bool) (string, error) {
	item := m.Find(path)
	if item == nil {
		if o, n := m.otherWords(path); o != nil {
			return "", notHere(path[:n], o.sentence(true))
		}
		return "", Errorf(NotFound, "There is no command %s",
			Quoted(strings.Join(path, " "))).WithHint("Type help to see all")
	}
	var b strings.Builder
	switch item := item.(type) {
	case *Menu:
		if len(path) > 0 {
			fmt.Fprintf(&b, "%s - %s\n\n", strings.ToUpper(strings.Join(path, " > ")), item.Help)
		}
		width := 0
		for _, i := range item.Items {
			width = max(width, len(i.Keyword()))
		}
		for _, i := range item.Items {
			if allowed(i.Required()) {
				fmt.Fprintf(&b, "%-*s  %s\n", width, i.Keyword(), i.Summary())
			}
		}
	case *Command:
		item.help(&b, path)
	}
	return b.String(), nil
}

func (c *Command) help(b *strings.Builder, path []string) {
	fmt.Fprintf(b, "%s - %s\n", strings.ToUpper(strings.Join(path, " > ")), c.Help)
	for _, text := range []string{c.Details, c.Terminal} {
		if text != "" {
			fmt.Fprintf(b, "%s\n", text)
		}
	}
	role := c.Role
	if !role.Valid() {
		role = Administrator
	}
	least := string(role)
	if role != Administrator {
		least += " and above"
	}
	fmt.Fprintf(b, "\nFor:      %s\nOne line: %s\n", least, c.Synopsis(path))
	if len(c.Params) == 0 {
		return
	}
	b.WriteString("\nArguments:\n")
	width := 0
	for i := range c.Params {
		width = max(width, len(c.Params[i].Name))
	}
	for i := range c.Params {
		p := &c.Params[i]
		fmt.Fprintf(b, "  %-*s  %s", width, p.Name, p.Help)
		var notes []string
		if p.Type != "text" && p.Type != "packets" && p.Type != "confirm" {
			notes = append(notes, p.Type)
		}
		if len(p.Choices) > 0 {
			notes = append(notes, words.Or(p.Choices))
		}
		if others := append(p.flagForms(), p.names()[1:]...); len(others) > 0 {
			notes = append(notes, "also "+strings.Join(others, ", "))
		}
		if p.Default != "" && p.Type != "confirm" {
			notes = append(notes, "default "+p.Default)
		}
		if p.Required {
			notes = append(notes, "required")
		}
		if from := c.PipedNote(p); from != "" {
			notes = append(notes, from)
		}
		if len(notes) > 0 {
			fmt.Fprintf(b, " (%s)", strings.Join(notes, "; "))
		}
		b.WriteString("\n")
	}
}

// PipedNote says when a line takes a parameter from standard input; it is empty for one that none does.
func (c *Command) PipedNote(p *Param) string {
	if !p.Input {
		return ""
	}
	without := "without it"
	if main := c.main(); main != nil && main.Name != p.Name {
		without += " and without " + main.Name
	}
	return "a line " + without + " reads it from standard input"
}

// Synopsis returns the one-line form: path, main value, keyword and value pairs.
func (c *Command) Synopsis(path []string) string {
	parts := []string{strings.Join(path, " ")}
	byPlace, named := []*Param{}, []*Param{} // what is given without its name is so only before all others
	for i := range c.Params {
		if p := &c.Params[i]; p.Before || p.Main || p.Next {
			byPlace = append(byPlace, p)
		} else {
			named = append(named, p)
		}
	}
	for _, p := range slices.Concat(byPlace, named) {
		u := p.synopsis()
		if !p.Required && p.Type != "confirm" {
			u = "[" + u + "]"
		}
		parts = append(parts, u)
	}
	return strings.Join(parts, " ")
}
