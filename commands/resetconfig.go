package commands

import (
	"context"

	"diagsh/commands/shared/changes"
	"diagsh/internal/config"
	"diagsh/internal/menu"
)

type resetService interface {
	changes.Editor
	ResetConfiguration(caller menu.Caller) error
}

type resetconfigArgs struct {
	Confirm menu.Confirm `arg:"confirm" ask:"Reset the configuration to factory values?" help:"Say yes: all settings become what they were at first."`
}

// resetconfig returns the command that makes the factory's configuration pending. The configuration
// does not contain accounts, captures and the audit log.
func resetconfig(s resetService) *menu.Command {
	return menu.Decl[resetconfigArgs, config.Change]{
		Name: "resetconfig",
		Help: "Take all settings back to factory values.",
		Details: "The factory values are pending, and replace your pending changes; commit makes them hold. Users " +
			"and captures are kept.",
		Role: menu.Administrator,
		Run: func(_ context.Context, caller menu.Caller, _ resetconfigArgs, out *menu.Out[config.Change]) error {
			return changes.Yield(s, caller, out, func() error { return s.ResetConfiguration(caller) })
		},
		TextTable: changes.Pending,
	}.Command()
}
