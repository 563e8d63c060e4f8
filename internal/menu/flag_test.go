package menu_test

import (
	"context"
	"io"
	"reflect"
	"strings"
	"testing"

	"diagsh/internal/menu"
)

type lookArgs struct {
	Name   string `arg:"name,positional:1,required" flag:"-x" ask:"Name" help:"Name."`
	Type   string `arg:"type,positional:2" flag:"-t" ask:"Type" help:"Type."`
	Port   int    `arg:"port,positional:3" flag:"-p" ask:"Port" min:"1" help:"Port."`
	Server string `arg:"server" flag:"@" help:"Server."`
	Short  bool   `arg:"short" flag:"+short" help:"Short."`
	Way    string `arg:"protocol" choices:"udp|tcp" flag:"-T=tcp" help:"Protocol."`
}

func lookTree() *menu.Menu {
	return &menu.Menu{Items: []menu.Item{menu.Decl[lookArgs, echo]{
		Name: "look", Help: "Look up.", Role: menu.Operator,
		Run:  func(context.Context, menu.Caller, lookArgs, *menu.Out[echo]) error { return nil },
		Text: func(io.Writer, echo) {},
	}.Command()}}
}

// TestNextAndFlags: values after the main one need no keywords in the order of the questions, and
// flags replace keywords.
func TestNextAndFlags(t *testing.T) {
	for line, want := range map[string]menu.Arguments{
		"look h mx":                 {"name": "h", "type": "mx"},
		"look h mx 53":              {"name": "h", "type": "mx", "port": "53"},
		"look h type mx 53":         {"name": "h", "type": "mx", "port": "53"},
		"look h mx port 53":         {"name": "h", "type": "mx", "port": "53"},
		"look h mx short":           {"name": "h", "type": "mx", "short": "yes"},
		"look h 'port'":             {"name": "h", "type": "port"},
		"look -t mx h":              {"name": "h", "type": "mx"},
		"look h -t mx 53":           {"name": "h", "type": "mx", "port": "53"},
		"look @192.0.2.1 h mx":      {"name": "h", "type": "mx", "server": "192.0.2.1"},
		"look h mx @192.0.2.1":      {"name": "h", "type": "mx", "server": "192.0.2.1"},
		"look -x 192.0.2.1 +short":  {"name": "192.0.2.1", "short": "yes"},
		"look -T h short no -p 5":   {"name": "h", "protocol": "tcp", "short": "no", "port": "5"},
		"look '-t' mx":              {"name": "-t", "type": "mx"},
		"look -p53 h":               {"name": "h", "port": "53"},
		"look h mx -p0053":          {"name": "h", "type": "mx", "port": "0053"},
		"look -x192.0.2.1":          {"name": "192.0.2.1"},
		"look h '@x'":               {"name": "h", "type": "@x"},
		"look @::1 short yes":       {"server": "::1", "short": "yes"},
		"look name h TYPE65 server": nil,
	} {
		calls, err := lookTree().Parse(nil, line, false, nil)
		if want == nil {
			if err == nil {
				t.Errorf("%s was understood", line)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(calls[0].Arguments, want) {
			t.Errorf("%s: %v, %v; want %v", line, calls, err, want)
		}
	}
	for line, want := range map[string]string{
		"look h typ mx":       `look has no argument "typ". Did you mean type?`,
		"look -t":             `The value of -t is missing. Write -t TYPE.`,
		"look h -t mx -t a":   `type is given twice.`,
		"look h -t mx type a": `type is given twice.`,
		"look -z 2 h":         `look has no flag "-z". It takes -x NAME, -t TYPE, -p PORT, @SERVER, +short, -T, and what help look lists.`,
		"look -port h":        `look has no flag "-port". It takes -x NAME, -t TYPE, -p PORT, @SERVER, +short, -T, and what help look lists.`,
		"look h -p5 -p 6":     `port is given twice.`,
		"look h -T5":          `look has no flag "-T5". It takes -x NAME, -t TYPE, -p PORT, @SERVER, +short, -T, and what help look lists.`,
		"look h mx 53 54":     `look has no argument "54". It takes name, type, port, server, short, protocol.`,
		"look h @":            `The value of @ is missing. Write @SERVER.`,
	} {
		if _, err := lookTree().Parse(nil, line, false, nil); err == nil || err.Error() != want {
			t.Errorf("%s: %v\nwant %s", line, err, want)
		}
	}
}

func TestNextAndFlagsInCompletionAndHelp(t *testing.T) {
	everybody := func(menu.Role) bool { return true }
	for line, want := range map[string]string{
		"look -T h ":     "type port server short",
		"look h mx ":     "port server short protocol",
		"look -t mx h -": "-p -T",
		"look h +":       "+short",
	} {
		var words []string
		for _, c := range lookTree().Complete(t.Context(), menu.Caller{}, nil, line, everybody).Candidates {
			words = append(words, c.Text)
		}
		if strings.Join(words, " ") != want {
			t.Errorf("%q: %v, want %s", line, words, want)
		}
	}
	if c := lookTree().Complete(t.Context(), menu.Caller{}, nil, "look h mx ", everybody); c.Value == nil ||
		c.Value.Text != "PORT" {
		t.Errorf("the value behind is not named: %+v", c.Value)
	}
	text, _ := lookTree().HelpText([]string{"look"}, everybody)
	for _, part := range []string{"look [name] NAME [[type] TYPE] [[port] PORT] [server SERVER]", "also -t TYPE",
		"also @SERVER", "also -T"} {
		if !strings.Contains(text, part) {
			t.Errorf("the help lacks %q:\n%s", part, text)
		}
	}
}

type keepArgs struct {
	Mask bool   `arg:"mask,positional:0?" help:"Mask."`
	Way  string `arg:"way,positional:0?" choices:"system|own" help:"Way."`
	Name string `arg:"name,positional:1" help:"Name."`
	Text string `arg:"text,stdin" help:"Text."`
}

// TestBefore: answers in the order of the questions precede the main value if they can be nothing
// else.
func TestBefore(t *testing.T) {
	tree := &menu.Menu{Items: []menu.Item{menu.Decl[keepArgs, echo]{
		Name: "keep", Help: "Keep.", Role: menu.Operator,
		Run:  func(context.Context, menu.Caller, keepArgs, *menu.Out[echo]) error { return nil },
		Text: func(io.Writer, echo) {},
	}.Command()}}
	for line, want := range map[string]menu.Arguments{
		"keep y 1":            {"mask": "y", "way": "system"},
		"keep NO own mine":    {"mask": "NO", "way": "own", "name": "mine"},
		"keep 2 mine":         {"way": "own", "name": "mine"},
		"keep 2 mask y mine":  nil,
		"keep y name mine":    {"mask": "y", "name": "mine"},
		"keep mine":           {"name": "mine"},
		"keep 'y'":            {"name": "y"},
		"keep sys":            {"name": "sys"},
		"keep 3":              {"name": "3"},
		"keep y 3":            {"mask": "y", "name": "3"},
		"keep 1 y":            {"way": "system", "name": "y"},
		"keep way 1":          {"way": "1"},
		"keep mask yes way 2": {"mask": "yes", "way": "2"},
	} {
		calls, err := tree.Parse(nil, line, true, nil)
		switch {
		case want == nil && err == nil:
			t.Errorf("%s was understood: %v", line, calls[0].Arguments)
		case want != nil && (err != nil || !reflect.DeepEqual(calls[0].Arguments, want)):
			t.Errorf("%s: %v, %v; want %v", line, calls, err, want)
		}
	}
	for line, want := range map[string]string{"keep y 1": "text", "keep mine": "", "keep text a": "", "keep": "text"} {
		if calls, err := tree.Parse(nil, line, false, nil); err != nil || calls[0].Input != want {
			t.Errorf("%s takes %q from standard input, want %q: %v", line, calls[0].Input, want, err)
		}
	}
	found := tree.Complete(context.Background(), menu.Caller{}, nil, "keep y 1 ", func(menu.Role) bool { return true })
	var words []string
	for _, c := range found.Candidates {
		words = append(words, c.Text)
	}
	if got := strings.Join(words, " "); got != "name text" || found.Value == nil {
		t.Errorf("behind keep y 1, %q is offered", got)
	}
}
