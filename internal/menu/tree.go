package menu

import (
	"context"
	"io"
	"strconv"
	"strings"

	"diagsh/internal/menu/schema"
)

// A Menu is a list of menus and commands under one keyword.
type Menu struct {
	Name string // the keyword, lower case; empty for the top
	Help string // one sentence, with its full stop
	// Status writes what is above the choices: the state or the list of objects that the menu owns.
	// May be nil.
	Status func(ctx context.Context, caller Caller, w io.Writer) error
	// Hidden reports that nothing in the menu can work on this machine, so that it is not listed.
	// It can still be typed, and its Status and its commands say why not. May be nil.
	Hidden func(ctx context.Context) bool
	// Choice makes the menu a question with this text: its items are numbered, also in a line
	// (netstat 2), the first is the default, and after running one the menu is left. Empty: an
	// ordinary menu, which stays until it is left.
	Choice string
	// Items in the order of the screen.
	Items []Item
	// Others has words of other systems. Only those of the top menu are used.
	Others []OtherWords
}

// An Item is a *Menu or a *Command.
type Item interface {
	// Keyword returns the item's name, in lower case.
	Keyword() string
	// Summary returns the sentence beside the keyword.
	Summary() string
	// Required returns the least role that can use the item; for a menu, any item in it.
	Required() Role
	names() []string
}

func (m *Menu) Keyword() string { return m.Name }
func (m *Menu) Summary() string { return m.Help }
func (m *Menu) names() []string { return []string{m.Name} }

func (m *Menu) Required() Role {
	least := Administrator
	for _, item := range m.Items {
		if r := item.Required(); r.Valid() && r.rank() < least.rank() {
			least = r
		}
	}
	return least
}

func (c *Command) Keyword() string { return c.Name }
func (c *Command) Summary() string { return c.Help }
func (c *Command) Required() Role  { return c.Role }
func (c *Command) names() []string { return append([]string{c.Name}, c.Aliases...) }

// hiddenFrom reports whether a menu does not list an item now, for this caller.
func hiddenFrom(ctx context.Context, i Item, caller Caller) bool {
	switch i := i.(type) {
	case *Menu:
		return i.Hidden != nil && i.Hidden(ctx)
	case *Command:
		return i.hidden(ctx, caller)
	}
	return false
}

// Listed returns the items that the menu shows a caller now: those that the role may use and that
// are not hidden.
func (m *Menu) Listed(ctx context.Context, caller Caller, allowed func(Role) bool) (items []Item) {
	usable := Usable(ctx, caller, allowed)
	for _, i := range m.Items {
		if usable(i) {
			items = append(items, i)
		}
	}
	return items
}

// Usable returns a function that reports whether a caller could use an item now.
func Usable(ctx context.Context, caller Caller, allowed func(Role) bool) func(Item) bool {
	return func(i Item) bool { return allowed(i.Required()) && !hiddenFrom(ctx, i, caller) }
}

// find returns the item with exactly this keyword or alias.
func (m *Menu) find(word string) Item {
	for _, item := range m.Items {
		for _, name := range item.names() {
			if strings.EqualFold(name, word) {
				return item
			}
		}
	}
	if n, err := strconv.Atoi(word); err == nil && m.Choice != "" && n >= 1 && n <= len(m.Items) {
		return m.Items[n-1]
	}
	return nil
}

// Find returns the item at a path of exact keywords from this menu on, or nil. The empty path is
// the menu itself.
func (m *Menu) Find(path []string) Item {
	var at Item = m
	for _, word := range path {
		sub, ok := at.(*Menu)
		if !ok {
			return nil
		}
		if at = sub.find(word); at == nil {
			return nil
		}
	}
	return at
}

// Walk calls visit for every item below the menu, in the order of the screen, with its path.
func (m *Menu) Walk(visit func(path []string, item Item)) { m.walk(nil, visit) }

func (m *Menu) walk(above []string, visit func([]string, Item)) {
	for _, item := range m.Items {
		path := append(above[:len(above):len(above)], item.Keyword())
		visit(path, item)
		if sub, ok := item.(*Menu); ok {
			sub.walk(path, visit)
		}
	}
}

// A Node is an item of the tree in JSON.
type Node struct {
	Path    string   `json:"path"` // words joined by blanks
	Kind    string   `json:"kind"` // menu, command
	Help    string   `json:"help"`
	Details string   `json:"details,omitempty"`
	Role    Role     `json:"role"`
	Output  string   `json:"output,omitempty"`  // table, object, stream
	Members []string `json:"members,omitempty"` // of a record in JSON
	Record  any      `json:"record,omitempty"`  // its members with their types, see schema.Outline
	Aliases []string `json:"aliases,omitempty"`
	Params  []Param  `json:"parameters,omitempty"`

	Terminal  string     `json:"-"` // the page has no place for it
	Resources []Resource `json:"-"` // openapi.json has them
}

// Nodes returns the whole tree below the menu.
func (m *Menu) Nodes() []Node {
	var list []Node
	m.Walk(func(path []string, item Item) {
		n := Node{Path: strings.Join(path, " "), Kind: "menu", Help: item.Summary(), Role: item.Required()}
		if c, ok := item.(*Command); ok {
			n.Kind, n.Details, n.Output, n.Members, n.Aliases, n.Params = "command", c.Details, c.Shape.String(),
				c.Members, c.Aliases, c.Params
			n.Record, n.Resources, n.Terminal = schema.Outline(c.Record), c.Resources, c.Terminal
			if !n.Role.Valid() {
				n.Role = Administrator
			}
		}
		list = append(list, n)
	})
	return list
}
