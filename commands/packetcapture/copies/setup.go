package copies

import (
	"context"
	"slices"

	"diagsh/capture"
	"diagsh/commands/shared/captures"
	"diagsh/internal/menu"
)

type setupArgs struct {
	capture.ExportSettings
	Given []string `arg:"*"`
}

func setupCommand(s Service) *menu.Command {
	return menu.Decl[setupArgs, capture.ExportSettings]{
		Name: "setup",
		Help: "Change the bounds of all copies.",
		Details: "They hold at once, for copies that are under way too, and over a restart. What is not given stays. A target has a bound " +
			"of its own beside them (target new, target edit).",
		Role: menu.Administrator,
		Resources: []menu.Resource{
			{Method: "PUT", Path: "export-settings", Tagged: true, Help: "Change the bounds of all copies; what is left out stays."},
			{Method: "PATCH", Path: "export-settings", Tagged: true},
		},
		Shape: menu.Object,
		Run: func(_ context.Context, caller menu.Caller, a setupArgs, out *menu.Out[capture.ExportSettings]) error {
			now, err := s.SetExportSettings(caller, a.edit)
			if err != nil {
				return err
			}
			return out.Record(now)
		},
		Text: captures.ExportSettings,
	}.Command()
}

// edit changes what is given.
func (a setupArgs) edit(to *capture.ExportSettings) {
	for _, one := range []struct {
		name     string
		to, from *int64
	}{
		{"parallel", &to.Parallel, &a.Parallel}, {"parallelpertarget", &to.PerTarget, &a.PerTarget},
		{"bytespersecond", &to.BytesPerSecond, &a.BytesPerSecond}, {"giveupseconds", &to.GiveUpSeconds, &a.GiveUpSeconds},
	} {
		if slices.Contains(a.Given, one.name) {
			*one.to = max(0, *one.from)
		}
	}
}
