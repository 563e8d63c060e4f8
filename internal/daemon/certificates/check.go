package certificates

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// Bounds of what is installed. Each handshake carries the chain, and the process that speaks TLS
// takes it in one message.
const (
	mostCertificates = 10
	mostBytes        = 32 << 10 // of the chain in DER
	leastRSA         = 2048
	mostRSA          = 8192 // clients written in Go take none that is longer
)

// A bundle is what was pasted: certificates and keys.
type bundle struct {
	chain []*x509.Certificate
	keys  []crypto.Signer
}

// leading is how a chain is written.
const leading = "The appliance's own certificate comes first, after it the one that signed it, and so on"

// refuse returns why a text or a pair is not taken.
func refuse(format string, args ...any) *menu.Error {
	return menu.BadArgument("chain", format, args...)
}

// parseChain reads certificates in PEM, and a key if there is one among them.
func parseChain(text string) (bundle, error) {
	b, err := parseBundle(text)
	switch {
	case err != nil:
		return b, err
	case len(b.chain) == 0:
		return b, refuse("The text has no certificate").
			WithHint("It is certificates in PEM: blocks that begin with -----BEGIN CERTIFICATE-----")
	case len(b.keys) > 1:
		return b, refuse("The text has %d private keys", len(b.keys)).WithHint("It has at most the one of the certificate")
	}
	return b, nil
}

// parseKeyText reads the text that is a private key in PEM.
func parseKeyText(text string) (crypto.Signer, error) {
	b, err := parseBundle(text)
	switch {
	case err != nil:
		return nil, menu.Blame("key", err) // which is asked for again: unseen
	case len(b.chain) > 0 || len(b.keys) != 1:
		return nil, menu.BadArgument("key", "The text is not one private key").
			WithHint("It is a block in PEM that ends with -----END PRIVATE KEY-----")
	}
	return b.keys[0], nil
}

// marker begins or ends a block of PEM, with the end of its line.
var marker = regexp.MustCompile(`(-----(?:BEGIN|END) [A-Z0-9 ]+-----)[ \t\r]*\n?`)

// parseBundle reads certificates and keys in PEM. Other text around them is no harm, nor is space at
// the beginning of lines or where lines ended, which comes with copying from a screen.
func parseBundle(text string) (b bundle, err error) {
	var lines strings.Builder
	for line := range strings.Lines(marker.ReplaceAllString(text, "\n$1\n")) {
		lines.WriteString(strings.TrimSpace(line) + "\n")
	}
	rest := []byte(lines.String())
	for {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			break
		}
		if err := b.add(block); err != nil {
			return b, err
		}
	}
	if strings.Contains(string(rest), "-----BEGIN") {
		return b, refuse("The text ends within a block, or one of its lines is damaged").
			WithHint("Each block is whole, from -----BEGIN to its -----END line")
	}
	return b, nil
}

// add takes one block.
func (b *bundle) add(block *pem.Block) error {
	switch {
	case block.Type == certificateBlock || block.Type == "X509 CERTIFICATE":
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return refuse("Certificate %d of the text is damaged", len(b.chain)+1)
		}
		b.chain = append(b.chain, c)
	case block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "":
		return refuse("The private key is encrypted").
			WithHint("Give it without its passphrase: openssl pkey -in FILE prints it so")
	case strings.HasSuffix(block.Type, keyBlock):
		key, err := parseKey(block.Bytes)
		if err != nil {
			return refuse("The private key cannot be read").
				WithHint("It is one of ECDSA, RSA or Ed25519, in PEM")
		}
		b.keys = append(b.keys, key)
	case block.Type == "EC PARAMETERS": // openssl writes them before the key, which has them too
	case block.Type == requestBlock || block.Type == "NEW CERTIFICATE REQUEST":
		return refuse("That is a request for a certificate").
			WithHint("Have a CA sign it, and install the certificate that it gives")
	default:
		return refuse("The text has a block of the type %s", menu.Quoted(block.Type)).
			WithHint("Certificates belong here, and at most one private key")
	}
	return nil
}

// check returns why a chain and its key cannot be shown to clients now; nil if they can.
func check(chain []*x509.Certificate, key crypto.Signer, now time.Time) error {
	leaf := chain[0]
	size := 0
	for _, c := range chain {
		size += len(c.Raw)
	}
	if len(chain) > mostCertificates || size > mostBytes {
		return refuse("The chain has %d certificates of %d bytes in all", len(chain), size).
			WithHint("It has at most %d, of %d bytes in all", mostCertificates, mostBytes)
	}
	for i, c := range chain { // first: a signature that can be forged is not looked at
		if err := checkStrength(c, i); err != nil {
			return err
		}
	}
	if err := checkOrder(chain, key); err != nil {
		return err
	}
	for i, c := range chain {
		if err := checkDates(c, i, now); err != nil {
			return err
		}
	}
	switch {
	case len(leaf.DNSNames) == 0 && len(leaf.IPAddresses) == 0:
		return refuse("The certificate has no names").
			WithHint("Clients look for names in its subjectAltName only; certificate request asks for them")
	case len(leaf.ExtKeyUsage)+len(leaf.UnknownExtKeyUsage) > 0 && !slices.ContainsFunc(leaf.ExtKeyUsage, forServers):
		return refuse("The certificate is not for servers").WithHint("Its extended key usage lacks serverAuth")
	case leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return refuse("The certificate is not for signatures").WithHint("Its key usage lacks digitalSignature")
	}
	return nil
}

func forServers(usage x509.ExtKeyUsage) bool {
	return usage == x509.ExtKeyUsageServerAuth || usage == x509.ExtKeyUsageAny
}

// checkOrder checks that the key is that of the first certificate, and that each of the others
// signed the one before it.
func checkOrder(chain []*x509.Certificate, key crypto.Signer) error {
	if !isKeyOf(key, chain[0]) {
		if i := slices.IndexFunc(chain, func(c *x509.Certificate) bool { return isKeyOf(key, c) }); i > 0 {
			return refuse("The chain is in the wrong order: the private key belongs to certificate %d", i+1).WithHint(leading)
		}
		return refuse("The private key is not that of the certificate of %s", subjectOf(chain[0])).
			WithHint("Is it the right key, and does the appliance's own certificate come first?")
	}
	for i, c := range chain[1:] {
		before := chain[i]
		switch {
		case c.Equal(before):
			return refuse("Certificate %d is there twice", i+1)
		case string(before.RawIssuer) != string(c.RawSubject):
			return refuse("The chain is in the wrong order, or has a gap: certificate %d (%s) was issued by %s, and not by certificate %d (%s)",
				i+1, subjectOf(before), menu.Quoted(before.Issuer.String()), i+2, subjectOf(c)).WithHint(leading)
		}
		err, violation := before.CheckSignatureFrom(c), x509.ConstraintViolationError{}
		switch {
		case errors.As(err, &violation):
			return refuse("Certificate %d (%s) is not that of a CA", i+2, subjectOf(c))
		case err != nil:
			return refuse("Certificate %d (%s) has the name of the issuer of certificate %d, and did not sign it", i+2, subjectOf(c), i+1).
				WithHint("The CA may have several certificates of this name; take the one that signed")
		}
	}
	return nil
}

func subjectOf(c *x509.Certificate) string { return menu.Quoted(c.Subject.String()) }

// called returns what a message calls a certificate of a chain.
func called(c *x509.Certificate, i int) string {
	if i == 0 {
		return "The certificate"
	}
	return fmt.Sprintf("Certificate %d (%s)", i+1, subjectOf(c))
}

func checkDates(c *x509.Certificate, i int, now time.Time) error {
	switch {
	case now.After(c.NotAfter):
		return refuse("%s ended at %s", called(c, i), menu.UTC(c.NotAfter))
	case now.Before(c.NotBefore):
		return refuse("%s begins at %s, and it is %s", called(c, i), menu.UTC(c.NotBefore), menu.UTC(now)).
			WithHint("Is the clock right? date shows it")
	}
	return nil
}

// checkStrength refuses keys that can be broken, or that clients do not take, and signatures that
// can be forged. That of a root does not matter, since nobody looks at it.
func checkStrength(c *x509.Certificate, i int) error {
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < leastRSA || bits > mostRSA {
			return refuse("The RSA key of certificate %d has %d bits", i+1, bits).WithHint("It has from %d to %d", leastRSA, mostRSA)
		}
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P224() {
			return refuse("The key of certificate %d is on the curve P-224", i+1).WithHint("P-256, P-384 and P-521 are taken")
		}
	case ed25519.PublicKey:
	default:
		return refuse("The key of certificate %d is of the type %v", i+1, c.PublicKeyAlgorithm).WithHint("ECDSA, RSA and Ed25519 are taken")
	}
	weak := []x509.SignatureAlgorithm{x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.DSAWithSHA256,
		x509.ECDSAWithSHA1, x509.UnknownSignatureAlgorithm}
	if slices.Contains(weak, c.SignatureAlgorithm) && !(i > 0 && string(c.RawIssuer) == string(c.RawSubject)) {
		return refuse("%s is signed by %v, which clients do not take", called(c, i), c.SignatureAlgorithm).
			WithHint("Have the CA sign it with SHA-256")
	}
	return nil
}

// warnings are what is right and yet may surprise, in full sentences.
func (p *pair) warnings(hostname string, now time.Time) []string {
	list := []string{}
	if !p.covers(hostNames(hostname)) {
		list = append(list, fmt.Sprintf("The certificate is not for this host, %s, nor for an address of it: clients that call it so refuse it.", hostname))
	}
	if left := p.leaf.NotAfter.Sub(now); left > 0 && left < renewBefore && p.origin == access.Installed {
		list = append(list, "The certificate ends in less than 30 days, at "+menu.UTC(p.leaf.NotAfter)+".")
	}
	if p.origin == access.Installed && p.lacksIssuer() {
		list = append(list, fmt.Sprintf("The certificate of its issuer, %s, is not installed with it: clients that do not know that one themselves refuse the certificate. "+
			"Install it again with the certificates that lead to its CA.", menu.Quoted(p.leaf.Issuer.String())))
	}
	if p.leaf.IsCA {
		list = append(list, "The certificate is one of a CA; Firefox takes none of these from a server.")
	}
	if _, ok := p.leaf.PublicKey.(ed25519.PublicKey); ok {
		list = append(list, "The key is one of Ed25519, which browsers do not take.")
	}
	return list
}

// lacksIssuer reports whether the certificate comes alone, and its issuer is neither itself nor one of the
// CAs that this machine knows, which clients know too.
func (p *pair) lacksIssuer() bool {
	if len(p.chain) > 1 || bytes.Equal(p.leaf.RawIssuer, p.leaf.RawSubject) {
		return false
	}
	_, err := p.leaf.Verify(x509.VerifyOptions{KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	_, noRoots := errors.AsType[x509.SystemRootsError](err)
	return unknown || noRoots
}

// covers reports whether the certificate is for one of these names, or has the host's name in a
// domain. What every host is called does not count.
func (p *pair) covers(n names) bool {
	for _, name := range n.dns {
		if name == "localhost" {
			continue
		}
		if p.leaf.VerifyHostname(name) == nil {
			return true
		}
		for _, of := range p.leaf.DNSNames {
			if strings.HasPrefix(strings.ToLower(of), name+".") {
				return true
			}
		}
	}
	return slices.ContainsFunc(n.addresses, func(a netip.Addr) bool {
		return !a.IsLoopback() && p.leaf.VerifyHostname("["+a.String()+"]") == nil
	})
}
