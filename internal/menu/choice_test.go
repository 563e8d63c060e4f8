package menu_test

import (
	"context"
	"io"
	"testing"

	"diagsh/internal/menu"
)

// choice returns a menu that is a question, with a command whose argument makes it a stream.
func choice() *menu.Menu {
	type args struct {
		Every int    `arg:"every,stream" help:"Seconds."`
		Host  string `arg:"host" ask:"Which host" help:"A host."`
	}
	command := func(name string) *menu.Command {
		return menu.Decl[args, int]{
			Name: name, Help: "Help.", Role: menu.ReadOnly,
			Suggest: func(_ context.Context, _ menu.Caller, _ args, argument, _ string) []menu.Choice {
				if argument == "host" {
					return []menu.Choice{{Value: "10.0.0.10"}, {Value: "10.0.0.20"}}
				}
				return nil
			},
			Run: func(_ context.Context, _ menu.Caller, a args, out *menu.Out[int]) error {
				if a.Host == "10.0.0.1" {
					return out.Record(1)
				}
				return out.Record(2)
			},
			Text: func(io.Writer, int) {},
		}.Command()
	}
	return &menu.Menu{Items: []menu.Item{
		&menu.Menu{Name: "netstat", Help: "Help.", Choice: "Choose",
			Items: []menu.Item{command("sockets"), command("routes")}},
		&menu.Menu{Name: "plain", Help: "Help.", Items: []menu.Item{command("one")}},
	}}
}

func TestNumbersInAChoice(t *testing.T) {
	m := choice()
	for line, want := range map[string]string{"netstat 2": "routes", "netstat routes": "routes", "netstat 3": "",
		"netstat 0": "", "plain 1": ""} {
		calls, err := m.Parse(nil, line, false, nil)
		switch {
		case want == "" && err == nil:
			t.Errorf("%s is taken for %v", line, calls[0].Path)
		case want != "" && (err != nil || calls[0].Path[1] != want):
			t.Errorf("%s: %v", line, err)
		}
	}
}

func TestAnArgumentMakesAStream(t *testing.T) {
	m := choice()
	for line, want := range map[string]bool{"netstat 1": false, "netstat 1 every 2": true, "netstat 1 host a": false} {
		calls, err := m.Parse(nil, line, false, nil)
		if err != nil || calls[0].Stream != want {
			t.Errorf("%s: stream %v, %v", line, calls[0].Stream, err)
		}
		if shape := m.Find(calls[0].Path).(*menu.Command).ShapeOf(calls[0].Arguments); (shape == menu.Stream) != want {
			t.Errorf("%s has the shape %s", line, shape)
		}
	}
}

func TestSuggestions(t *testing.T) {
	m := choice()
	found := m.Complete(t.Context(), menu.Caller{}, nil, "netstat sockets host 10.0.0.1",
		func(menu.Role) bool { return true })
	if len(found.Candidates) != 1 || found.Candidates[0].Text != "10.0.0.10" {
		t.Errorf("completed to %+v", found.Candidates)
	}
	c := m.Find([]string{"netstat", "sockets"}).(*menu.Command)
	q, err := c.Next(t.Context(), menu.Caller{}, menu.Arguments{}, menu.AskAll)
	if err != nil || q == nil || len(q.Suggestions) != 2 || len(q.Choices) != 0 {
		t.Errorf("the question is %+v, %v", q, err)
	}
	// The beginning of a suggestion is an answer of its own.
	var p page
	p.form = menu.JSONForm
	if err := c.Run(t.Context(), menu.Caller{}, menu.Arguments{"host": "10.0.0.1"}, nil, &p); err != nil ||
		len(p.rows) != 1 || p.rows[0] != 1 {
		t.Errorf("%v, %v", p.rows, err)
	}
}

// Who names a resource names each choice of a list by its whole name, and several of them.
func TestExactNamesInAList(t *testing.T) {
	type args struct {
		Interfaces []string `arg:"interfaces,positional:1" ask:"Interfaces" help:"Names."`
	}
	var got []string
	c := menu.Decl[args, int]{
		Name: "stream", Help: "Help.", Role: menu.ReadOnly,
		Ask: func(_ context.Context, _ menu.Caller, _ args, q *menu.Question) error {
			q.Choices = []menu.Choice{{Value: "lo"}, {Value: "eth0"}}
			return nil
		},
		Run:  func(_ context.Context, _ menu.Caller, a args, _ *menu.Out[int]) error { got = a.Interfaces; return nil },
		Text: func(io.Writer, int) {},
	}.Command()
	for _, test := range []struct {
		given          string
		exact, refused bool
	}{{"lo,eth0", true, false}, {"LO", true, false}, {"lo,eth0", false, false}, {"l,2", false, false},
		{"l", true, true}, {"1", true, true}, {"lo,eth", true, true}, {"lo,nosuch", true, true}} {
		got = nil
		var p page
		p.form = menu.JSONForm
		err := c.Run(t.Context(), menu.Caller{Exact: test.exact}, menu.Arguments{"interfaces": test.given}, nil, &p)
		if fault := menu.AsError(err); test.refused && (fault == nil || fault.Code != menu.Usage || fault.Argument != "interfaces") {
			t.Errorf("%s is refused as %+v", test.given, fault)
		}
		if !test.refused && (err != nil || len(got) == 0) {
			t.Errorf("%s, exact %v: %v, %v", test.given, test.exact, got, err)
		}
	}
}
