package copies

import (
	"context"

	"diagsh/capture"
	"diagsh/commands/shared/captures"
	"diagsh/internal/menu"
)

func settingsCommand(s Service) *menu.Command {
	return menu.Decl[menu.NoArgs, capture.ExportSettings]{
		Name:      "settings",
		Help:      "Show the bounds of all copies.",
		Details:   "Change them with setup.",
		Role:      menu.ReadOnly,
		Shape:     menu.Object,
		Resources: []menu.Resource{{Method: "GET", Path: "export-settings", Tagged: true}},
		Run: func(_ context.Context, _ menu.Caller, _ menu.NoArgs, out *menu.Out[capture.ExportSettings]) error {
			return out.Record(s.ExportSettings())
		},
		Text: captures.ExportSettings,
	}.Command()
}
