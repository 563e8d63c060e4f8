package certificate

import (
	"context"
	"fmt"
	"io"
	"strings"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

type withdrawArgs struct {
	Confirm menu.Confirm `arg:"confirm" ask:"A certificate that answers the request cannot be installed any more. Delete it?" help:"Say yes to delete the request: its key is lost."`
}

func withdrawCommand(s Services) *menu.Command {
	return menu.Decl[withdrawArgs, access.CertificateRequest]{
		Name:   "withdraw",
		Help:   "Delete the request, with its key.",
		Role:   menu.Administrator,
		Shape:  menu.Object,
		Hidden: func(context.Context) bool { return s.CertificateStatus().Request == nil },
		Run: func(_ context.Context, _ menu.Caller, _ withdrawArgs, out *menu.Out[access.CertificateRequest]) error {
			dropped, err := s.DropRequest()
			if err != nil {
				return err
			}
			return out.Record(dropped)
		},
		Text: func(w io.Writer, r access.CertificateRequest) {
			fmt.Fprintf(w, "The request of %s for %s is deleted.\n", menu.UTC(r.Time), strings.Join(r.Names, ", "))
		},
	}.Command()
}
