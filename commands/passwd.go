package commands

import (
	"context"
	"fmt"
	"io"

	"diagsh/menu"
)

// passwordService keeps the passwords.
type passwordService interface {
	CheckPassword(ctx context.Context, user string, password menu.Secret) error
	SetPassword(user string, password menu.Secret) error
}

type passwdArgs struct {
	Old menu.Secret `arg:"old,required" ask:"Old password" help:"The password as it is."`
	New menu.Secret `arg:"new,required" ask:"New password" help:"The new password: at least 8 characters."`
}

// passwdResult says whose password was changed.
type passwdResult struct {
	User string `json:"user"`
}

// passwd changes the caller's own password.
func passwd(s passwordService) *menu.Command {
	return menu.Spec[passwdArgs, passwdResult]{
		Name:  "passwd",
		Help:  "Change your own password.",
		Role:  menu.ReadOnly,
		Shape: menu.Object,
		Ask: func(_ context.Context, _ menu.Caller, _ passwdArgs, q *menu.Question) error {
			q.Twice = q.Name == "new"
			return nil
		},
		Run: func(ctx context.Context, caller menu.Caller, a passwdArgs, out *menu.Out[passwdResult]) error {
			if err := s.CheckPassword(ctx, caller.User, a.Old); err != nil {
				return blame("old", err)
			}
			if err := s.SetPassword(caller.User, a.New); err != nil {
				return blame("new", err)
			}
			return out.Record(passwdResult{caller.User})
		},
		Text: func(w io.Writer, r passwdResult) { fmt.Fprintf(w, "The password of %s is changed.\n", r.User) },
	}.Command()
}
