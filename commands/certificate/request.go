package certificate

import (
	"context"
	"fmt"
	"io"
	"strings"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

type requestArgs struct {
	Names   []string     `arg:"names,positional:1,bound" ask:"Names and addresses that it is for; Enter for the names of this host" help:"Names and addresses that it is for, separated by commas; without them, the names of this host."`
	Key     string       `arg:"key" choices:"ecdsa|rsa" default:"ecdsa" ask:"Type of the key" help:"Type of the new key: ECDSA P-256, or RSA with 3072 bits."`
	Confirm menu.Confirm `arg:"confirm" ask:"There is a request already. A certificate that answers it cannot be installed any more. Replace it?" help:"Say yes to replace the request that there is: a certificate that answers it cannot be installed any more."`
}

func requestCommand(s Services) *menu.Command {
	return menu.Decl[requestArgs, access.CertificateRequest]{
		Name: "request",
		Help: "Make a request for a certificate, for a CA to sign.",
		Details: "The key is made here and stays here. Have your CA sign the request, as a certificate for servers, and " +
			"give what it returns to certificate install.",
		Role:  menu.Administrator,
		Shape: menu.Object,
		Ask: func(_ context.Context, _ menu.Caller, _ requestArgs, q *menu.Question) error {
			if q.Name == "confirm" {
				q.Skip = s.CertificateStatus().Request == nil
			}
			return nil
		},
		Run: func(_ context.Context, _ menu.Caller, a requestArgs, out *menu.Out[access.CertificateRequest]) error {
			r, err := s.RequestCertificate(a.Names, a.Key)
			if err != nil {
				return err
			}
			return out.Record(r)
		},
		Text: requestText,
	}.Command()
}

func requestText(w io.Writer, r access.CertificateRequest) {
	fmt.Fprintf(w, "Request of %s for %s, %s:\n%s", menu.UTC(r.Time), strings.Join(r.Names, ", "), r.KeyType, r.PEM)
}
