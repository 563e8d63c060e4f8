package certificates

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/config"
)

// CertificateStatus returns all that the appliance has.
func (c *Certificates) CertificateStatus() access.Certificates {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := access.Certificates{Others: []access.Certificate{}, Trouble: c.trouble}
	present := c.present.Load()
	for name, p := range c.pairs {
		switch words := c.words(name, p); {
		case p == present:
			s.Present = words
		case name != own && name != config.ByACME:
			s.Others = append(s.Others, words)
		}
	}
	slices.SortFunc(s.Others, func(a, b access.Certificate) int {
		return cmp.Or(strings.Compare(a.Subject, b.Subject), b.End.Compare(a.End), strings.Compare(a.Fingerprint, b.Fingerprint))
	})
	if r, err := c.readRequest(); err != nil {
		c.o.Log.Error("the request for a certificate cannot be read", "error", err)
	} else if r != nil {
		words := r.words()
		s.Request = &words
	}
	s.ACME = c.acmeWords()
	return s
}

// words describes a pair.
func (c *Certificates) words(name string, p *pair) access.Certificate {
	w := access.Certificate{
		Fingerprint: p.fingerprint(), Origin: p.origin, Subject: p.leaf.Subject.String(), Issuer: p.leaf.Issuer.String(),
		Names: slices.Clone(p.leaf.DNSNames), KeyType: keyType(p.leaf.PublicKey),
		Begin: p.leaf.NotBefore.UTC(), End: p.leaf.NotAfter.UTC(), FromCA: p.fromCA(),
		Chain: []string{}, Warnings: p.warnings(c.o.Hostname(), time.Now()),
	}
	for _, a := range p.leaf.IPAddresses {
		w.Names = append(w.Names, a.String())
	}
	for _, der := range p.chain[1:] {
		if one, err := x509.ParseCertificate(der); err == nil {
			w.Chain = append(w.Chain, one.Subject.String())
		}
	}
	if name != own {
		w.Setting = settingOf(name)
	}
	return w
}

// settingOf is the inverse of nameOf.
func settingOf(name string) string {
	setting, _ := config.Read(config.Certificate, strings.Replace(name, "-", " chain ", 1))
	return setting
}

// keyType says what a key is: ECDSA P-256.
func keyType(public crypto.PublicKey) string {
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		return "ECDSA " + key.Curve.Params().Name
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", key.N.BitLen())
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return fmt.Sprintf("%T", public)
}
