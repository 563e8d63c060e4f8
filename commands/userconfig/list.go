package userconfig

import (
	"context"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

func listCommand(s Services) *menu.Command {
	return menu.Decl[menu.NoArgs, access.Account]{
		Name:      "list",
		Help:      "List the users with their last login.",
		Role:      menu.Administrator,
		Shows:     true,
		Resources: []menu.Resource{{Method: "GET", Path: "accounts", List: "accounts", Key: "user"}, {Method: "GET", Path: "accounts/{user}", Key: "user", Pick: true, Help: "Show one account."}},
		Topic:     "accounts",
		Run: func(_ context.Context, _ menu.Caller, _ menu.NoArgs, out *menu.Out[access.Account]) error {
			return out.Records(s.Accounts())
		},
		TextTable: accountTable,
	}.Command()
}
