package menu_test

import (
	"context"
	"io"
	"testing"

	"diagsh/internal/menu"
)

// Who writes help behind a command means no thing of that name. By its keyword, or in quotes, it is one.
func TestHelpBehindACommand(t *testing.T) {
	type newArgs struct {
		Name string `arg:"name,positional:1" help:"Name."`
		Role string `arg:"role" help:"Role."`
	}
	type lookArgs struct {
		Host string `arg:"host,positional:1" help:"Host."`
		Port string `arg:"port" flag:"-p" help:"Port."`
	}
	top := &menu.Menu{Items: []menu.Item{&menu.Menu{Name: "token", Items: []menu.Item{
		menu.Decl[newArgs, struct{}]{Name: "new", Text: func(io.Writer, struct{}) {},
			Run: func(context.Context, menu.Caller, newArgs, *menu.Out[struct{}]) error { return nil }}.Command(),
		menu.Decl[lookArgs, struct{}]{Name: "look", Text: func(io.Writer, struct{}) {},
			Run: func(context.Context, menu.Caller, lookArgs, *menu.Out[struct{}]) error { return nil }}.Command(),
	}}}}
	const refused = "help stands before a command: help token new. As a value it needs its keyword: name help"
	for line, want := range map[string]string{
		"token new help":         refused,
		"token new HELP":         refused,
		"token new --help":       refused,
		"token new -h":           refused,
		"token look help":        "help stands before a command: help token look. As a value it needs its keyword: host help",
		"token look -h":          `look has no flag "-h". It takes -p PORT, and what help look lists`,
		"token new name help":    "",
		"token new 'help'":       "",
		"token new help role op": "",
		"token new helper":       "",
	} {
		_, err := top.Parse(nil, line, false, nil)
		said := ""
		if err != nil {
			said = menu.AsError(err).Message + ". " + menu.AsError(err).Hint
		}
		if said != want {
			t.Errorf("%s: %q; want %q", line, said, want)
		}
	}
}
