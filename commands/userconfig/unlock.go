package userconfig

import (
	"context"
	"fmt"
	"io"
	"slices"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

type unlockArgs struct {
	User string `arg:"user,positional:1,required" ask:"User" help:"Name of the account."`
}

func unlockCommand(s Services) *menu.Command {
	return menu.Decl[unlockArgs, access.Account]{
		Name:      "unlock",
		Help:      "Let a user log in again who was locked after failed logins.",
		Role:      menu.Administrator,
		Resources: []menu.Resource{{Method: "POST", Path: "accounts/{user}/unlock"}},
		Shape:     menu.Object,
		Hidden: func(context.Context) bool {
			return !slices.ContainsFunc(s.Accounts(), func(a access.Account) bool { return a.Locked != nil })
		},
		Ask: func(_ context.Context, _ menu.Caller, _ unlockArgs, q *menu.Question) error {
			chooseUser(s, q)
			return nil
		},
		Run: func(_ context.Context, _ menu.Caller, a unlockArgs, out *menu.Out[access.Account]) error {
			if err := s.UnlockAccount(a.User); err != nil {
				return err
			}
			return yieldAccount(s, a.User, out)
		},
		Text: func(w io.Writer, a access.Account) { fmt.Fprintf(w, "User %s is not locked.\n", a.User) },
	}.Command()
}
