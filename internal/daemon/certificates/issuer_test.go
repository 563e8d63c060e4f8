package certificates

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"strings"
	"testing"
	"time"
)

// An issuer is a certificate with its key that signs others.
type issuer struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

func ecdsaKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// newCA makes a CA, of another one if above is not nil.
func newCA(t testing.TB, name string, above *issuer, edit ...func(*x509.Certificate)) issuer {
	t.Helper()
	ca := issuer{key: ecdsaKey(t)}
	template := &x509.Certificate{Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().AddDate(10, 0, 0), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	for _, e := range edit {
		e(template)
	}
	ca.certificate = ca.sign(t, template, above, ca.key.Public())
	return ca
}

// sign signs with the key of above, or with its own.
func (i issuer) sign(t testing.TB, template *x509.Certificate, above *issuer, public crypto.PublicKey) *x509.Certificate {
	t.Helper()
	parent := issuer{template, i.key}
	if above != nil {
		parent = *above
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent.certificate, public, parent.key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// leaf makes a certificate for a server.
func (i issuer) leaf(t testing.TB, public crypto.PublicKey, edit ...func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	template := names{dns: []string{"mx1.example.com"}}.template(time.Now())
	for _, e := range edit {
		e(template)
	}
	return i.sign(t, template, &i, public)
}

// text returns certificates and keys in PEM.
func text(t testing.TB, parts ...any) string {
	t.Helper()
	var b strings.Builder
	for _, part := range parts {
		switch part := part.(type) {
		case *x509.Certificate:
			pem.Encode(&b, &pem.Block{Type: certificateBlock, Bytes: part.Raw})
		case crypto.Signer:
			der, err := x509.MarshalPKCS8PrivateKey(part)
			if err != nil {
				t.Fatal(err)
			}
			pem.Encode(&b, &pem.Block{Type: keyBlock, Bytes: der})
		case string:
			b.WriteString(part)
		}
	}
	return b.String()
}
