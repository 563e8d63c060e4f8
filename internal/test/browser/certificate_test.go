package browser_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/browser"
)

// The certificate that is in use is shown, and a new one waits for its commit.
func TestCertificate(t *testing.T) {
	t.Parallel()
	a, _, b := lab(t)
	p := b.SignedIn(a, "admin", browser.Look{})
	p.Go("#/system/certificate")
	p.WaitText(".record dd", a.Fingerprint())
	p.Choose(button(p, "New"))
	p.Settled()
	p.Choose("dialog[open] button[type=submit]")
	p.Wait("the dialog is closed", "!document.querySelector('dialog')")
	p.Go("#/system/configuration")
	p.WaitText("[aria-label='Pending changes'] code", "certificate")
}

// A CA signs certificates of servers.
type ca struct {
	t    *testing.T
	key  crypto.Signer
	cert *x509.Certificate
}

func newCA(t *testing.T) *ca {
	t.Helper()
	c := &ca{t: t, key: newKey(t)}
	c.cert = &x509.Certificate{Subject: pkix.Name{CommonName: "CA of the lab"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	c.cert = c.sign(c.cert, c.key.Public())
	return c
}

func newKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sign signs what a template wants, for a day.
func (c *ca) sign(wanted *x509.Certificate, public crypto.PublicKey) *x509.Certificate {
	c.t.Helper()
	wanted.SerialNumber, wanted.NotBefore, wanted.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, wanted, c.cert, public, c.key)
	if err != nil {
		c.t.Fatal(err)
	}
	signed, err := x509.ParseCertificate(der)
	if err != nil {
		c.t.Fatal(err)
	}
	return signed
}

// server signs the certificate of a server of this name.
func (c *ca) server(name string, public crypto.PublicKey) *x509.Certificate {
	c.t.Helper()
	return c.sign(&x509.Certificate{Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, public)
}

// asPEM returns a certificate or a private key as people paste it.
func asPEM(t *testing.T, what any) string {
	t.Helper()
	if c, ok := what.(*x509.Certificate); ok {
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	der, err := x509.MarshalPKCS8PrivateKey(what)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// A certificate comes to the appliance by the page alone: the answer of a CA to a request, and one with
// its key. What does not fit is refused at its field, with the reason, and changes nothing. A browser
// that comes after the commit is shown the new one.
func TestCertificateIsInstalled(t *testing.T) {
	t.Parallel()
	a, _, b := lab(t)
	p := b.SignedIn(a, "admin", browser.Look{})
	p.Provokes(400, "/v1/ask/certificate/install") // what does not fit
	p.Provokes(400, "/v1/run/certificate/install")
	own := p.Certificate()
	issuer := newCA(t)

	p.Go("#/system/certificate")
	answer := issuer.server("mx1.example", requested(t, p, "mx1.example"))
	p.Choose(button(p, "Install"))
	p.Paste(labelled(p, "Chain"), "mx1.example, from the CA")
	p.Choose("dialog[open] button[type=submit]")
	p.WaitText("dialog .error", "PEM")
	p.Paste(labelled(p, "Chain"), asPEM(t, answer)+asPEM(t, issuer.cert))
	installed(t, a, b, p, answer)

	p.Go("#/system/certificate")
	p.WaitText(".record dd", "CN=CA of the lab")
	key, another := newKey(t), newKey(t)
	pair := issuer.server("mx2.example", key.Public())
	p.Choose(button(p, "Install"))
	p.Paste(labelled(p, "Chain"), asPEM(t, pair))
	p.Paste(labelled(p, "Key"), asPEM(t, another))
	p.Choose("dialog[open] button[type=submit]")
	p.WaitText("dialog .error", "key")
	p.Accessible(t, "a pair that does not fit")
	if r := a.SSH("admin", "showchanges --json"); strings.Contains(r.Out, "certificate") {
		t.Errorf("a pair that does not fit is pending: %s", r.Out)
	}
	p.Paste(labelled(p, "Key"), asPEM(t, key))
	installed(t, a, b, p, pair)
	if text := browser.Eval[string](p, "document.documentElement.outerHTML"); strings.Contains(text, "PRIVATE KEY") {
		t.Error("the page still has the key")
	}

	p.Go("#/system/certificate") // and back to where it began
	p.Choose(button(p, "Remove"))
	p.Choose("dialog[open] button[type=submit]")
	commit(p)
	if now := b.Page(a, browser.Look{}).Certificate(); string(now) != string(own) {
		t.Error("after it is removed a browser is not shown the certificate that was first")
	}
}

// requested has the page make a request for a name, and returns the key that it is for.
func requested(t *testing.T, p *browser.Page, name string) crypto.PublicKey {
	t.Helper()
	p.Choose(button(p, "Request"))
	p.Type(labelled(p, "Names"), name)
	p.Choose("dialog[open] button[type=submit]")
	const shown = "dialog pre"
	p.WaitText(shown, "END CERTIFICATE REQUEST")
	text := browser.Eval[string](p, "document.querySelector('"+shown+"').innerText")
	block, _ := pem.Decode([]byte(text + "\n"))
	if block == nil {
		t.Fatalf("the request is %q", text)
	}
	r, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil || r.CheckSignature() != nil || strings.Join(r.DNSNames, " ") != name {
		t.Fatalf("the request is for %v: %v", r.DNSNames, err)
	}
	p.Press("\u001b")
	p.Wait("the dialog is closed", "!document.querySelector('dialog')")
	p.WaitText("main pre", strings.Split(text, "\n")[1]) // it is there also after the dialog
	return r.PublicKey
}

// installed sends the form of a certificate, commits it, and looks what a browser is shown.
func installed(t *testing.T, a *appliance.Appliance, b *browser.Browser, p *browser.Page, want *x509.Certificate) {
	t.Helper()
	p.Choose("dialog[open] button[type=submit]")
	commit(p)
	if now := b.Page(a, browser.Look{}).Certificate(); string(now) != string(want.Raw) {
		t.Errorf("a browser is not shown the certificate for %s", want.Subject)
	}
}

// commit commits what is pending, after the dialog of a change.
func commit(p *browser.Page) {
	p.Wait("the dialog is closed", "!document.querySelector('dialog')")
	p.Choose("main a[href='#/system/configuration']")
	p.WaitText("[aria-label='Pending changes'] code", "certificate")
	p.Choose(button(p, "Commit"))
	p.Choose("dialog[open] button[type=submit]")
	p.WaitText("main", "Nothing is pending")
}
