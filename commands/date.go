package commands

import (
	"context"
	"fmt"
	"io"
	"time"

	"diagsh/internal/menu"
)

type dateRecord struct {
	Time time.Time `json:"time"`
}

// date returns the command that shows the appliance's clock.
func date() *menu.Command {
	return menu.Decl[menu.NoArgs, dateRecord]{
		Name:  "date",
		Help:  "Show the date and time.",
		Role:  menu.ReadOnly,
		Shows: true,
		Shape: menu.Object,
		Run: func(_ context.Context, _ menu.Caller, _ menu.NoArgs, out *menu.Out[dateRecord]) error {
			return out.Record(dateRecord{time.Now().Truncate(time.Second)})
		},
		Text: func(w io.Writer, r dateRecord) {
			fmt.Fprintf(w, "%s\n", r.Time.UTC().Format("Mon Jan _2 15:04:05 2006 UTC"))
		},
	}.Command()
}
