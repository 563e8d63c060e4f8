package certificate

import (
	"context"
	"fmt"
	"io"
	"strings"

	"diagsh/commands/shared/tables"
	"diagsh/internal/access"
	"diagsh/internal/menu"
)

func showCommand(s Services) *menu.Command {
	return menu.Decl[menu.NoArgs, access.Certificates]{
		Name: "show",
		Help: "Show the certificate that clients are shown, and what else there is.",
		Details: "Compare the fingerprint with the one that the browser shows before you believe a certificate that " +
			"signs itself. The request is for a CA to sign; its key stays here.",
		Role:  menu.ReadOnly,
		Shows: true,
		Shape: menu.Object,
		Run: func(_ context.Context, _ menu.Caller, _ menu.NoArgs, out *menu.Out[access.Certificates]) error {
			return out.Record(s.CertificateStatus())
		},
		Text: statusText,
	}.Command()
}

func statusText(w io.Writer, all access.Certificates) {
	if all.Trouble != "" {
		fmt.Fprintf(w, "%s\n\n", all.Trouble)
	}
	certificateText(w, all.Present)
	if all.ACME != nil {
		acmeText(w, *all.ACME)
	}
	if len(all.Others) > 0 {
		fmt.Fprint(w, "\nOthers, which a commit can make hold:\n")
		for _, c := range all.Others {
			fmt.Fprintf(w, "%s, %s, ends at %s\nSHA256 %s\n", c.Subject, origins[c.Origin], menu.UTC(c.End), c.Fingerprint)
		}
	}
	if all.Request != nil {
		fmt.Fprint(w, "\n")
		requestText(w, *all.Request)
	}
}

// acmeText writes how it stands with the CA.
func acmeText(w io.Writer, a access.ACME) {
	fmt.Fprintf(w, "\nBy ACME from %s, for %s: ", a.Directory, strings.Join(a.Names, ", "))
	switch a.State {
	case "failed":
		fmt.Fprintf(w, "failed %d times\n", a.Failures)
		tables.Line(w, 0, "%s", a.Failure)
	case "waiting":
		fmt.Fprint(w, "the CA has not given one yet\n")
	default:
		fmt.Fprint(w, "valid\n")
	}
	if a.LastTry != nil {
		fmt.Fprintf(w, "Last try:   %s\n", menu.UTC(*a.LastTry))
	}
	if a.NextTry != nil {
		fmt.Fprintf(w, "Next try:   %s\n", menu.UTC(*a.NextTry))
	}
}

// origins say in words where a certificate comes from.
var origins = map[string]string{
	access.SelfSigned: "made by the appliance, signs itself",
	access.Installed:  "installed",
	access.ByACME:     "given by a CA by ACME",
}

func certificateText(w io.Writer, c access.Certificate) {
	line := func(name, format string, args ...any) {
		tables.Line(w, 12, "%-12s"+format, append([]any{name}, args...)...)
	}
	line("Subject:", "%s", c.Subject)
	line("Issuer:", "%s", c.Issuer)
	for _, above := range c.Chain {
		line("Chain:", "%s", above)
	}
	line("Names:", "%s", strings.Join(c.Names, ", "))
	line("Key:", "%s", c.KeyType)
	line("Begins:", "%s", menu.UTC(c.Begin))
	line("Ends:", "%s", menu.UTC(c.End))
	line("Origin:", "%s", origins[c.Origin])
	if c.Setting != "" && c.Setting != c.Fingerprint {
		line("Setting:", "%s", c.Setting)
	}
	fmt.Fprintf(w, "SHA256 %s\n", c.Fingerprint)
	for _, text := range c.Warnings {
		tables.Line(w, 0, "Warning: %s", text)
	}
}
