package menu

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
)

type bounds struct {
	SizeBytes int64 `json:"sizeBytes" arg:",size,unlimited,zero" alias:"size=MB" min:"4096"`
	Seconds   int64 `json:"seconds" arg:",seconds,unlimited,zero" alias:"duration" min:"1"`
}

type word string

type sharedOptions struct {
	OnGone word   `json:"onGone" arg:"" alias:"gone left" choices:"end|wait"`
	Limits bounds `json:"limits"`
	CPUs   []int  `json:"cpus" arg:""`
}

type aliasArgs struct {
	Name  string   `arg:"name,positional:1"`
	Given []string `arg:"*"`
	sharedOptions
}

// aliasCommand returns a command that keeps what it was run with.
func aliasCommand(got *aliasArgs) *Command {
	return Decl[aliasArgs, string]{Name: "act", Help: "Act.", Role: ReadOnly, Shape: Object,
		Text: func(io.Writer, string) {},
		Run: func(_ context.Context, _ Caller, a aliasArgs, _ *Out[string]) error {
			*got = a
			return nil
		},
	}.Command()
}

func TestAliasesOfArguments(t *testing.T) {
	for line, want := range map[string]string{
		"x ongone wait":                  `{"name":"x","ongone":"wait"}`,
		"x gone wait":                    `{"name":"x","ongone":"wait"}`,
		"x LEFT end":                     `{"name":"x","ongone":"end"}`,
		"x size 2":                       `{"name":"x","sizebytes":"2MB"}`,
		"x size 2KB":                     `{"name":"x","sizebytes":"2KB"}`,
		"x size unlimited":               `{"name":"x","sizebytes":"unlimited"}`,
		"x sizebytes 5000":               `{"name":"x","sizebytes":"5000"}`,
		"x duration 5m":                  `{"name":"x","seconds":"5m"}`,
		"x gone end ongone wait":         "ongone is given twice",
		"x gone end left wait":           "ongone is given twice",
		"x gonee end":                    "Did you mean ongone?",
		"x gone":                         "The value of ongone is missing",
		"x sizebytes 1 duration 5m what": `has no argument "what"`,
	} {
		words, err := Split(line)
		if err != nil {
			t.Fatal(err)
		}
		args, err := aliasCommand(nil).arguments(words[0], false)
		if err != nil {
			if e := new(Error); !errors.As(err, &e) || !strings.Contains(e.Message+" "+e.Hint, want) {
				t.Errorf("%s: %v; want %s", line, err, want)
			}
			continue
		}
		if got, _ := json.Marshal(args); string(got) != want {
			t.Errorf("%s: %s; want %s", line, got, want)
		}
	}
}

// TestArgumentsOfRecords: what a command writes as JSON it accepts again, in the same object, and
// under its former names too.
func TestArgumentsOfRecords(t *testing.T) {
	for object, want := range map[string]string{
		`{"onGone":"wait","limits":{"sizeBytes":5000,"seconds":90},"cpus":[0,2]}`: `{"name":"","onGone":"wait","limits":{"sizeBytes":5000,"seconds":90},"cpus":[0,2]}`,
		`{"ongone":"","limits":{"sizeBytes":0,"seconds":0},"cpus":[]}`:            `{"name":"","onGone":"","limits":{"sizeBytes":-1,"seconds":-1},"cpus":[]}`,
		`{"limits":{"sizeBytes":-1}}`:                                             `{"name":"","onGone":"","limits":{"sizeBytes":-1,"seconds":0},"cpus":null}`,
		`{"size":5000,"duration":"2m"}`:                                           `{"name":"","onGone":"","limits":{"sizeBytes":5000,"seconds":120},"cpus":null}`,
		`{"size":"2","gone":"wait"}`:                                              `{"name":"","onGone":"wait","limits":{"sizeBytes":2097152,"seconds":0},"cpus":null}`,
		`{"size":"2","sizeBytes":5000}`:                                           "sizebytes is given twice",
		`{"limits":{"onGone":"wait"}}`:                                            `has no argument "limits.onGone"`,
		`{"limits":{"nothing":1}}`:                                                `has no argument "limits.nothing"`,
		`{"bounds":{"sizeBytes":5000}}`:                                           `has no argument "bounds"`,
		`{"sizeBytes":100}`:                                                       "It is a size of at least 4KB",
		`{"cpus":["a"]}`:                                                          "It is numbers from 0",
		`{"limits":{"sizeBytes":5000},"x":{}}`:                                    `has no argument "x"`,
		`{"e":1,"b":1,"d":1,"a1":1,"c":1,"f":1,"g":1,"h":1,"i":1}`:                `has no argument "a1"`, // always the first
		`{"limits":{"e":1,"b":1,"d":1,"a1":1,"c":1,"f":1,"g":1}}`:                 `has no argument "limits.a1"`,
	} {
		var got aliasArgs
		d := json.NewDecoder(strings.NewReader(object))
		d.UseNumber()
		var decoded map[string]any
		if err := d.Decode(&decoded); err != nil {
			t.Fatal(err)
		}
		c := aliasCommand(&got)
		args, err := c.FromJSON(decoded)
		if err == nil {
			err = c.Run(t.Context(), Caller{}, args, nil, &textSink{})
		}
		if err != nil {
			if e := new(Error); !errors.As(err, &e) || !strings.Contains(e.Message+" "+e.Hint, want) {
				t.Errorf("%s: %v; want %s", object, err, want)
			}
			continue
		}
		text, _ := json.Marshal(struct {
			Name string `json:"name"`
			sharedOptions
		}{got.Name, got.sharedOptions})
		if string(text) != want {
			t.Errorf("%s: %s; want %s", object, text, want)
		}
		slices.Sort(got.Given)
		if names := slices.Sorted(maps.Keys(args)); !slices.Equal(names, got.Given) {
			t.Errorf("%s: %v are noted as given", object, got.Given)
		}
	}
}

func TestAliasesAreNamedModestly(t *testing.T) {
	c := aliasCommand(nil)
	m := &Menu{Items: []Item{c}}
	help, err := m.HelpText([]string{"act"}, func(Role) bool { return true })
	if err != nil || strings.Count(help, "gone, left") != 1 || !strings.Contains(help, "also gone, left") ||
		strings.Contains(c.Synopsis(nil), "[gone") {
		t.Errorf("help is\n%s, %v", help, err)
	}
	offered := func(line string) (texts []string) {
		for _, found := range m.Complete(t.Context(), Caller{Role: Administrator}, nil, line,
			func(Role) bool { return true }).Candidates {
			texts = append(texts, found.Text)
		}
		return texts
	}
	if got := offered("act x "); slices.Contains(got, "gone") || !slices.Contains(got, "ongone") {
		t.Errorf("after a blank %v are offered", got)
	}
	if got := offered("act x gon"); !slices.Equal(got, []string{"gone"}) {
		t.Errorf("for the beginning of an old name %v are offered", got)
	}
	if got := offered("act x gone w"); !slices.Equal(got, []string{"wait"}) {
		t.Errorf("for the value of an old name %v are offered", got)
	}
}

func TestDialogueOfSharedArguments(t *testing.T) {
	c := Decl[aliasArgs, string]{Name: "act", Role: ReadOnly, Text: func(io.Writer, string) {},
		Dialogue: []Asked{{Name: "sizebytes", Text: "How large, in MB?", Unit: "MB"},
			{Name: "ongone", Text: "What then?"}}}.Command()
	given := Arguments{}
	for _, want := range []struct{ name, answer string }{{"sizebytes", "3"}, {"ongone", "end"}} {
		q, err := c.Next(t.Context(), Caller{}, given, AskAll)
		if err != nil || q == nil || q.Name != want.name {
			t.Fatalf("asked is %+v, %v; want %s", q, err, want.name)
		}
		if given[q.Name], err = q.Answer(want.answer); err != nil {
			t.Fatal(err)
		}
	}
	if q, err := c.Next(t.Context(), Caller{}, given, AskAll); err != nil || q != nil || given["sizebytes"] != "3MB" {
		t.Errorf("then %+v, %v, %v", q, err, given)
	}
}

// TestSynopsis: what a line may give without its name stands where it may be given so, before all that
// has one.
func TestSynopsis(t *testing.T) {
	type args struct {
		User  string `arg:"user" help:"Name."`
		Count int    `arg:"count,positional:1" help:"Number."`
		Port  int    `arg:"port,positional:2" help:"Number."`
		All   bool   `arg:"all" help:"Yes."`
	}
	c := Decl[args, struct{}]{Name: "show", Help: "Show.", Text: func(io.Writer, struct{}) {},
		Run: func(context.Context, Caller, args, *Out[struct{}]) error { return nil }}.Command()
	if got := c.Synopsis([]string{"log", "show"}); got != "log show [[count] COUNT] [[port] PORT] [user USER] [all yes|no]" {
		t.Errorf("%s", got)
	}
}
