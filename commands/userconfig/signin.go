package userconfig

import (
	"context"
	"fmt"
	"io"
	"strings"

	"diagsh/commands/shared/tables"
	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// A signInService knows the servers by which people come in who have no account here.
type signInService interface {
	SignInMethods() []access.SignInMethod
	TestSignIn(ctx context.Context, method, user string, password menu.Secret) (access.SignInTest, error)
}

func signInMenu(s signInService) *menu.Menu {
	return &menu.Menu{
		Name: "signin",
		Help: "Show and test logins of people who have no account here.",
		Status: func(_ context.Context, _ menu.Caller, w io.Writer) error {
			signInTable(w, s.SignInMethods())
			return nil
		},
		Items: []menu.Item{signInShow(s), signInTest(s)},
	}
}

func signInShow(s signInService) *menu.Command {
	return menu.Decl[menu.NoArgs, access.SignInMethod]{
		Name:    "show",
		Help:    "Show by which servers people come in who have no account here.",
		Details: "They are in the configuration file, under signIn. A user who has an account here logs in with it, and waits for no server.",
		Role:    menu.Administrator,
		Run: func(_ context.Context, _ menu.Caller, _ menu.NoArgs, out *menu.Out[access.SignInMethod]) error {
			return out.Records(s.SignInMethods())
		},
		TextTable: signInTable,
	}.Command()
}

func signInTable(w io.Writer, list []access.SignInMethod) {
	if len(list) == 0 {
		fmt.Fprintln(w, "Only accounts of the appliance log in; no server is configured.")
		return
	}
	t := tables.Table{Head: []string{"METHOD", "SERVERS", "STATE", "ROLES"}, Spare: []string{"STATE", "ROLES"}}
	for _, m := range list {
		var roles []string
		for _, r := range m.Roles {
			roles = append(roles, r.Group+": "+string(r.Role))
		}
		t.Add(m.Method, strings.Join(m.Servers, ", "), m.State, strings.Join(roles, "; "))
	}
	t.Write(w)
}

type signInTestArgs struct {
	Method   string      `arg:"method,positional:1,required" ask:"Method" choices:"ldap|radius|oidc" help:"By which servers."`
	User     string      `arg:"user,positional:2" ask:"User" help:"Name of the user to ask about; none for oidc."`
	Password menu.Secret `arg:"password" ask:"Password (Enter for none: ldap says who the user is without one)" help:"The user's password."`
}

func signInTest(s signInService) *menu.Command {
	return menu.Decl[signInTestArgs, access.SignInTest]{
		Name:    "test",
		Help:    "Ask the servers about a user, and show which role would result.",
		Details: "Nobody is logged in, and a wrong password counts as no failed login here. With oidc only the provider is tried: who a user is, it tells a browser.",
		Role:    menu.Administrator,
		Shape:   menu.Object,
		Ask: func(_ context.Context, _ menu.Caller, a signInTestArgs, q *menu.Question) error {
			q.Skip = a.Method == access.OIDC
			return nil
		},
		Run: func(ctx context.Context, _ menu.Caller, a signInTestArgs, out *menu.Out[access.SignInTest]) error {
			t, err := s.TestSignIn(ctx, a.Method, a.User, a.Password)
			if err != nil {
				return err
			}
			return out.Record(t)
		},
		Text: func(w io.Writer, t access.SignInTest) {
			for _, step := range t.Steps {
				fmt.Fprintf(w, "%s\n", step)
			}
			for _, g := range t.Groups {
				fmt.Fprintf(w, "Group:  %s (%s)\n", g.Group, g.Role)
			}
			if t.Role != "" {
				fmt.Fprintf(w, "Role:   %s\n", t.Role)
			}
			fmt.Fprintf(w, "Result: %s\n", t.Result)
		},
	}.Command()
}
