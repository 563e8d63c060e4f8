package diagnostic

import (
	"context"
	"fmt"
	"io"
	"strings"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// A reloadService goes back to factory values.
type reloadService interface {
	ReloadLosses(files bool) ([]access.Loss, error)
	Reload(caller menu.Caller, files bool) (access.Reload, error)
}

type reloadArgs struct {
	Files   bool         `arg:"files" ask:"Delete captures and reports too?" default:"no" help:"Empty the diagnostic directory too; captures and reports are kept otherwise."`
	Confirm menu.Confirm `arg:"confirm" ask:"Go back to factory values?" help:"Say yes: what the dialogue lists is lost."`
	Really  menu.Confirm `arg:"really" ask:"This cannot be undone. Really go back to factory values?" help:"Say yes once more."`
}

// reload returns diagnostic > reload.
func reload(s reloadService) *menu.Command {
	return menu.Decl[reloadArgs, access.Reload]{
		Name: "reload",
		Help: "Reset configuration to the initial manufacturer values.",
		Details: "Configuration, saved configurations, accounts and settings of captures are lost; captures and " +
			"reports are kept unless you say otherwise. The user admin gets a new password, which is shown once. The " +
			"audit log stays.",
		Role:  menu.Administrator,
		Shape: menu.Object,
		Ask: func(_ context.Context, _ menu.Caller, a reloadArgs, q *menu.Question) error {
			switch q.Name {
			case "confirm":
				lost, err := s.ReloadLosses(a.Files)
				if err != nil {
					return err
				}
				q.Text = losses("This will be lost:", lost) + q.Text
			case "really":
				q.Skip = !bool(a.Confirm)
			}
			return nil
		},
		Run: func(_ context.Context, caller menu.Caller, a reloadArgs, out *menu.Out[access.Reload]) error {
			done, err := s.Reload(caller, a.Files)
			if err != nil {
				return err
			}
			return out.Record(done)
		},
		Text: func(w io.Writer, r access.Reload) {
			fmt.Fprint(w, losses("Lost:", r.Lost))
			fmt.Fprintf(w, "The appliance has its factory values. Its one user is %s, with the password: %s\n",
				r.User, r.Password)
			fmt.Fprintln(w, "It is not shown again; change it with passwd.")
		},
	}.Command()
}

// losses returns what is lost, a line each, with a line end after the last.
func losses(title string, list []access.Loss) string {
	var b strings.Builder
	fmt.Fprintln(&b, title)
	for _, l := range list {
		fmt.Fprintf(&b, "- %s: %s\n", l.What, menu.Clean(l.Detail))
	}
	return b.String()
}
