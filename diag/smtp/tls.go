package smtp

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// TLS is what was negotiated and how the server proved its identity. All texts but Version and
// Cipher are the server's own.
type TLS struct {
	Version      string
	Cipher       string
	Certificates []Certificate // the server's own first
	Trusted      bool          // by the authorities that this appliance trusts, for the server's name, at this time
	Reasons      []string      // why not
}

// A Certificate is the content of a certificate.
type Certificate struct {
	Subject, Issuer     string
	Names               []string // that it is for
	NotBefore, NotAfter time.Time
	Key                 string // such as RSA 2048
	Signature           string
	SerialNumber        string
	SHA256              string // fingerprint
}

// maxCertificates is how many of a chain are reported.
const maxCertificates = 10

func examine(state tls.ConnectionState, name string, now time.Time) *TLS {
	t := &TLS{Version: tls.VersionName(state.Version), Cipher: tls.CipherSuiteName(state.CipherSuite)}
	chain := state.PeerCertificates
	for _, c := range chain[:min(len(chain), maxCertificates)] {
		t.Certificates = append(t.Certificates, describe(c))
	}
	t.Reasons = distrust(chain, name, now)
	t.Trusted = len(t.Reasons) == 0
	return t
}

func describe(c *x509.Certificate) Certificate {
	names := append([]string(nil), c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	return Certificate{Subject: c.Subject.String(), Issuer: c.Issuer.String(), Names: names, NotBefore: c.NotBefore,
		NotAfter: c.NotAfter,
		Key:      keyOf(c), Signature: c.SignatureAlgorithm.String(), SerialNumber: fmt.Sprintf("%X", c.SerialNumber),
		SHA256: fingerprint(c.Raw)}
}

func keyOf(c *x509.Certificate) string {
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", key.N.BitLen())
	case *ecdsa.PublicKey:
		return fmt.Sprintf("ECDSA %s", key.Curve.Params().Name)
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return c.PublicKeyAlgorithm.String()
}

func fingerprint(raw []byte) string {
	sum := sha256.Sum256(raw)
	return strings.TrimSuffix(strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":"), ":")
}

// distrust returns all reasons not to trust a chain; x509 stops at the first.
func distrust(chain []*x509.Certificate, name string, now time.Time) (reasons []string) {
	if len(chain) == 0 {
		return []string{"the server showed no certificate"}
	}
	leaf := chain[0]
	switch {
	case now.After(leaf.NotAfter):
		reasons = append(reasons, "it expired on "+day(leaf.NotAfter))
	case now.Before(leaf.NotBefore):
		reasons = append(reasons, "it is not valid before "+day(leaf.NotBefore))
	}
	switch {
	case name == "" || leaf.VerifyHostname(name) == nil:
	// users see the name in the certificate, so "not for" would puzzle them
	case strings.EqualFold(leaf.Subject.CommonName, name):
		reasons = append(reasons, "it has the name "+name+" only as its common name, not as a subjectAltName")
	default:
		reasons = append(reasons, "it is not for the name "+name)
	}
	// The chain is verified for a moment when the certificate was valid, so that expiry does not
	// hide a missing authority.
	moment := now
	if now.After(leaf.NotAfter) || now.Before(leaf.NotBefore) {
		moment = leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore) / 2)
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := leaf.Verify(x509.VerifyOptions{Intermediates: between, CurrentTime: moment})
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case err == nil:
	case leaf.CheckSignatureFrom(leaf) == nil || leaf.Subject.String() == leaf.Issuer.String() && len(chain) == 1:
		reasons = append(reasons, "it is signed by itself")
	case errors.As(err, &unknown):
		reasons = append(reasons, "no authority that this appliance trusts has signed it or its issuers")
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		reasons = append(reasons, "a certificate of its issuers has expired")
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		reasons = append(reasons, "it is not meant for a server")
	default:
		reasons = append(reasons, "its chain does not prove what it says")
	}
	return reasons
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// Failures before TLS starts.
var (
	ErrNotTLS = errors.New("what came is no TLS")
	ErrTLS    = errors.New("TLS could not be agreed on")
)

// An Alert is the server's refusal of TLS (RFC 8446, section 6).
type Alert struct{ Description string }

func (a Alert) Error() string { return "the server refused TLS: " + a.Description }

// handshakeFailure converts the error of a failed handshake.
func handshakeFailure(err error) error {
	var header tls.RecordHeaderError
	var remote *net.OpError
	var network net.Error
	switch {
	case errors.As(err, &remote) && remote.Op == "remote error": // how crypto/tls marks an alert
		return Alert{strings.TrimPrefix(remote.Err.Error(), "tls: ")}
	case errors.As(err, &remote) && remote.Op == "local error":
		return ErrTLS
	case errors.As(err, &header):
		return ErrNotTLS
	case errors.Is(err, io.EOF):
		return ErrClosed
	case errors.As(err, &network):
		return err
	}
	return ErrTLS
}
