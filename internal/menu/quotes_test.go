package menu_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"diagsh/internal/menu"
)

// ends are Records.
type ends []struct{ Port string }

func (e ends) String() string { return fmt.Sprint(len(e)) }

func (e *ends) Set(text string) error {
	*e = make(ends, len(strings.Fields(text)))
	return nil
}

// A value of several words without quotes is refused with the line that is meant. Where it is not all
// that is wrong, the hint has the value beside the other fault.
func TestSeveralWordsWithoutQuotes(t *testing.T) {
	type startArgs struct {
		Name       string      `arg:"name,positional:1" help:"Name."`
		Interfaces []string    `arg:"interfaces" help:"Interfaces."`
		Filter     string      `arg:"filter,assisted" help:"Filter."`
		Ends       ends        `arg:"ends" help:"Ends."`
		Secret     menu.Secret `arg:"secret" help:"Secret."`
	}
	type explainArgs struct {
		Expression string `arg:"expression,positional:1,assisted" help:"Filter."`
	}
	text := func(io.Writer, struct{}) {}
	top := &menu.Menu{Items: []menu.Item{&menu.Menu{Name: "captures", Items: []menu.Item{
		menu.Decl[startArgs, struct{}]{Name: "start", Text: text,
			Run: func(context.Context, menu.Caller, startArgs, *menu.Out[struct{}]) error { return nil }}.Command(),
		menu.Decl[explainArgs, struct{}]{Name: "explain", Text: text,
			Run: func(context.Context, menu.Caller, explainArgs, *menu.Out[struct{}]) error { return nil }}.Command(),
	}}}}
	const meant = "A value of several words is in quotes: "
	for line, want := range map[string]string{
		"captures start x ends tcp remoteport 443":                            meant + `captures start x ends "tcp remoteport 443"`,
		"captures --json start x ends tcp remoteport 443 interfaces 'a b'":    meant + `captures start x ends "tcp remoteport 443" interfaces "a b"`,
		"captures start filter host 192.0.2.1 and port 25":                    meant + `captures start filter "host 192.0.2.1 and port 25"`,
		`captures start filter host 'a"b' or c`:                               meant + `captures start filter 'host a"b or c'`,
		"captures start x filter host a ends tcp remoteport 443":              meant + `captures start x filter "host a" ends "tcp remoteport 443"`,
		"captures start filter host a any 'b' ends tcp remoteport 443 secret": meant + `filter "host a any b" ends "tcp remoteport 443"`,
		"captures explain 'a' b":                                              "It takes expression",
		"captures explain tcp port 80":                                        meant + `captures explain "tcp port 80"`,
		"captures start x any ends tcp remoteport 443":                        meant + `ends "tcp remoteport 443". Before any a keyword is missing: name, interfaces, filter, ends, secret`,
		"captures start x intefaces a ends tcp remoteport 443":                meant + `ends "tcp remoteport 443". Did you mean interfaces?`,
		"captures start x secret hidden ends tcp remoteport 443":              meant + `ends "tcp remoteport 443"`,
		"captures start x ends 'tcp' interfacess a":                           "Did you mean interfaces?",
		"captures start x interfaces a b":                                     "It takes name, interfaces, filter, ends, secret",
	} {
		_, err := top.Parse(nil, line, false, nil)
		if e := menu.AsError(err); e == nil || e.Code != menu.Usage || e.Hint != want {
			t.Errorf("%s: %+v\nwant %s", line, e, want)
		}
	}
}

// A value in JSON that an argument cannot have is refused by what it is, with what it must be.
func TestValuesInJSON(t *testing.T) {
	type limits struct {
		Bytes   int64 `json:"bytes" arg:",size" help:"Bytes."`
		Seconds int64 `json:"seconds" arg:",seconds" help:"Time."`
	}
	type setArgs struct {
		Name   string    `json:"name" arg:"" help:"Name."`
		List   []string  `json:"list" arg:"" help:"List."`
		CPUs   []int     `json:"cpus" arg:"" help:"CPUs."`
		Own    []string  `arg:"own" help:"No record has it."`
		Ends   ends      `json:"ends" arg:"" help:"Ends."`
		On     bool      `json:"on" arg:"" help:"On."`
		Count  int       `json:"count" arg:"" help:"Count."`
		Until  time.Time `json:"until" arg:"" help:"Until."`
		Limits limits    `json:"limits"`
	}
	c := menu.Decl[setArgs, struct{}]{Name: "set", Text: func(io.Writer, struct{}) {},
		Run: func(context.Context, menu.Caller, setArgs, *menu.Out[struct{}]) error { return nil }}.Command()
	for object, want := range map[string]string{
		`{"name":null}`:             "name is null. Leave it out, or give a text.",
		`{"list":null}`:             "list is null. Leave it out, or give an array of texts; [] is none.",
		`{"own":null}`:              "own is null. Leave it out, or give an array of texts.",
		`{"cpus":null}`:             "cpus is null. Leave it out, or give an array of numbers; [] is none.",
		`{"ends":null}`:             "ends is null. Leave it out, or give an array of objects; [] is none.",
		`{"on":null}`:               "on is null. Leave it out, or give true or false.",
		`{"count":null}`:            "count is null. Leave it out, or give a whole number.",
		`{"until":null}`:            `until is null. Leave it out, or give a text such as "2026-03-01T10:15:00Z".`,
		`{"limits":null}`:           "limits is null. Leave it out, or give an object.",
		`{"limits":5}`:              "limits cannot be a number. Give an object.",
		`{"limits":{"bytes":null}}`: `bytes is null. Leave it out, or give a number of bytes, or a text such as "200MB".`,
		`{"limits":{"seconds":[]}}`: `seconds cannot be an array. Give a number of seconds, or a text such as "5m".`,
		`{"ends":{"port":"5"}}`:     "ends cannot be an object. Give an array of objects; [] is none.",
		`{"name":["a"]}`:            "name cannot be an array. Give a text.",
		`{"list":["a",null]}`:       "A value in list is null. Leave it out, or give a text.",
		`{"list":[true]}`:           "A value in list cannot be true or false. Give a text.",
		`{"cpus":[{}]}`:             "A value in cpus cannot be an object. Give a number.",
		`{"list":["a,b"]}`:          `"a,b" in list has a comma, which separates values. Give each value as a text of its own.`,
		`{"list":[],"limits":{}}`:   "",
	} {
		var decoded map[string]any
		d := json.NewDecoder(strings.NewReader(object))
		d.UseNumber()
		if err := d.Decode(&decoded); err != nil {
			t.Fatal(err)
		}
		said := ""
		if _, err := c.FromJSON(decoded); err != nil {
			e := menu.AsError(err)
			said = e.Message + ". " + e.Hint + "."
		}
		if said != want {
			t.Errorf("%s: %s\nwant %s", object, said, want)
		}
	}
}
