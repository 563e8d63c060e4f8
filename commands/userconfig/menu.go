// Package userconfig is the menu userconfig: who may log in, and as what.
package userconfig

import (
	"context"
	"io"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// Services keeps the accounts. It refuses a change that would leave the appliance without an
// administrator who can log in.
type Services interface {
	Accounts() []access.Account
	Account(user string) (access.Account, error)
	CheckNewUser(user string) error
	CreateAccount(a access.Account, password menu.Secret) error
	UpdateAccount(a access.Account, by string) (ended int, err error)
	DeleteAccount(user string) (ended int, err error)
	SetPassword(user string, password menu.Secret, by string) (ended int, err error)
	AddKey(user, authorizedKey string) (access.Key, error)
	RemoveKey(user, fingerprint, by string) (ended int, err error)
	UnlockAccount(user string) error
	signInService
}

// Menu returns userconfig.
func Menu(s Services) *menu.Menu {
	return &menu.Menu{
		Name: "userconfig",
		Help: "Manage who may log in, and as what.",
		Status: func(_ context.Context, _ menu.Caller, w io.Writer) error {
			accountTable(w, s.Accounts())
			return nil
		},
		Items: []menu.Item{
			newCommand(s),
			editCommand(s),
			deleteCommand(s),
			passwordCommand(s),
			keyCommand(s),
			roleCommand(s),
			unlockCommand(s),
			listCommand(s),
			signInMenu(s),
		},
	}
}
