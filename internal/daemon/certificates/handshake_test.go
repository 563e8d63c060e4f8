package certificates

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"diagsh/internal/test/netnstest"
)

// A distantKey is a key that another process has, as a front sees it.
type distantKey struct {
	c      *Certificates
	public crypto.PublicKey
	leaf   []byte // of its certificate
}

func (k *distantKey) Public() crypto.PublicKey { return k.public }

func (k *distantKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("a hash is to be signed")
}

func (k *distantKey) SignMessage(_ io.Reader, message []byte, options crypto.SignerOpts) ([]byte, error) {
	return k.c.Sign(context.Background(), k.leaf, schemeOf(k.public, options), message)
}

// distantKey returns the key of a chain.
func (b *bed) distantKey(t testing.TB, chain [][]byte) *distantKey {
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		t.Error(err)
	}
	sum := sha256.Sum256(chain[0])
	return &distantKey{b.Certificates, leaf.PublicKey, sum[:]}
}

// sign signs with the key of the present certificate.
func (b *bed) sign(t testing.TB, number uint16, message []byte) ([]byte, error) {
	chain, _ := b.Chain()
	sum := sha256.Sum256(chain[0])
	return b.Sign(t.Context(), sum[:], number, message)
}

// schemeOf returns the number of the algorithm that package tls has chosen.
func schemeOf(public crypto.PublicKey, options crypto.SignerOpts) uint16 {
	_, pss := options.(*rsa.PSSOptions)
	for number, s := range schemes {
		fits := s.hash == options.HashFunc() && s.pss == pss
		switch public.(type) {
		case *ecdsa.PublicKey:
			fits = fits && s.curve != nil
		case *rsa.PublicKey:
			fits = fits && s.curve == nil && s.hash != 0
		}
		if fits {
			return uint16(number)
		}
	}
	return 0
}

func newKeys(t *testing.T) map[string]crypto.Signer {
	keys := map[string]crypto.Signer{}
	for name, curve := range map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		keys[name] = key
	}
	var err error
	if keys["RSA"], err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	if _, keys["Ed25519"], err = ed25519.GenerateKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	return keys
}

// signedBy makes a pair of a key that signs itself.
func signedBy(t *testing.T, key crypto.Signer) *pair {
	t.Helper()
	template := names{dns: []string{"mx1.example.com"}}.template(time.Now())
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &pair{chain: [][]byte{der}, leaf: leaf, key: key}
}

// Clients accept handshakes that are signed here: Go's and openssl's, in both versions of TLS, by
// every kind of key and every algorithm.
func TestHandshakes(t *testing.T) {
	c := open(t, t.TempDir())
	for name, key := range newKeys(t) {
		p := signedBy(t, key)
		c.present.Store(p)
		distant := c.distantKey(t, p.chain)
		l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{MinVersion: tls.VersionTLS12,
			Certificates: []tls.Certificate{{Certificate: p.chain, PrivateKey: distant}}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go serveHello(l)
		roots := x509.NewCertPool()
		roots.AddCert(p.leaf)
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			conn, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: roots, ServerName: "mx1.example.com", MaxVersion: version})
			if err != nil {
				t.Errorf("%s, %x: %v", name, version, err)
				continue
			}
			if conn.ConnectionState().Version != version {
				t.Errorf("%s: it is version %x", name, conn.ConnectionState().Version)
			}
			conn.Close()
		}
		for _, option := range []string{"-tls1_2", "-tls1_3"} {
			for _, algorithm := range algorithmsOf(name, option) {
				command := exec.Command(netnstest.Tool(t, "openssl"), "s_client", "-connect", l.Addr().String(), option, "-sigalgs", algorithm)
				out, err := command.CombinedOutput()
				if err != nil || !strings.Contains(string(out), "hello") && !strings.Contains(string(out), "Cipher is") {
					t.Errorf("%s %s %s: %v\n%s", name, option, algorithm, err, out)
				}
			}
		}
	}
}

// algorithmsOf lists what openssl calls the algorithms of a key.
func algorithmsOf(key, version string) []string {
	switch {
	case key == "RSA" && version == "-tls1_2":
		return []string{"RSA-PSS+SHA256", "RSA-PSS+SHA512", "RSA+SHA256", "RSA+SHA384", "RSA+SHA512"}
	case key == "RSA":
		return []string{"RSA-PSS+SHA256", "RSA-PSS+SHA384", "RSA-PSS+SHA512"}
	case key == "P-384":
		return []string{"ECDSA+SHA384"}
	case key == "P-521":
		return []string{"ECDSA+SHA512"}
	case key == "Ed25519":
		return []string{"ed25519"}
	}
	return []string{"ECDSA+SHA256"}
}

func serveHello(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			io.WriteString(conn, "hello")
		}()
	}
}

// exchange is what a server signs in TLS 1.2 for P-256.
func exchange() []byte {
	return append(append(bytes.Repeat([]byte{7}, randoms), namedCurve, 0, 23, 65), make([]byte, 65)...)
}

// Whatever is no handshake is not signed, nor by an algorithm that does not go with the key.
func TestSignsHandshakesOnly(t *testing.T) {
	c := open(t, t.TempDir())
	verify := append(bytes.Clone(serverVerify), make([]byte, 32)...)
	const p256 = uint16(tls.ECDSAWithP256AndSHA256)
	for name, message := range map[string][]byte{"TLS 1.3": verify, "TLS 1.2": exchange()} {
		if s, err := c.sign(t, p256, message); err != nil || len(s) == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	client := bytes.Replace(verify, []byte("server"), []byte("client"), 1)
	curve := exchange()
	curve[randoms] = 1
	unknown := exchange()
	unknown[randoms+2] = 99
	for name, message := range map[string][]byte{
		"nothing": nil, "a text": []byte("a certificate"), "a client's": client,
		"short hash": verify[:len(verify)-1], "long hash": append(bytes.Clone(verify), 0), "no hash": serverVerify,
		"explicit curve": curve, "unknown curve": unknown, "short key": exchange()[:randoms+4+64],
		"something behind": append(exchange(), 0), "only randoms": exchange()[:randoms], "half": exchange()[:randoms+2],
	} {
		if s, err := c.sign(t, p256, message); !errors.Is(err, errNoHandshake) {
			t.Errorf("%s: %x %v", name, s, err)
		}
	}
	type row struct {
		key     string
		number  tls.SignatureScheme
		message []byte
	}
	keys := newKeys(t)
	for _, r := range []row{
		{"P-256", tls.ECDSAWithSHA1, verify}, {"RSA", tls.PKCS1WithSHA1, exchange()}, {"P-256", 0, verify},
		{"P-256", tls.ECDSAWithP384AndSHA384, verify}, {"P-256", tls.Ed25519, verify}, {"P-256", tls.PSSWithSHA256, verify},
		{"RSA", tls.PKCS1WithSHA256, verify}, {"RSA", tls.ECDSAWithP256AndSHA256, verify}, {"RSA", tls.Ed25519, verify},
		{"Ed25519", tls.PSSWithSHA256, verify}, {"Ed25519", tls.ECDSAWithP256AndSHA256, exchange()},
	} {
		c.present.Store(signedBy(t, keys[r.key]))
		if s, err := c.sign(t, uint16(r.number), r.message); !errors.Is(err, errScheme) {
			t.Errorf("%s signs by %v: %x %v", r.key, r.number, s, err)
		}
	}
}

func FuzzSign(f *testing.F) {
	c := open(f, f.TempDir())
	f.Add(uint16(tls.ECDSAWithP256AndSHA256), exchange())
	f.Add(uint16(tls.ECDSAWithP256AndSHA256), append(bytes.Clone(serverVerify), make([]byte, 48)...))
	f.Fuzz(func(t *testing.T, number uint16, message []byte) {
		if _, err := c.sign(t, number, message); err == nil && !isVerify(message) && !isKeyExchange(message) {
			t.Errorf("%x is signed", message)
		}
	})
}
