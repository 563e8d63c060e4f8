package token

import (
	"context"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

func listCommand(s Services) *menu.Command {
	return menu.Decl[menu.NoArgs, access.Token]{
		Name:      "list",
		Help:      "List your tokens with their last use.",
		Details:   "An administrator sees those of all accounts. Tokens that have expired are listed for 30 days.",
		Role:      menu.ReadOnly,
		Shows:     true,
		Resources: []menu.Resource{{Method: "GET", Path: "tokens", List: "tokens", Key: "token"}, {Method: "GET", Path: "tokens/{token}", Key: "token", Pick: true, Help: "Show one token."}},
		Topic:     "tokens",
		Run: func(_ context.Context, caller menu.Caller, _ menu.NoArgs, out *menu.Out[access.Token]) error {
			return out.Records(s.Tokens(caller))
		},
		TextTable: tokenTable,
	}.Command()
}
