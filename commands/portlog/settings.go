package portlog

import (
	"context"
	"io"

	"diagsh/diag/ports"
	"diagsh/internal/menu"
)

func settingsCommand(s logService) *menu.Command {
	return menu.Decl[menu.NoArgs, ports.LogSettings]{
		Name:      "settings",
		Help:      "Show what the port log starts with.",
		Details:   "Change it with setup.",
		Role:      menu.ReadOnly,
		Topic:     "settings",
		Shape:     menu.Object,
		Resources: []menu.Resource{{Method: "GET", Path: "portlog-settings", Tagged: true}},
		Run: func(_ context.Context, _ menu.Caller, _ menu.NoArgs, out *menu.Out[ports.LogSettings]) error {
			return out.Record(s.PortLogSettings())
		},
		Text: writeSettings,
	}.Command()
}

func writeSettings(w io.Writer, s ports.LogSettings) { writeOptions(w, s.LogOptions) }
