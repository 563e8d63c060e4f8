package commands

import (
	"context"
	"fmt"
	"io"
	"time"

	"diagsh/internal/menu"
)

// Version is what the running program is.
type Version struct {
	Product    string `json:"product"`
	Version    string `json:"version"`
	Commit     string `json:"commit"`               // that it was built from; where none is known "program" and the beginning of its SHA-256
	CommitTime string `json:"commitTime,omitempty"` // RFC 3339; of the program's file where no commit is known
	Go         string `json:"go"`
	Kernel     string `json:"kernel"`
	Hostname   string `json:"hostname"`

	// Certificate is the SHA-256 fingerprint of what clients of HTTPS are shown.
	Certificate string `json:"certificate,omitempty"`

	Licenses menu.Text `json:"licenses,omitempty"` // of what the program is linked from; only where they are asked for
}

type versionArgs struct {
	Licenses bool `arg:"licenses" help:"Show the licenses of what the program is made of instead."`
}

// A certificateTeller knows what clients of HTTPS are shown.
type certificateTeller interface{ CertificateFingerprint() string }

func version(s certificateTeller, v Version) *menu.Command {
	return menu.Decl[versionArgs, Version]{
		Name:  "version",
		Help:  "Show what is running.",
		Role:  menu.ReadOnly,
		Shape: menu.Object,
		Run: func(_ context.Context, _ menu.Caller, a versionArgs, out *menu.Out[Version]) error {
			v := v
			v.Certificate = s.CertificateFingerprint()
			if !a.Licenses {
				v.Licenses = ""
			}
			return out.Record(v)
		},
		Text: func(w io.Writer, v Version) {
			if v.Licenses != "" {
				fmt.Fprint(w, v.Licenses)
				return
			}
			of := ""
			if at, err := time.Parse(time.RFC3339, v.CommitTime); err == nil {
				of = " of " + menu.UTC(at)
			}
			fmt.Fprintf(w, "%s version %s\nBuilt from: %s%s with %s\nKernel:     %s\nHost:       %s\n", v.Product,
				v.Version, v.Commit, of, v.Go, v.Kernel, v.Hostname)
			// Two rows, since one is wider than a terminal of 80 columns.
			half := (len(v.Certificate) + 1) / 2
			fmt.Fprintf(w, "HTTPS:      SHA256 %s\n%19s%s\n", v.Certificate[:half], "", v.Certificate[half:])
		},
	}.Command()
}
