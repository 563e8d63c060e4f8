package commands

import (
	"context"
	"fmt"
	"io"

	"diagsh/menu"
)

// Version is what is running.
type Version struct {
	Product string `json:"product"`
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Go      string `json:"go"`
	Kernel  string `json:"kernel"`
	Host    string `json:"host"`
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
			fmt.Fprintf(w, "%s version %s\nBuilt from: %s with %s\nKernel:     %s\nHost:       %s\n", v.Product, v.Version, orDash(v.Commit), v.Go, v.Kernel, v.Host)
		},
	}.Command()
}
