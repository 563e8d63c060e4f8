// Package copies is the menu packetcapture > copies: what users do to copies of captures on their way
// to targets, and the bounds of all of them.
package copies

import (
	"context"
	"slices"

	"diagsh/capture"
	"diagsh/internal/menu"
)

// A Service makes the copies.
type Service interface {
	Targets() []capture.Target
	Exports() []capture.Export
	PauseCopies(caller menu.Caller, c capture.Copies) ([]capture.Export, error)
	ResumeCopies(caller menu.Caller, c capture.Copies) ([]capture.Export, error)
	CancelCopies(caller menu.Caller, c capture.Copies) ([]capture.Export, error)
	RetryCopies(caller menu.Caller, c capture.Copies) ([]capture.Export, error)
	ExportSettings() capture.ExportSettings
	SetExportSettings(caller menu.Caller, edit func(*capture.ExportSettings)) (capture.ExportSettings, error)
}

// Menu returns packetcapture > copies.
func Menu(s Service) *menu.Menu {
	return &menu.Menu{
		Name:  "copies",
		Help:  "Pause, resume and cancel copies to targets, or try again.",
		Items: []menu.Item{pauseCommand(s), resumeCommand(s), cancelCommand(s), againCommand(s), settingsCommand(s), setupCommand(s)},
	}
}

// choose offers targets that copies go to, and then the files of the target whose copies may change.
func choose(s Service, target string, right func(capture.Export) bool, q *menu.Question) {
	var names []string
	switch q.Name {
	case "target":
		for _, t := range s.Targets() {
			names = append(names, t.Name)
		}
		q.Required = true
	case "file":
		for _, e := range s.Exports() {
			if e.Target == target && right(e) && !slices.Contains(names, e.File) {
				names = append(names, e.File)
			}
		}
	default:
		return
	}
	for _, name := range names {
		q.Choices = append(q.Choices, menu.Choice{Value: name})
	}
	q.Open = true
}

// none hides a command while there are no copies that it is for.
func none(s Service, right func(capture.Export) bool) func(context.Context) bool {
	return func(context.Context) bool { return !slices.ContainsFunc(s.Exports(), right) }
}
