// Package certificate is the menu certificate: what clients of HTTPS are shown.
package certificate

import (
	"context"
	"fmt"
	"io"

	"diagsh/commands/shared/changes"
	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// Services keeps the certificates, and the keys, which it never hands out. What it is given holds
// when the configuration names it.
type Services interface {
	changes.Editor
	CertificateStatus() access.Certificates
	NewCertificate(names []string) (access.Certificate, error)
	RequestCertificate(names []string, keyType string) (access.CertificateRequest, error)
	DropRequest() (access.CertificateRequest, error)
	CheckChain(chain string) (needsKey bool, err error)
	InstallCertificate(chain string, key menu.SecretText) (access.Certificate, error)
}

// Menu returns certificate.
func Menu(s Services) *menu.Menu {
	return &menu.Menu{
		Name: "certificate",
		Help: "Manage the certificate of HTTPS.",
		Status: func(_ context.Context, _ menu.Caller, w io.Writer) error {
			all := s.CertificateStatus()
			fmt.Fprintf(w, "Certificate: %s, ends at %s\nSHA256 %s\n", all.Present.Subject, menu.UTC(all.Present.End),
				all.Present.Fingerprint)
			return nil
		},
		Items: []menu.Item{
			showCommand(s),
			newCommand(s),
			requestCommand(s),
			withdrawCommand(s),
			installCommand(s),
			acmeCommand(s),
			removeCommand(s),
		},
	}
}
