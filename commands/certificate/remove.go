package certificate

import (
	"context"

	"diagsh/commands/shared/changes"
	"diagsh/internal/config"
	"diagsh/internal/menu"
)

func removeCommand(s Services) *menu.Command {
	return menu.Decl[menu.NoArgs, config.Change]{
		Name: "remove",
		Help: "Go back to the certificate that the appliance made itself.",
		Details: "It is pending until commit. The certificate that is removed stays for as long as rollbackconfig can bring " +
			"it back.",
		Role: menu.Administrator,
		Run: func(_ context.Context, caller menu.Caller, _ menu.NoArgs, out *menu.Out[config.Change]) error {
			return changes.Edit(s, caller, out, func(d config.Document) error {
				instead(d, "")
				return nil
			})
		},
		TextTable: changes.Pending,
	}.Command()
}
