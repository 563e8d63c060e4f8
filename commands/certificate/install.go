package certificate

import (
	"context"

	"diagsh/commands/shared/changes"
	"diagsh/internal/config"
	"diagsh/internal/menu"
)

type installArgs struct {
	Chain menu.Text       `arg:"chain,stdin,required" ask:"The certificate in PEM, and after it those that lead to its CA" help:"The certificate in PEM and after it those that lead to its CA; its private key may be among them."`
	Key   menu.SecretText `arg:"key" ask:"Its private key in PEM, which is not shown" help:"The private key in PEM, if it is neither that of the request nor another one that the appliance has."`
}

func installCommand(s Services) *menu.Command {
	return menu.Decl[installArgs, config.Change]{
		Name: "install",
		Help: "Install a certificate that a CA signed.",
		Details: "It is pending until commit; then new connections get it, and those that are open stay. A certificate " +
			"that does not fit is refused with the reason. `commit confirm` brings the present one back unless you " +
			"can still come in.",
		Role: menu.Administrator,
		Ask: func(_ context.Context, _ menu.Caller, a installArgs, q *menu.Question) error {
			if q.Name == "key" {
				needed, _ := s.CheckChain(string(a.Chain)) // it was checked when it was given
				q.Skip = !needed
			}
			return nil
		},
		Check: func(_ context.Context, _ menu.Caller, a installArgs, name string) (err error) {
			if name == "chain" {
				_, err = s.CheckChain(string(a.Chain))
			}
			return err
		},
		Run: func(_ context.Context, caller menu.Caller, a installArgs, out *menu.Out[config.Change]) error {
			c, err := s.InstallCertificate(string(a.Chain), a.Key)
			if err != nil {
				return err
			}
			return use(s, caller, c, out)
		},
		TextTable: changes.Pending,
	}.Command()
}
