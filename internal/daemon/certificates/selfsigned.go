package certificates

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"time"

	"diagsh/internal/access"
)

// lifetime is that of certificates of the appliance's own making: browsers take none that lasts
// longer than 398 days.
const lifetime = 397 * 24 * time.Hour

// early is how long before its making a certificate begins, for clients whose clock is slow.
const early = time.Hour

// selfSigned makes a pair that signs itself.
func selfSigned(n names, now time.Time) (*pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	begin := now.Add(-early).UTC().Truncate(time.Second)
	der, err := x509.CreateCertificate(rand.Reader, n.template(begin), n.template(begin), key.Public(), key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &pair{chain: [][]byte{der}, leaf: leaf, key: key, origin: access.SelfSigned}, nil
}

// template returns a certificate for a server that is not a CA. x509 makes its serial number.
func (n names) template(begin time.Time) *x509.Certificate {
	t := &x509.Certificate{
		NotBefore: begin, NotAfter: begin.Add(lifetime - time.Second), // both ends belong to it (RFC 5280 section 4.1.2.5)
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		DNSNames:              n.dns,
	}
	if len(n.dns) > 0 {
		t.Subject = pkix.Name{CommonName: n.dns[0]}
	}
	for _, a := range n.addresses {
		t.IPAddresses = append(t.IPAddresses, net.IP(a.AsSlice()))
	}
	return t
}
