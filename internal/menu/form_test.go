package menu_test

import (
	"context"
	"io"
	"testing"

	"diagsh/internal/menu"
)

type formArgs struct {
	Name    string    `arg:"name,positional:1,required" help:"Its name."`
	Length  menu.Size `json:"fileBytes" arg:"" help:"Its length."`
	Wait    int64     `json:"snapLength" arg:"" group:"expert" help:"Bytes."`
	Word    string    `arg:"nsid" label:"Name of the server" help:"A word."`
	Asked   string    `arg:"asked" ask:"Which?" help:"A word."`
	Renamed string    `json:"other" arg:"renamed" help:"A word."`
	Later   string    `arg:"later" help:"A word."`
}

// TestForms: a form calls each argument something, and has it somewhere; the member of a record is its
// name where that is the keyword in other letters.
func TestForms(t *testing.T) {
	c := menu.Decl[formArgs, struct{}]{
		Name: "form", Help: "Form.", Role: menu.ReadOnly, Text: func(io.Writer, struct{}) {},
		Dialogue: []menu.Asked{{Name: "later", Text: "When?"}},
		Run:      func(context.Context, menu.Caller, formArgs, *menu.Out[struct{}]) error { return nil },
	}.Command()
	for name, want := range map[string][3]string{
		"name":       {"Name", menu.GroupFirst, "name"},
		"filebytes":  {"File", menu.GroupMore, "fileBytes"},
		"snaplength": {"Snap length", menu.GroupExpert, "snapLength"},
		"nsid":       {"Name of the server", menu.GroupMore, "nsid"},
		"asked":      {"Asked", menu.GroupFirst, "asked"},
		"renamed":    {"Renamed", menu.GroupMore, "renamed"},
		"later":      {"Later", menu.GroupFirst, "later"},
	} {
		p := c.Argument(name)
		if got := [3]string{p.Label, p.Group, p.Spelt()}; got != want {
			t.Errorf("%s is %q, not %q", name, got, want)
		}
	}
}

// TestOneRecord: an argument with the option one makes a table an object, if it is given.
func TestOneRecord(t *testing.T) {
	type args struct {
		Name string `arg:"name,positional:1,one" help:"Its name."`
	}
	c := menu.Decl[args, struct{}]{
		Name: "status", Help: "Status.", Role: menu.ReadOnly, Text: func(io.Writer, struct{}) {},
		Run: func(context.Context, menu.Caller, args, *menu.Out[struct{}]) error { return nil },
	}.Command()
	for name, want := range map[string]menu.Shape{"": menu.Table, "x": menu.Object} {
		if got := c.ShapeOf(menu.Arguments{"name": name}); got != want {
			t.Errorf("the shape with the name %q is %v", name, got)
		}
	}
}

// TestFaultyResources: a declaration that cannot work does not begin.
func TestFaultyResources(t *testing.T) {
	for what, r := range map[string]menu.Resource{
		"a method that is none":          {Method: "FETCH", Path: "things"},
		"a word that is no argument":     {Method: "GET", Path: "things/{nosuch}"},
		"a given value that is none":     {Method: "GET", Path: "things", Given: menu.Arguments{"nosuch": "x"}},
		"a list without a key":           {Method: "GET", Path: "things", List: "things"},
		"something new without its path": {Method: "POST", Path: "things", Status: 201},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s is taken", what)
				}
			}()
			menu.Decl[formArgs, struct{}]{
				Name: "form", Help: "Form.", Role: menu.ReadOnly, Text: func(io.Writer, struct{}) {}, Resources: []menu.Resource{r},
				Run: func(context.Context, menu.Caller, formArgs, *menu.Out[struct{}]) error { return nil },
			}.Command()
		}()
	}
}
