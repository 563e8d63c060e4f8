package userconfig

import (
	"context"
	"fmt"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

type newArgs struct {
	User       string      `arg:"user,positional:1,required" ask:"User name" help:"Name of the account, of lower-case letters, digits, dots, hyphens and underscores."`
	FullName   string      `arg:"fullname" label:"Full name" ask:"Full name" help:"Who it is."`
	Role       string      `arg:"role" ask:"Role" default:"operator" choices:"administrator|operator|readonly|support" help:"What the user may do."`
	ExpiryTime *time.Time  `arg:"expirytime,after,unlimited" label:"Expires" alias:"expires" ask:"Expires after a duration such as 7d or 12h, or at a time" min:"60" help:"When the account ends: after a time from now such as 7d, or at a date and time; unlimited for never."`
	Payload    bool        `arg:"payload" label:"Packet contents" ask:"May this support account see packet contents?" default:"no" help:"A support account may capture and read packet contents."`
	Password   menu.Secret `arg:"password" ask:"Password (Enter for none: public keys only)" help:"At least 8 characters; none for public keys only."`
	Key        string      `arg:"key" help:"A public key as in authorized_keys; in a line of commands, in quotes."`
}

func newCommand(s Services) *menu.Command {
	return menu.Decl[newArgs, access.Account]{
		Name:      "new",
		Help:      "Add a user.",
		Role:      menu.Administrator,
		Resources: []menu.Resource{{Method: "POST", Path: "accounts", Status: 201, Location: "accounts/{user}"}},
		Shape:     menu.Object,
		Ask: func(_ context.Context, _ menu.Caller, a newArgs, q *menu.Question) error {
			support := a.Role == string(menu.Support)
			switch q.Name {
			case "role":
				askRole(q)
			case "expirytime":
				q.Skip, q.Default = !support, fmt.Sprintf("%dd", supportDays)
			case "payload":
				q.Skip = !support
			case "password":
				q.Twice = true
			}
			return nil
		},
		Check: func(_ context.Context, _ menu.Caller, a newArgs, name string) error {
			switch name {
			case "user":
				return s.CheckNewUser(a.User)
			case "expirytime":
				return checkExpiry(a.ExpiryTime)
			}
			return nil
		},
		Run: func(_ context.Context, _ menu.Caller, a newArgs, out *menu.Out[access.Account]) error {
			account := access.Account{User: a.User, FullName: a.FullName, Role: menu.Role(a.Role), Payload: a.Payload,
				Expires: expiry(a.ExpiryTime)}
			if account.Role == menu.Support && a.ExpiryTime == nil {
				account.Expires = supportExpiry()
			}
			if err := s.CreateAccount(account, a.Password); err != nil {
				return err
			}
			if a.Key != "" {
				if _, err := s.AddKey(a.User, a.Key); err != nil {
					// Without its key the account is not as the caller asked, so it is not made.
					s.DeleteAccount(a.User)
					return err
				}
			}
			out.Printf("User %s added.\n", a.User)
			if a.Password == "" && a.Key == "" {
				out.Printf("It cannot log in before it has a password or a key (userconfig password, userconfig " +
					"key).\n")
			}
			return yieldAccount(s, a.User, out)
		},
		Text: accountText,
	}.Command()
}
