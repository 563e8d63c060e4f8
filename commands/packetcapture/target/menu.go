// Package target is the menu packetcapture > target: places that captures are copied to.
package target

import (
	"context"

	"diagsh/capture"
	"diagsh/internal/menu"
)

// A Service keeps the targets.
type Service interface {
	Lister
	AddTarget(ctx context.Context, caller menu.Caller, t capture.Target, secret menu.Secret) (capture.Target, error)
	ChangeTarget(ctx context.Context, caller menu.Caller, name string, change capture.TargetChange) (capture.Target, error)
	DeleteTarget(caller menu.Caller, name string) error
	ExportKey() (string, error)
}

// A Lister knows the targets.
type Lister interface{ Targets() []capture.Target }

// Menu returns packetcapture > target.
func Menu(s Service) *menu.Menu {
	return &menu.Menu{
		Name:  "target",
		Help:  "Places that captures are copied to.",
		Items: []menu.Item{newCommand(s), listCommand(s), editCommand(s), deleteCommand(s)},
	}
}

// Choose offers the targets.
func Choose(s Lister, q *menu.Question) {
	for _, t := range s.Targets() {
		q.Choices = append(q.Choices, menu.Choice{Value: t.Name})
	}
	q.Open, q.Required = true, true
}
