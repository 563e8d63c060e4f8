package commands

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"diagsh/access"
	"diagsh/menu"
)

// visitService remembers logins of the past.
type visitService interface {
	Visits(newest int) []access.Visit
}

type lastArgs struct {
	Count int `arg:"count,main" default:"30" min:"1" max:"10000" help:"So many logins, the newest."`
}

// last lists the logins of the past, the newest first.
func last(s visitService) *menu.Command {
	return menu.Spec[lastArgs, access.Visit]{
		Name: "last",
		Help: "List the logins of the past.",
		Role: menu.ReadOnly,
		Run: func(_ context.Context, _ menu.Caller, a lastArgs, out *menu.Out[access.Visit]) error {
			return out.Records(s.Visits(a.Count))
		},
		TextTable: lastTable,
	}.Command()
}

func lastTable(w io.Writer, list []access.Visit) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "USERNAME\tREMOTE HOST\tBY\tLOGIN TIME\tLOGOUT TIME\tTOTAL TIME")
	for _, v := range list {
		ended, total := "still logged in", menu.FormatDuration(time.Since(v.Began).Truncate(time.Second))
		if v.Ended != nil {
			ended = v.Ended.UTC().Format("2006-01-02 15:04 UTC")
			total = menu.FormatDuration(v.Ended.Sub(v.Began).Truncate(time.Second))
		}
		if v.Reason != "" {
			ended += " (" + v.Reason + ")"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", v.User, v.Source, v.Method, v.Began.UTC().Format("2006-01-02 15:04 UTC"), ended, total)
	}
	t.Flush()
}
