package token

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

type newArgs struct {
	Name       string     `arg:"name,positional:1,required" ask:"Name, which says what the token is for" help:"What the token is for."`
	Role       string     `arg:"role" ask:"Role" choices:"administrator|operator|readonly|support" help:"The most that the token may do; never more than your account may when it is used. Your own role, if it is not given."`
	ExpiryTime *time.Time `arg:"expirytime,after" label:"Expires" ask:"Expires after a duration such as 90d, or at a time" default:"90d" min:"60" max:"31622400" help:"When the token ends: after a time from now such as 90d, or at a date and time; a year at most."`
	Sources    []string   `arg:"sources,bound" ask:"Networks that it may be used from (Enter for all)" help:"Networks or addresses that it may be used from, separated by commas."`
	Paths      []string   `arg:"paths,bound" ask:"Commands that it may use (Enter for all)" help:"Commands or menus that it may use, separated by commas, such as packetcapture or 'netstat sockets'; files for the files of the diagnostic directory."`
}

// A newToken is a token with what opens the appliance.
type newToken struct {
	access.Token
	Secret menu.Secret `json:"secret"` // to be sent as Authorization: Bearer SECRET
}

func newCommand(s Services, top *menu.Menu) *menu.Command {
	return menu.Decl[newArgs, newToken]{
		Name:      "new",
		Help:      "Make a token for a program; it is shown this once.",
		Details:   "A program sends it to the HTTPS port as Authorization: Bearer TOKEN.",
		Role:      menu.ReadOnly,
		Resources: []menu.Resource{{Method: "POST", Path: "tokens", Status: 201, Location: "tokens/{token}"}},
		Shape:     menu.Object,
		Ask: func(_ context.Context, caller menu.Caller, _ newArgs, q *menu.Question) error {
			if q.Name == "role" {
				askRole(caller, q)
			}
			return nil
		},
		Suggest: func(_ context.Context, _ menu.Caller, _ newArgs, name, _ string) []menu.Choice {
			if name != "paths" {
				return nil
			}
			list := []menu.Choice{{Value: access.Files, Help: "The files of the diagnostic directory."}}
			for _, i := range top.Items {
				list = append(list, menu.Choice{Value: i.Keyword(), Help: i.Summary()})
			}
			return list
		},
		Check: func(_ context.Context, _ menu.Caller, a newArgs, name string) error {
			switch name {
			case "sources":
				return s.CheckSources(a.Sources)
			case "paths":
				_, err := pathsOf(top, a.Paths)
				return err
			}
			return nil
		},
		Run: func(_ context.Context, caller menu.Caller, a newArgs, out *menu.Out[newToken]) error {
			paths, err := pathsOf(top, a.Paths)
			if err != nil {
				return err
			}
			wanted := access.Token{Name: a.Name, Role: menu.Role(a.Role), Sources: a.Sources, Paths: paths}
			if a.ExpiryTime != nil {
				wanted.Expires = *a.ExpiryTime
			}
			made, secret, err := s.CreateToken(caller, wanted)
			if err != nil {
				return err
			}
			return out.Record(newToken{made, secret})
		},
		Text: func(w io.Writer, n newToken) {
			fmt.Fprintf(w, "Token %s (%s) made: %s until %s.\n", n.ID, n.Name, n.Role, menu.UTC(n.Expires))
			fmt.Fprintf(w, "It is shown this once: %s\n", n.Secret)
		},
	}.Command()
}

// askRole offers the roles that the caller's own includes.
func askRole(caller menu.Caller, q *menu.Question) {
	q.Default = string(caller.Role)
	q.Choices = slices.DeleteFunc(q.Choices, func(c menu.Choice) bool {
		role := menu.Role(c.Value)
		return access.LesserRole(role, caller.Role) != role
	})
}

// pathsOf returns paths in one form: words of keywords, separated by blanks.
func pathsOf(top *menu.Menu, paths []string) (list []string, err error) {
	for _, text := range paths {
		words := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return r == ' ' || r == '/' || r == '>' })
		path := strings.Join(words, " ")
		if path == "" || path != access.Files && top.Find(words) == nil {
			return nil, menu.BadArgument("paths", "There is no command %s", menu.Quoted(text)).
				WithHint("Name menus or commands, such as packetcapture or 'netstat sockets', or %s", access.Files)
		}
		list = append(list, path)
	}
	return list, nil
}
