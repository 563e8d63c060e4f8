package menu_test

import (
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"diagsh/internal/menu"
)

type waitArgs struct {
	Wait time.Duration `arg:"wait,positional:1,required" unit:"m" min:"1" max:"3600" help:"Minutes."`
}

// waiting returns a command whose bare numbers are minutes, and which only anna sees in its menu.
func waiting(got *time.Duration) *menu.Menu {
	c := menu.Decl[waitArgs, struct{}]{
		Name: "wait", Help: "Wait.", Role: menu.ReadOnly,
		HiddenFrom: func(_ context.Context, caller menu.Caller) bool { return caller.User != "anna" },
		Run: func(_ context.Context, _ menu.Caller, a waitArgs, _ *menu.Out[struct{}]) error {
			*got = a.Wait
			return nil
		},
		Text: func(io.Writer, struct{}) {},
	}.Command()
	return &menu.Menu{Items: []menu.Item{c}}
}

func TestDurationWithUnit(t *testing.T) {
	var got time.Duration
	c := waiting(&got).Find([]string{"wait"}).(*menu.Command)
	for text, want := range map[string]time.Duration{"5": 5 * time.Minute, "5s": 5 * time.Second,
		"1m30s": 90 * time.Second} {
		if err := c.Run(t.Context(), menu.Caller{}, menu.Arguments{"wait": text}, nil, &page{}); err != nil ||
			got != want {
			t.Errorf("%q is %v, %v", text, got, err)
		}
	}
	// In JSON a number of a duration is seconds, whatever the unit of the text.
	args, err := c.FromJSON(map[string]any{"wait": json.Number("90")})
	if err == nil {
		err = c.Run(t.Context(), menu.Caller{}, args, nil, &page{})
	}
	if err != nil || got != 90*time.Second {
		t.Errorf("90 in JSON is %v, %v", got, err)
	}
	for _, wrong := range []string{"", "61", "0", "m"} {
		if err := c.Run(t.Context(), menu.Caller{}, menu.Arguments{"wait": wrong}, nil,
			&page{}); menu.AsError(err) == nil || menu.AsError(err).Argument != "wait" {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

func TestHiddenFrom(t *testing.T) {
	m := waiting(new(time.Duration))
	everybody := func(menu.Role) bool { return true }
	for user, want := range map[string]int{"anna": 1, "bert": 0} {
		if found := m.Complete(t.Context(), menu.Caller{User: user}, nil, "",
			everybody); len(found.Candidates) != want {
			t.Errorf("%s is offered %+v", user, found.Candidates)
		}
	}
}

// TestErrorWithAList: after a message that ends in a list, the hint is on a line of its own.
func TestErrorWithAList(t *testing.T) {
	err := menu.Errorf(menu.State, "It changed:\n  a: 1").WithHint("Look at it")
	if got := err.Error(); got != "It changed:\n  a: 1\nLook at it." || strings.Contains(got, "1.") {
		t.Errorf("%q", got)
	}
}
