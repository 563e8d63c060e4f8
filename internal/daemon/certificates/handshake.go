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
	"encoding/binary"
	"errors"
	"strings"
	"time"
)

// serverVerify begins what a server signs in TLS 1.3, before the hash of the handshake: 64 blanks
// and the context (RFC 8446 section 4.4.3).
var serverVerify = []byte(strings.Repeat(" ", 64) + "TLS 1.3, server CertificateVerify\x00")

// Parts of what a server signs in TLS 1.2: the randoms of both sides, then the parameters of the key
// exchange on a named curve (RFC 8422 section 5.4).
const (
	randoms    = 64
	namedCurve = 3
)

// pointSizes are the lengths in bytes of public keys of the curves that TLS 1.2 uses, by the numbers
// of RFC 8422 section 5.1.1: P-256, P-384, P-521, X25519.
var pointSizes = map[uint16]int{23: 65, 24: 97, 25: 133, 29: 32}

// isVerify reports whether message is what a server signs in TLS 1.3. The hash in it is SHA-256 or
// SHA-384, which the suites of TLS 1.3 have.
func isVerify(message []byte) bool {
	hash, ok := bytes.CutPrefix(message, serverVerify)
	return ok && (len(hash) == 32 || len(hash) == 48)
}

// isKeyExchange reports whether message is what a server signs in TLS 1.2 with a suite that has
// forward secrecy.
func isKeyExchange(message []byte) bool {
	if len(message) < randoms+4 {
		return false
	}
	curve := message[randoms:]
	size, known := pointSizes[binary.BigEndian.Uint16(curve[1:])]
	return known && curve[0] == namedCurve && int(curve[3]) == size && len(curve) == 4+size
}

// A scheme is how a handshake is signed.
type scheme struct {
	hash  crypto.Hash    // 0: the message itself is signed
	curve elliptic.Curve // of the key in TLS 1.3, if it is ECDSA
	pss   bool
}

// schemes are those that are signed by, by their numbers in RFC 8446 section 4.2.3: none with SHA-1.
var schemes = map[tls.SignatureScheme]scheme{
	tls.ECDSAWithP256AndSHA256: {hash: crypto.SHA256, curve: elliptic.P256()},
	tls.ECDSAWithP384AndSHA384: {hash: crypto.SHA384, curve: elliptic.P384()},
	tls.ECDSAWithP521AndSHA512: {hash: crypto.SHA512, curve: elliptic.P521()},
	tls.Ed25519:                {},
	tls.PSSWithSHA256:          {hash: crypto.SHA256, pss: true},
	tls.PSSWithSHA384:          {hash: crypto.SHA384, pss: true},
	tls.PSSWithSHA512:          {hash: crypto.SHA512, pss: true},
	tls.PKCS1WithSHA256:        {hash: crypto.SHA256},
	tls.PKCS1WithSHA384:        {hash: crypto.SHA384},
	tls.PKCS1WithSHA512:        {hash: crypto.SHA512},
}

var (
	errNoHandshake = errors.New("what is to be signed is no handshake of TLS")
	errScheme      = errors.New("the key of the certificate does not sign by this algorithm")
)

// Sign signs the message of a handshake with the key of the certificate whose SHA-256 is leaf: it
// hashes it by the algorithm of that number (RFC 8446 section 4.2.3) and returns the signature as
// TLS sends it. It signs nothing else: a signature counts for one handshake, in which the client's
// random is. For a certificate that is not shown any more it returns nil: a handshake may have begun
// just before another one took its place.
func (c *Certificates) Sign(_ context.Context, leaf []byte, number uint16, message []byte) ([]byte, error) {
	verify := isVerify(message)
	if !verify && !isKeyExchange(message) {
		return nil, errNoHandshake
	}
	s, known := schemes[tls.SignatureScheme(number)]
	if !known {
		return nil, errScheme
	}
	key := c.keyShown(leaf)
	if key == nil {
		return nil, nil
	}
	return s.sign(key, message, verify)
}

// keyShown returns the key of a certificate that is shown to clients, was until a moment ago, or is
// shown to a CA; nil if there is no such.
func (c *Certificates) keyShown(leaf []byte) crypto.Signer {
	if p := c.present.Load(); p.is(leaf) {
		return p.key
	}
	if p := c.former.Load(); p != nil && p.is(leaf) && time.Now().Before(p.until) {
		return p.key
	}
	return c.challenges.keyOf(leaf)
}

// is reports whether sum is the SHA-256 of the certificate.
func (p *pair) is(sum []byte) bool {
	own := sha256.Sum256(p.chain[0])
	return bytes.Equal(own[:], sum)
}

// sign signs the message; tls13 says that it is one of TLS 1.3, which binds curves to hashes and
// has no PKCS #1 v1.5.
func (s scheme) sign(key crypto.Signer, message []byte, tls13 bool) ([]byte, error) {
	var options crypto.SignerOpts = s.hash
	fits := false
	switch key := key.(type) {
	case *ecdsa.PrivateKey:
		fits = s.curve != nil && (!tls13 || key.Curve == s.curve)
	case ed25519.PrivateKey:
		fits = s.hash == 0
	case *rsa.PrivateKey:
		fits = s.hash != 0 && s.curve == nil && (s.pss || !tls13)
		if s.pss {
			options = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: s.hash}
		}
	}
	if !fits {
		return nil, errScheme
	}
	if s.hash != 0 {
		h := s.hash.New()
		h.Write(message)
		message = h.Sum(nil)
	}
	return key.Sign(rand.Reader, message, options)
}
