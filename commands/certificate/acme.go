package certificate

import (
	"context"
	"strings"

	"diagsh/commands/shared/changes"
	"diagsh/internal/config"
	"diagsh/internal/menu"
)

type acmeArgs struct {
	Directory string    `arg:"directory,positional:1,required" ask:"Address of the CA's ACME directory" help:"Address of the CA's directory, such as https://ca.example.com/acme/acme/directory."`
	Names     []string  `arg:"names,positional:2,required" ask:"Host names that it is for" help:"Host names that it is for, separated by commas."`
	Contact   string    `arg:"contact" ask:"Mail address that the CA may write to; Enter for none" help:"Mail address that the CA may write to."`
	Authority menu.Text `arg:"authority" ask:"Certificate in PEM of the CA that the directory's host has its own from; nothing for those of this machine" help:"Certificate in PEM of the CA that the directory's host has its own from; without it, those that this machine trusts."`
}

func acmeCommand(s Services) *menu.Command {
	return menu.Decl[acmeArgs, config.Change]{
		Name: "acme",
		Help: "Have a CA that speaks ACME give the certificate, and renew it.",
		Details: "It is pending until commit; then the CA is asked, and the present certificate stays until it has given one. The " +
			"CA looks at port 443 of each name whether it is the appliance's (TLS-ALPN-01), so HTTPS must be reached there. When two " +
			"thirds of its time are over the certificate is renewed; if that fails, certificate show says why, and it is tried again. " +
			"By the commit you agree to the CA's terms of service.",
		Role: menu.Administrator,
		Ask: func(_ context.Context, caller menu.Caller, _ acmeArgs, q *menu.Question) error {
			candidate := s.Configuration(caller).Candidate
			switch q.Name {
			case "directory":
				q.Default = candidate[config.ACMEDirectory]
			case "names":
				q.Default = candidate[config.ACMENames]
			case "contact":
				q.Default = candidate[config.ACMEContact]
			}
			return nil
		},
		Check: func(_ context.Context, _ menu.Caller, a acmeArgs, name string) error {
			path, text := map[string]config.Path{"directory": config.ACMEDirectory, "names": config.ACMENames,
				"contact": config.ACMEContact, "authority": config.ACMEAuthority}[name], map[string]string{"directory": a.Directory,
				"names": strings.Join(a.Names, ","), "contact": a.Contact, "authority": string(a.Authority)}[name]
			if text == "" {
				return nil
			}
			if _, err := config.Read(path, text); err != nil {
				return menu.BadArgument(name, "%s is not right", menu.Quoted(text)).WithHint("%s", menu.Sentence(err.Error()))
			}
			return nil
		},
		Run: func(_ context.Context, caller menu.Caller, a acmeArgs, out *menu.Out[config.Change]) error {
			return changes.Edit(s, caller, out, func(d config.Document) error {
				d.Set(config.Certificate, config.ByACME)
				d.Set(config.ACMEDirectory, a.Directory)
				d.Set(config.ACMENames, strings.Join(a.Names, ","))
				d.Set(config.ACMEContact, a.Contact)
				d.Set(config.ACMEAuthority, string(a.Authority))
				return nil
			})
		},
		TextTable: changes.Pending,
	}.Command()
}
