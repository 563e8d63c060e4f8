package commands

import (
	"context"
	"io"

	"diagsh/commands/shared/accounts"
	"diagsh/internal/menu"
)

// A passwordService keeps the passwords.
type passwordService interface {
	CheckPassword(ctx context.Context, user string, password menu.Secret) error
	SetPassword(user string, password menu.Secret, by string) (ended int, err error)
}

type passwdArgs struct {
	Old menu.Secret `arg:"old,required" label:"Present password" ask:"Old password" help:"The password as it is."`
	New menu.Secret `arg:"new,required" label:"New password" ask:"New password" help:"The new password: at least 8 characters."`
}

// A passwdResult is a user whose password was changed, and the number of the user's other logins
// that this ended.
type passwdResult struct {
	User  string `json:"user"`
	Ended int    `json:"loginsEnded"`
}

// passwd returns the command that changes the caller's own password.
func passwd(s passwordService) *menu.Command {
	return menu.Decl[passwdArgs, passwdResult]{
		Name:    "passwd",
		Help:    "Change your own password.",
		Details: "Your other logins end; this one stays.",
		Role:    menu.ReadOnly,
		Shape:   menu.Object,
		Ask: func(_ context.Context, _ menu.Caller, _ passwdArgs, q *menu.Question) error {
			q.Twice = q.Name == "new"
			return nil
		},
		Run: func(ctx context.Context, caller menu.Caller, a passwdArgs, out *menu.Out[passwdResult]) error {
			if caller.Token != "" { // which may have less rights than the password gives
				return menu.Errorf(menu.Denied, "A token cannot change the password").WithHint("Log in with the password and change it there")
			}
			if err := s.CheckPassword(ctx, caller.User, a.Old); err != nil {
				return menu.Blame("old", err)
			}
			ended, err := s.SetPassword(caller.User, a.New, caller.Session)
			if err != nil {
				return menu.Blame("new", err)
			}
			return out.Record(passwdResult{caller.User, ended})
		},
		Text: func(w io.Writer, r passwdResult) { accounts.PasswordChanged(w, r.User, r.Ended) },
	}.Command()
}
