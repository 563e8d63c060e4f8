package menu_test

import (
	"context"
	"io"
	"strings"
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

// An argument names its choice whole; an answer may also be the number or the beginning of one that was
// shown. A name in another case is of another thing, a word such as ALL is not.
func TestNamesAndAnswers(t *testing.T) {
	type args struct {
		Name   string   `arg:"name,positional:1"`
		Names  []string `arg:"names"`
		Format string   `arg:"format" choices:"pcap|pcapng"`
	}
	var got args
	open := false
	c := menu.Decl[args, int]{Name: "act", Help: "Help.", Role: menu.ReadOnly,
		Ask: func(_ context.Context, _ menu.Caller, _ args, q *menu.Question) error {
			if q.Name != "format" {
				q.Choices = []menu.Choice{{Value: "Web"}, {Value: "web2"}, {Value: "web3"}, {Value: "WEB2"}, {Value: "mail"}, {Value: "ALL", AnyCase: true}}
				q.Open = open
			}
			return nil
		},
		Run: func(_ context.Context, _ menu.Caller, a args, _ *menu.Out[int]) error {
			got = a
			if a.Name == "none" || a.Name == "ma" || a.Name == "6" {
				return menu.Errorf(menu.NotFound, "There is none")
			}
			return nil
		},
		Text: func(io.Writer, int) {},
	}.Command()
	for _, test := range []struct {
		open             bool
		name, text, want string // want is the value of the argument, or the hint of the refusal
		refused          bool
	}{
		{false, "name", "web2", "web2", false}, {false, "name", "WEB2", "WEB2", false}, {false, "name", "all", "ALL", false},
		{false, "name", "web", "Did you mean Web, web2, web3 or WEB2?", true}, {false, "name", "1", "Did you mean Web?", true},
		{false, "name", "MAIL", "Did you mean mail?", true}, {false, "name", "7", "Choose Web, web2, web3, WEB2, mail or ALL", true},
		{true, "name", "web", "web", false}, {true, "name", "ma", "Did you mean mail?", true}, {true, "name", "none", "", true}, {true, "name", "6", "", true},
		{false, "format", "PCAPNG", "pcapng", false}, {false, "format", "pcapn", "Did you mean pcapng?", true},
		{false, "names", "all", "ALL", false}, {false, "names", "mail,web2", "mail,web2", false}, {false, "names", "mail,2", "Did you mean web2?", true},
	} {
		open = test.open
		err := c.Run(t.Context(), menu.Caller{}, menu.Arguments{test.name: test.text}, nil, &page{})
		value := map[string]string{"name": got.Name, "names": strings.Join(got.Names, ","), "format": got.Format}[test.name]
		if e := menu.AsError(err); e != nil {
			value = e.Hint
		}
		if (err != nil) != test.refused || value != test.want {
			t.Errorf("%s %s: %q, %v; want %q", test.name, test.text, value, err, test.want)
		}
	}
	question := menu.Question{Name: "name", Choices: []menu.Choice{{Value: "web2"}, {Value: "WEB2"}, {Value: "mail", Label: "mail - running"}}}
	for answer, want := range map[string]string{"1": "web2", "WEB2": "WEB2", "Web2": "web2", " mail ": "mail", "ma": "mail", "mail - running": "mail", "web": "", "4": "", "": ""} {
		if got, err := question.Answer(answer); got != want || (err != nil) != (want == "" && answer != "") {
			t.Errorf("the answer %q means %q, %v; want %q", answer, got, err, want)
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

// Each choice of a list is named by its whole name, and several of them.
func TestNamesInAList(t *testing.T) {
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
		given   string
		refused bool
	}{{"lo,eth0", false}, {"eth0", false}, {"l,2", true}, {"l", true}, {"1", true}, {"LO", true}, {"lo,eth", true}, {"lo,nosuch", true}} {
		got = nil
		var p page
		p.form = menu.JSONForm
		err := c.Run(t.Context(), menu.Caller{}, menu.Arguments{"interfaces": test.given}, nil, &p)
		if fault := menu.AsError(err); test.refused && (fault == nil || fault.Code != menu.Usage || fault.Argument != "interfaces") {
			t.Errorf("%s is refused as %+v", test.given, fault)
		}
		if !test.refused && (err != nil || len(got) == 0) {
			t.Errorf("%s: %v, %v", test.given, got, err)
		}
	}
}
