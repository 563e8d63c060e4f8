package commands

import (
	"context"
	"fmt"
	"io"

	"diagsh/internal/menu"
)

type hostnameService interface{ Hostname() string }

type hostnameRecord struct {
	Hostname string `json:"hostname"`
}

// hostname returns the command that shows the name in the appliance's prompts and files.
func hostname(s hostnameService) *menu.Command {
	return menu.Decl[menu.NoArgs, hostnameRecord]{
		Name:  "hostname",
		Help:  "Show the appliance's host name.",
		Role:  menu.ReadOnly,
		Shape: menu.Object,
		Run: func(_ context.Context, _ menu.Caller, _ menu.NoArgs, out *menu.Out[hostnameRecord]) error {
			return out.Record(hostnameRecord{s.Hostname()})
		},
		Text: func(w io.Writer, r hostnameRecord) { fmt.Fprintln(w, r.Hostname) },
	}.Command()
}
