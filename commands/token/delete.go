package token

import (
	"context"
	"fmt"
	"io"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

type deleteArgs struct {
	Token   string       `arg:"token,positional:1,required" ask:"Token to delete" help:"The token as token list names it, or its name."`
	Confirm menu.Confirm `arg:"confirm" ask:"Delete this token?" help:"Say yes: programs that use it are refused from now on."`
}

// A deletedToken is a token that was deleted, with the number of its logins that this ended.
type deletedToken struct {
	access.Token
	Ended int `json:"loginsEnded"`
}

func deleteCommand(s Services) *menu.Command {
	return menu.Decl[deleteArgs, deletedToken]{
		Name:      "delete",
		Help:      "Delete a token; its connections end.",
		Details:   "An administrator may delete the tokens of all accounts.",
		Role:      menu.ReadOnly,
		Shape:     menu.Object,
		Resources: []menu.Resource{{Method: "DELETE", Path: "tokens/{token}", Status: 204}},
		Ask: func(_ context.Context, caller menu.Caller, a deleteArgs, q *menu.Question) error {
			if q.Name == "confirm" {
				q.Text = fmt.Sprintf("Delete the token %s?", a.Token)
				return nil
			}
			for _, t := range s.Tokens(caller) {
				q.Choices = append(q.Choices, menu.Choice{Value: t.ID, Label: fmt.Sprintf("%s (%s of %s)", t.ID, t.Name, t.User)})
			}
			q.Open = true // for an unknown one, and for a name, DeleteToken decides
			return nil
		},
		Run: func(_ context.Context, caller menu.Caller, a deleteArgs, out *menu.Out[deletedToken]) error {
			deleted, ended, err := s.DeleteToken(caller, a.Token)
			if err != nil {
				return err
			}
			return out.Record(deletedToken{deleted, ended})
		},
		Text: func(w io.Writer, d deletedToken) {
			fmt.Fprintf(w, "Token %s (%s of %s) deleted.\n", d.ID, d.Name, d.User)
			if d.Ended > 0 {
				fmt.Fprintf(w, "Its connections were ended.\n")
			}
		},
	}.Command()
}
