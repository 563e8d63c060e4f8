package userconfig

import (
	"context"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

type roleArgs struct {
	User string `arg:"user,positional:1,required" ask:"User" help:"Name of the account."`
	Role string `arg:"role,positional:2,required" ask:"Role" choices:"administrator|operator|readonly|support" help:"What the user may do."`
}

func roleCommand(s Services) *menu.Command {
	return menu.Decl[roleArgs, changedAccount]{
		Name: "role",
		Help: "Change what a user may do.",
		Details: "It holds at once, in open sessions too. A user who may do less than before is logged out if a " +
			"command or SFTP of theirs runs. A support account without an end gets one in 7 days.",
		Role:      menu.Administrator,
		Resources: []menu.Resource{{Method: "PUT", Path: "accounts/{user}/role"}},
		Shape:     menu.Object,
		Ask: func(_ context.Context, _ menu.Caller, a roleArgs, q *menu.Question) error {
			return askOf(s, a.User, q, func(account access.Account) error {
				askRole(q)
				q.Default = string(account.Role)
				return nil
			})
		},
		Run: func(_ context.Context, caller menu.Caller, a roleArgs, out *menu.Out[changedAccount]) error {
			account, err := s.Account(a.User)
			if err != nil {
				return err
			}
			account.Role = menu.Role(a.Role)
			if account.Role == menu.Support && account.Expires == nil {
				account.Expires = supportExpiry()
			}
			return update(s, caller, account, out)
		},
		Text: changedText,
	}.Command()
}
