package smtp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"slices"
	"testing"
	"time"
)

// TestDistrust: every reason is reported, also that a name is in a field that does not count (RFC
// 9525).
func TestDistrust(t *testing.T) {
	now := time.Now()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	const itself = "it is signed by itself"
	for _, c := range []struct {
		name, common string
		alternatives []string
		addresses    []net.IP
		want         []string
	}{
		{"mx.lab.example", "mx.lab.example", []string{"mx.lab.example"}, nil, []string{itself}},
		{"mx.lab.example", "other", []string{"*.lab.example"}, nil, []string{itself}},
		{"mx.lab.example", "MX.lab.example", nil, nil,
			[]string{"it has the name mx.lab.example only as its common name, not as a subjectAltName", itself}},
		{"mx.lab.example", "mx.lab.example", []string{"www.lab.example"}, nil,
			[]string{"it has the name mx.lab.example only as its common name, not as a subjectAltName", itself}},
		{"mx.lab.example", "old.lab.example", nil, nil, []string{"it is not for the name mx.lab.example", itself}},
		{"192.0.2.1", "192.0.2.1", nil, []net.IP{{192, 0, 2, 1}}, []string{itself}},
		{"192.0.2.2", "mx", nil, []net.IP{{192, 0, 2, 1}}, []string{"it is not for the name 192.0.2.2", itself}},
		{"", "mx.lab.example", nil, nil, []string{itself}},
	} {
		template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: c.common},
			DNSNames: c.alternatives, IPAddresses: c.addresses,
			NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		if got := distrust([]*x509.Certificate{leaf}, c.name, now); !slices.Equal(got, c.want) {
			t.Errorf("%q with the CN %q and the names %q: %q", c.name, c.common, c.alternatives, got)
		}
	}
}
