package menu_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"diagsh/internal/menu"
)

// TestEmptyValues: a line that gives a value gives none that is empty, as a script does whose variable
// is not set, where that would pass for no bound. An empty answer in a dialogue leaves the argument out.
func TestEmptyValues(t *testing.T) {
	type boundArgs struct {
		Sources []string   `arg:"sources,bound" ask:"Networks" help:"Networks."`
		Name    string     `arg:"name,bound" ask:"Name" help:"Name."`
		Count   int        `arg:"count" ask:"Count" help:"Number."`
		Until   *time.Time `arg:"until,after,unlimited" ask:"Until" help:"End."`
		Payload *bool      `arg:"payload" ask:"Contents" help:"Contents."`
		Role    string     `arg:"role" choices:"a|b" ask:"Role" help:"Role."`
		Note    string     `arg:"note" ask:"Note" help:"Free text."`
		OnGone  string     `json:"onGone" arg:"" choices:"wait|end" help:"A word of a record."`
		Events  []string   `json:"events" arg:"" choices:"open|close" help:"Words of a record."`
		Process string     `json:"process" arg:",bound" help:"A text of a record."`
		Ports   []string   `json:"ports" arg:",bound" help:"A list of a record."`
	}
	ran := 0
	c := menu.Decl[boundArgs, struct{}]{Name: "new", Help: "Make.", Text: func(io.Writer, struct{}) {},
		Run: func(context.Context, menu.Caller, boundArgs, *menu.Out[struct{}]) error { ran++; return nil }}.Command()
	top := &menu.Menu{Items: []menu.Item{c}}
	for name, accepted := range map[string]bool{"sources": false, "name": false, "count": false, "until": false, "payload": false,
		"role": false, "note": true, "ongone": true, "events": true, "process": false, "ports": false} {
		before := ran
		calls, err := top.Parse(nil, "new "+name+" ''", false, nil)
		if err == nil {
			err = c.Run(t.Context(), menu.Caller{}, calls[0].Arguments, nil, &page{})
		}
		if e := menu.AsError(err); accepted != (err == nil) || accepted != (ran > before) ||
			!accepted && (e.Code != menu.Usage || e.Argument != name || !strings.Contains(e.Hint, "leave "+name+" out")) {
			t.Errorf("an empty %s: %v, ran: %v", name, err, ran > before)
		}
		if q, err := c.Next(t.Context(), menu.Caller{}, menu.Arguments{name: ""}, menu.AskAll); q == nil || err != nil || q.Name == name {
			t.Errorf("a dialogue with an empty answer for %s asks %v, %v", name, q, err)
		}
	}
	for name, text := range map[string]any{"sources": []any{}, "count": "", "role": ""} {
		args, err := c.FromJSON(map[string]any{name: text})
		if err == nil {
			err = c.Run(t.Context(), menu.Caller{}, args, nil, &page{})
		}
		if err == nil || menu.AsError(err).Argument != name {
			t.Errorf("%s of %v in JSON: %v", name, text, err)
		}
	}
	args, err := c.FromJSON(map[string]any{"process": "", "ports": []any{}}) // as a record is read, so it can be written back
	if err == nil {
		err = c.Run(t.Context(), menu.Caller{}, args, nil, &page{})
	}
	if err != nil {
		t.Errorf("empty members of a record: %v", err)
	}
	if q, err := c.Next(t.Context(), menu.Caller{}, menu.Arguments{}, menu.AskAll); err != nil || !q.Leaves {
		t.Errorf("the question is %+v, %v: it does not say that an empty answer leaves the argument out", q, err)
	}
}
