// Package token is the menu token: API tokens, by which programs act for an account.
package token

import (
	"context"
	"io"
	"strings"

	"diagsh/commands/shared/tables"
	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// Services keeps the tokens. It decides which of them a caller may see and delete.
type Services interface {
	CreateToken(caller menu.Caller, wanted access.Token) (access.Token, menu.Secret, error)
	CheckSources(networks []string) error
	Tokens(caller menu.Caller) []access.Token
	DeleteToken(caller menu.Caller, which string) (deleted access.Token, ended int, err error)
}

// Menu returns token. top is the menu that tokens may be bound to parts of.
func Menu(s Services, top *menu.Menu) *menu.Menu {
	return &menu.Menu{
		Name: "token",
		Help: "Manage your API tokens, by which programs act for you.",
		Status: func(_ context.Context, caller menu.Caller, w io.Writer) error {
			tokenTable(w, s.Tokens(caller))
			return nil
		},
		Items: []menu.Item{
			newCommand(s, top),
			listCommand(s),
			deleteCommand(s),
		},
	}
}

func tokenTable(w io.Writer, list []access.Token) {
	if len(list) == 0 {
		io.WriteString(w, "There are no tokens.\n")
		return
	}
	t := tables.Table{Head: []string{"TOKEN", "NAME", "USER", "ROLE", "EXPIRES (UTC)", "LAST USE (UTC)", "BOUND TO"},
		Spare: []string{"NAME", "BOUND TO"}}
	for _, one := range list {
		last := "never"
		if one.LastUsed != nil {
			last = one.LastUsed.UTC().Format(tables.Minute) + " from " + one.LastFrom // breaks anywhere, so that there is room for the name
		}
		bound := append(append([]string{}, one.Sources...), one.Paths...)
		t.Add(one.ID, one.Name, one.User, string(one.Role), tables.Whole(one.Expires.UTC().Format(tables.Minute)), last,
			tables.OrDash(strings.Join(bound, ", ")))
	}
	t.Write(w)
}
