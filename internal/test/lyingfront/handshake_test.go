package lyingfront

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"strings"
	"testing"

	"diagsh/internal/menu"
)

// verify is what a server signs in TLS 1.3, before the hash.
const verify = "TLS 1.3, server CertificateVerify\x00"

// A front that was taken over has handshakes signed, which a client of that moment believes, and nothing
// that means something elsewhere or later.
func TestSignaturesOfHandshakes(t *testing.T) {
	b := newBed(t)
	chain, _, err := b.front.Certificate(t.Context(), nil)
	check(t, err)
	leaf, err := x509.ParseCertificate(chain[0])
	check(t, err)
	own := sha256.Sum256(chain[0])
	blanks := strings.Repeat(" ", 64)
	handshake := blanks + verify + strings.Repeat("h", 32)
	signature, err := b.front.SignHandshake(t.Context(), own[:], uint16(tls.ECDSAWithP256AndSHA256), []byte(handshake))
	check(t, err)
	sum := sha256.Sum256([]byte(handshake))
	if !ecdsa.VerifyASN1(leaf.PublicKey.(*ecdsa.PublicKey), sum[:], signature) {
		t.Error("the signature is not by the certificate's key")
	}
	request, err := asn1.Marshal(struct{ Version, Subject int }{0, 1})
	check(t, err)
	for what, message := range map[string]string{
		"what begins a certificate":  string(leaf.RawTBSCertificate),
		"what begins a request":      string(request),
		"a hash":                     strings.Repeat("h", 32),
		"nothing":                    "",
		"a handshake of a client":    blanks + strings.Replace(verify, "server", "client", 1) + strings.Repeat("h", 32),
		"without the blanks":         verify + strings.Repeat("h", 32),
		"with a longer hash":         handshake + "hh",
		"with text behind":           handshake + strings.Repeat("h", 100),
		"a token":                    "eyJhbGciOiJFUzI1NiJ9.e30",
		"a key exchange, cut":        strings.Repeat("r", 64) + "\x03\x00\x17\x41" + strings.Repeat("p", 64),
		"a key exchange, no curve":   strings.Repeat("r", 64) + "\x01\x00\x17\x41" + strings.Repeat("p", 65),
		"a key exchange, text after": strings.Repeat("r", 64) + "\x03\x00\x17\x41" + strings.Repeat("p", 66),
	} {
		if signature, err := b.front.SignHandshake(t.Context(), own[:], uint16(tls.ECDSAWithP256AndSHA256), []byte(message)); err == nil {
			t.Errorf("%s is signed: %x", what, signature)
		} else if e := menu.AsError(err); e.Code != menu.Usage {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := b.front.SignHandshake(t.Context(), []byte("another"), uint16(tls.ECDSAWithP256AndSHA256), []byte(handshake)); err == nil {
		t.Error("it is signed for a certificate that there is not")
	}
	for _, scheme := range []tls.SignatureScheme{0, tls.PSSWithSHA256, tls.ECDSAWithSHA1, tls.ECDSAWithP384AndSHA384} {
		if _, err := b.front.SignHandshake(t.Context(), own[:], uint16(scheme), []byte(handshake)); err == nil {
			t.Errorf("it is signed by the algorithm %v", scheme)
		}
	}
}

// A session of the page is of a login of this front, and ends with it.
func TestForeignSessionsOfThePage(t *testing.T) {
	b := newBed(t)
	ctx, cancel := context.WithCancel(t.Context())
	c, err := b.front.Client(ctx)
	check(t, err)
	login, err := c.Login(b.remote(c).steal(b, c.Cookie(), b.admin))
	check(t, err)
	f, err := b.front.Attach(t.Context(), login.ID, "web")
	check(t, err)
	defer f.Close()
	if n := len(b.appliance.Sessions()); n != 1 {
		t.Errorf("%d sessions", n)
	}
	for _, kind := range []string{"shell", "exec", "sftp", "root", "api", ""} {
		if f, err := b.front.Attach(t.Context(), login.ID, kind); err == nil {
			f.Close()
			t.Errorf("a session of the kind %q", kind)
		}
	}
	for _, id := range []string{"", "root", login.ID + "-1"} {
		if f, err := b.front.Attach(t.Context(), id, "web"); err == nil {
			f.Close()
			t.Errorf("a session of the login %q", id)
		}
	}
	cancel()
	check(t, c.Close())
	if n := len(b.appliance.Sessions()); n != 0 {
		t.Errorf("%d sessions when the login is over", n)
	}
}
