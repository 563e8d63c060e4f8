package certificate

import (
	"context"
	"strings"

	"diagsh/commands/shared/changes"
	"diagsh/internal/access"
	"diagsh/internal/config"
	"diagsh/internal/menu"
)

type newArgs struct {
	Names []string `arg:"names,positional:1,bound" ask:"Names and addresses that it is for; Enter for all of this host" help:"Names and addresses that it is for, separated by commas; without them, all of this host."`
}

func newCommand(s Services) *menu.Command {
	return menu.Decl[newArgs, config.Change]{
		Name: "new",
		Help: "Make a certificate that signs itself.",
		Details: "It has a new key and is pending until commit. It lasts 397 days and is made anew 30 days before " +
			"its end, for the same names.",
		Role: menu.Administrator,
		Run: func(_ context.Context, caller menu.Caller, a newArgs, out *menu.Out[config.Change]) error {
			c, err := s.NewCertificate(a.Names)
			if err != nil {
				return err
			}
			return use(s, caller, c, out)
		},
		TextTable: changes.Pending,
	}.Command()
}

// instead makes a document want another certificate, "" for the appliance's own. A CA is not asked any
// more.
func instead(d config.Document, setting string) {
	d.Set(config.Certificate, setting)
	for _, p := range []config.Path{config.ACMEDirectory, config.ACMENames, config.ACMEContact, config.ACMEAuthority} {
		d.Set(p, "")
	}
}

// use makes a certificate the caller's pending one, and says for which names it is.
func use(s Services, caller menu.Caller, c access.Certificate, out *menu.Out[config.Change]) error {
	out.Printf("The certificate is for %s.\n", strings.Join(c.Names, ", "))
	return changes.Edit(s, caller, out, func(d config.Document) error {
		instead(d, c.Setting)
		return nil
	})
}
