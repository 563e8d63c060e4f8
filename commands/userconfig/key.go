package userconfig

import (
	"context"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

type keyArgs struct {
	User   string `arg:"user,positional:1,required" ask:"User" help:"Name of the account."`
	Action string `arg:"action,positional:2,required" ask:"Add or remove a key" choices:"new|delete" help:"What to do with the user's public keys."`
	Key    string `arg:"key,positional:3,required" ask:"Public key" help:"A public key as in authorized_keys (in a line of commands, in quotes); to delete, its fingerprint."`
}

func keyCommand(s Services) *menu.Command {
	return menu.Decl[keyArgs, changedAccount]{
		Name:    "key",
		Help:    "Add or remove a user's public keys.",
		Details: "A user who logged in by a removed key is logged out; the login by which you do this stays.",
		Role:    menu.Administrator,
		Shape:   menu.Object,
		Ask: func(_ context.Context, _ menu.Caller, a keyArgs, q *menu.Question) error {
			return askOf(s, a.User, q, func(account access.Account) error {
				switch {
				case q.Name == "action":
					q.Default = "new"
				case a.Action == "delete":
					if len(account.Keys) == 0 {
						return menu.BadArgument("action", "%s has no public key", a.User).WithHint("Add one with new")
					}
					q.Text = "Key to remove"
					for _, k := range account.Keys {
						q.Choices = append(q.Choices,
							menu.Choice{Value: k.Fingerprint, Label: k.Type + " " + k.Fingerprint + " " + k.Comment})
					}
				default:
					q.Text = "Public key (a line as in authorized_keys)"
				}
				return nil
			})
		},
		Run: func(_ context.Context, caller menu.Caller, a keyArgs, out *menu.Out[changedAccount]) error {
			var ended int
			var err error
			if a.Action == "delete" {
				ended, err = s.RemoveKey(a.User, a.Key, caller.Session)
			} else {
				_, err = s.AddKey(a.User, a.Key)
			}
			if err != nil {
				return err
			}
			out.Printf("The keys of %s are changed.\n", a.User)
			return yieldChanged(s, a.User, ended, out)
		},
		Text: changedText,
	}.Command()
}
