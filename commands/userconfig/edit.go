package userconfig

import (
	"context"
	"fmt"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

type editArgs struct {
	User       string     `arg:"user,positional:1,required" ask:"User to edit" help:"Name of the account."`
	FullName   *string    `arg:"fullname" label:"Full name" ask:"Full name" help:"Who it is."`
	ExpiryTime *time.Time `arg:"expirytime,after,unlimited" label:"Expires" alias:"expires" ask:"Expires after a duration such as 7d or 12h, at a time, or unlimited" min:"60" help:"When the account ends: after a time from now such as 7d, or at a date and time; unlimited for never."`
	Payload    *bool      `arg:"payload" label:"Packet contents" ask:"May this support account see packet contents?" help:"A support account may capture and read packet contents."`
}

func editCommand(s Services) *menu.Command {
	return menu.Decl[editArgs, changedAccount]{
		Name:      "edit",
		Help:      "Change a user's name, expiry and access to payload.",
		Role:      menu.Administrator,
		Resources: []menu.Resource{{Method: "PATCH", Path: "accounts/{user}"}},
		Shape:     menu.Object,
		Ask: func(_ context.Context, _ menu.Caller, a editArgs, q *menu.Question) error {
			return askOf(s, a.User, q, func(account access.Account) error {
				askEdit(account, q)
				return nil
			})
		},
		Check: func(_ context.Context, _ menu.Caller, a editArgs, name string) error {
			if name == "expirytime" {
				return checkExpiry(a.ExpiryTime)
			}
			return nil
		},
		Run: func(_ context.Context, caller menu.Caller, a editArgs, out *menu.Out[changedAccount]) error {
			account, err := s.Account(a.User)
			if err != nil {
				return err
			}
			if a.FullName == nil && a.ExpiryTime == nil && a.Payload == nil {
				return menu.Errorf(menu.Usage, "Nothing is given that could change").
					WithHint("Give fullname, expirytime or payload")
			}
			if a.FullName != nil {
				account.FullName = *a.FullName
			}
			if a.ExpiryTime != nil {
				account.Expires = expiry(a.ExpiryTime)
			}
			if a.Payload != nil {
				account.Payload = *a.Payload
			}
			return update(s, caller, account, out)
		},
		Text: changedText,
	}.Command()
}

// askEdit asks for a property of an account; Enter keeps the present one.
func askEdit(account access.Account, q *menu.Question) {
	switch q.Name {
	case "fullname":
		q.Default = account.FullName
	case "payload":
		q.Skip, q.Default = account.Role != menu.Support, "N"
		if account.Payload {
			q.Default = "Y"
		}
	case "expirytime":
		present := "unlimited"
		if account.Expires != nil {
			present = account.Expires.UTC().Format("2006-01-02 15:04 UTC")
		}
		q.Default, q.Text = "", q.Text+fmt.Sprintf(" (now %s; Enter keeps it)", present)
	}
}
