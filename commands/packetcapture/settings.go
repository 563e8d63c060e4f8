package packetcapture

import (
	"context"

	"diagsh/capture"
	"diagsh/commands/shared/captures"
	"diagsh/internal/menu"
)

func settingsCommand(s captureService) *menu.Command {
	return menu.Decl[menu.NoArgs, capture.Settings]{
		Name:      "settings",
		Help:      "Show what captures start with.",
		Details:   "Change it with setup.",
		Role:      menu.ReadOnly,
		Topic:     "settings",
		Shape:     menu.Object,
		Resources: []menu.Resource{{Method: "GET", Path: "capture-settings", Tagged: true}},
		Run: func(_ context.Context, _ menu.Caller, _ menu.NoArgs, out *menu.Out[capture.Settings]) error {
			return out.Record(s.CaptureSettings())
		},
		Text: captures.Settings,
	}.Command()
}
