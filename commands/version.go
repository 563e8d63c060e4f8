package commands

import (
	"context"
	"fmt"
	"io"
	"time"

	"diagsh/menu"
)

// Version is what is running.
type Version struct {
	Product    string `json:"product"`
	Version    string `json:"version"`
	Commit     string `json:"commit"`               // that it was built from; where none is known "program" and the beginning of its SHA-256
	CommitTime string `json:"commitTime,omitempty"` // RFC 3339; of the program's file where no commit is known
	Go         string `json:"go"`
	Kernel     string `json:"kernel"`
	Host       string `json:"host"`
}

func version(v Version) *menu.Command {
	return menu.Spec[noArgs, Version]{
		Name:  "version",
		Help:  "Show what is running.",
		Role:  menu.ReadOnly,
		Shape: menu.Object,
		Run: func(_ context.Context, _ menu.Caller, _ noArgs, out *menu.Out[Version]) error {
			return out.Record(v)
		},
		Text: func(w io.Writer, v Version) {
			of := ""
			if at, err := time.Parse(time.RFC3339, v.CommitTime); err == nil {
				of = " of " + at.UTC().Format("2006-01-02 15:04:05 UTC")
			}
			fmt.Fprintf(w, "%s version %s\nBuilt from: %s%s with %s\nKernel:     %s\nHost:       %s\n", v.Product, v.Version, v.Commit, of, v.Go, v.Kernel, v.Host)
		},
	}.Command()
}
