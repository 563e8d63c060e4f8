package userconfig

import (
	"context"
	"fmt"
	"io"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

type deleteArgs struct {
	User    string       `arg:"user,positional:1,required" ask:"User to delete" help:"Name of the account."`
	Confirm menu.Confirm `arg:"confirm" ask:"Delete this user?" help:"Say yes: the account is removed and its sessions end."`
}

func deleteCommand(s Services) *menu.Command {
	return menu.Decl[deleteArgs, changedAccount]{
		Name:      "delete",
		Help:      "Remove a user; sessions of the user end.",
		Role:      menu.Administrator,
		Resources: []menu.Resource{{Method: "DELETE", Path: "accounts/{user}", Status: 204}},
		Shape:     menu.Object,
		Ask: func(_ context.Context, _ menu.Caller, a deleteArgs, q *menu.Question) error {
			return askOf(s, a.User, q, func(access.Account) error {
				q.Text = fmt.Sprintf("Delete the user %s?", a.User)
				return nil
			})
		},
		Run: func(_ context.Context, _ menu.Caller, a deleteArgs, out *menu.Out[changedAccount]) error {
			account, err := s.Account(a.User)
			if err != nil {
				return err
			}
			ended, err := s.DeleteAccount(a.User)
			if err != nil {
				return err
			}
			return out.Record(changedAccount{account, ended})
		},
		Text: func(w io.Writer, c changedAccount) {
			fmt.Fprintf(w, "User %s deleted.\n", c.User)
			endedText(w, c)
		},
	}.Command()
}
