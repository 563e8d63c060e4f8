package userconfig

import (
	"context"
	"io"

	"diagsh/commands/shared/accounts"
	"diagsh/internal/access"
	"diagsh/internal/menu"
)

type passwordArgs struct {
	User     string      `arg:"user,positional:1,required" ask:"User" help:"Name of the account."`
	Password menu.Secret `arg:"password,required" ask:"New password" help:"At least 8 characters."`
}

func passwordCommand(s Services) *menu.Command {
	return menu.Decl[passwordArgs, changedAccount]{
		Name:    "password",
		Help:    "Give a user a new password; sessions of the user end.",
		Details: "If it is your own account, the login by which you do this stays.",
		Role:    menu.Administrator,
		Shape:   menu.Object,
		Ask: func(_ context.Context, _ menu.Caller, a passwordArgs, q *menu.Question) error {
			return askOf(s, a.User, q, func(access.Account) error {
				q.Twice = true
				return nil
			})
		},
		Run: func(_ context.Context, caller menu.Caller, a passwordArgs, out *menu.Out[changedAccount]) error {
			ended, err := s.SetPassword(a.User, a.Password, caller.Session)
			if err != nil {
				return err
			}
			account, err := s.Account(a.User)
			if err != nil {
				return err
			}
			return out.Record(changedAccount{account, ended})
		},
		Text: func(w io.Writer, p changedAccount) { accounts.PasswordChanged(w, p.User, p.Ended) },
	}.Command()
}
