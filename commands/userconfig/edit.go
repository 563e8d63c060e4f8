package userconfig

import (
	"context"
	"fmt"
	"time"

	"diagsh/internal/menu"
)

type editArgs struct {
	User     string         `arg:"user,positional:1,required" ask:"User to edit" help:"Name of the account."`
	FullName *string        `arg:"fullname" ask:"Full name" help:"Who it is."`
	Expires  *time.Duration `arg:"expires,unlimited" ask:"Expires after, such as 7d or 12h, or unlimited" min:"60" help:"The account ends after this time from now; unlimited for never."`
	Payload  *bool          `arg:"payload" ask:"May this support account see packet contents?" help:"A support account may capture and read packet contents."`
}

func editCommand(s Services) *menu.Command {
	return menu.Decl[editArgs, changedAccount]{
		Name:  "edit",
		Help:  "Change a user's name, expiry and access to payload.",
		Role:  menu.Administrator,
		Shape: menu.Object,
		Ask: func(_ context.Context, _ menu.Caller, a editArgs, q *menu.Question) error {
			if q.Name == "user" {
				chooseUser(s, q)
				return nil
			}
			account, err := s.Account(a.User)
			if err != nil {
				return menu.Blame("user", err)
			}
			switch q.Name {
			case "fullname":
				q.Default = account.FullName
			case "payload":
				q.Skip, q.Default = account.Role != menu.Support, "N"
				if account.Payload {
					q.Default = "Y"
				}
			case "expires":
				q.Default = "" // Enter keeps the present end
				if account.Expires != nil {
					q.Text += fmt.Sprintf(" (now %s; Enter keeps it)",
						account.Expires.UTC().Format("2006-01-02 15:04 UTC"))
				} else {
					q.Text += " (now unlimited; Enter keeps it)"
				}
			}
			return nil
		},
		Run: func(_ context.Context, caller menu.Caller, a editArgs, out *menu.Out[changedAccount]) error {
			account, err := s.Account(a.User)
			if err != nil {
				return err
			}
			if a.FullName == nil && a.Expires == nil && a.Payload == nil {
				return menu.Errorf(menu.Usage, "Nothing is given that could change").
					WithHint("Give fullname, expires or payload")
			}
			if a.FullName != nil {
				account.FullName = *a.FullName
			}
			if a.Expires != nil {
				account.Expires = until(a.Expires)
			}
			if a.Payload != nil {
				account.Payload = *a.Payload
			}
			return update(s, caller, account, out)
		},
		Text: changedText,
	}.Command()
}
