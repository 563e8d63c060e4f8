package certificates

import (
	"crypto"
	"crypto/x509"
	"net"
	"strings"
	"testing"
	"time"

	"diagsh/internal/config"
	"diagsh/internal/menu"
)

// What is right and yet surprises is said in words.
func TestWarnings(t *testing.T) {
	root := newCA(t, "Root", nil)
	c := open(t, t.TempDir())
	for name, row := range map[string]struct {
		edit func(*x509.Certificate)
		want string
	}{
		"right":     {func(*x509.Certificate) {}, ""},
		"wild card": {func(c *x509.Certificate) { c.DNSNames = []string{"*.example.com"} }, ""},
		"address":   {func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = nil, []net.IP{net.IPv4(192, 0, 2, 77)} }, "not for this host, mx1.example.com"},
		"other":     {func(c *x509.Certificate) { c.DNSNames = []string{"mx2.example.com", "localhost"} }, "not for this host, mx1.example.com"},
		"CA":        {func(c *x509.Certificate) { c.IsCA = true }, "one of a CA"},
		"soon":      {func(c *x509.Certificate) { c.NotAfter = time.Now().Add(29 * 24 * time.Hour) }, "ends in less than 30 days"},
	} {
		key := ecdsaKey(t)
		one, err := c.InstallCertificate(text(t, root.leaf(t, key.Public(), row.edit), root.certificate), menu.SecretText(text(t, key)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if said := strings.Join(one.Warnings, " "); (row.want == "") != (said == "") || !strings.Contains(said, row.want) {
			t.Errorf("%s: %q", name, said)
		}
		warnings := c.CertificateWarnings(config.Document{config.Certificate: one.Setting}, config.Document{})
		if len(warnings) != len(one.Warnings) {
			t.Errorf("%s: the commit says %v", name, warnings)
		}
	}
}

// A certificate that comes without that of its issuer is told so, with the issuer's name.
func TestAMissingIssuerIsTold(t *testing.T) {
	root := newCA(t, "Root", nil)
	between := newCA(t, "Between", &root)
	self := newCA(t, "mx1.example.com", nil, func(c *x509.Certificate) {
		c.IsCA, c.KeyUsage, c.DNSNames = false, x509.KeyUsageDigitalSignature, []string{"mx1.example.com"}
	})
	key := ecdsaKey(t)
	leaf := between.leaf(t, key.Public())
	c := open(t, t.TempDir())
	for name, row := range map[string]struct {
		chain string
		key   crypto.Signer
		told  bool
	}{
		"alone":                 {text(t, leaf), key, true},
		"with its issuer":       {text(t, leaf, between.certificate), key, false},
		"with all of them":      {text(t, leaf, between.certificate, root.certificate), key, false},
		"one that signs itself": {text(t, self.certificate), self.key, false},
	} {
		one, err := c.InstallCertificate(row.chain, menu.SecretText(text(t, row.key)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		said := strings.Join(one.Warnings, " ")
		if told := strings.Contains(said, `issuer, "CN=Between", is not installed with it`); told != row.told {
			t.Errorf("%s: %q", name, said)
		}
		if pending := c.CertificateWarnings(config.Document{config.Certificate: one.Setting}, config.Document{}); len(pending) != len(one.Warnings) {
			t.Errorf("%s: before the commit one is told %v", name, pending)
		}
	}
}
