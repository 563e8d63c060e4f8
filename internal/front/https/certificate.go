package https

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"
)

// signTime bounds how long a handshake waits for its signature.
const signTime = 10 * time.Second

// certificates are those of the appliance, whose keys this process does not have.
type certificates struct {
	appliance Appliance
	log       *slog.Logger

	mu     sync.Mutex
	leaf   []byte // SHA-256 of the leaf of now
	now    *tls.Certificate
	fromCA bool
}

// get returns the present certificate. It asks the appliance each time, which tells only of a
// change: so a new certificate holds from the next handshake on.
func (c *certificates) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	known, last := c.leaf, c.now
	c.mu.Unlock()
	chain, fromCA, err := c.appliance.Certificate(hello.Context(), known)
	switch {
	case err != nil:
		c.log.Warn("https: the appliance shows no certificate", "error", err)
		return nil, err
	case len(chain) == 0 && last != nil:
		return last, nil
	}
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return nil, fmt.Errorf("the appliance's certificate: %w", err)
	}
	next := &tls.Certificate{Certificate: chain, Leaf: leaf, PrivateKey: remoteKey{c.appliance, leaf.PublicKey}}
	sum := sha256.Sum256(chain[0])
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaf, c.now, c.fromCA = sum[:], next, fromCA
	return next, nil
}

// isFromCA reports whether the last certificate that was shown is from a CA.
func (c *certificates) isFromCA() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fromCA
}

// A remoteKey is the private key of the certificate, as a crypto.MessageSigner: the appliance has it,
// and hashes itself what it signs.
type remoteKey struct {
	appliance Appliance
	public    crypto.PublicKey
}

func (k remoteKey) Public() crypto.PublicKey { return k.public }

// Sign implements crypto.Signer. The appliance signs no hash that it did not make.
func (k remoteKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("the appliance signs messages, not their hashes")
}

// SignMessage implements crypto.MessageSigner.
func (k remoteKey) SignMessage(_ io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	scheme, err := schemeOf(k.public, opts)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), signTime)
	defer cancel()
	return k.appliance.SignHandshake(ctx, uint16(scheme), message)
}

// schemeOf returns the algorithm by which package tls has a key sign.
func schemeOf(public crypto.PublicKey, opts crypto.SignerOpts) (tls.SignatureScheme, error) {
	_, pss := opts.(*rsa.PSSOptions)
	var schemes map[crypto.Hash]tls.SignatureScheme
	switch public.(type) {
	case *ecdsa.PublicKey:
		schemes = map[crypto.Hash]tls.SignatureScheme{crypto.SHA256: tls.ECDSAWithP256AndSHA256,
			crypto.SHA384: tls.ECDSAWithP384AndSHA384, crypto.SHA512: tls.ECDSAWithP521AndSHA512}
	case *rsa.PublicKey:
		schemes = map[crypto.Hash]tls.SignatureScheme{crypto.SHA256: tls.PKCS1WithSHA256,
			crypto.SHA384: tls.PKCS1WithSHA384, crypto.SHA512: tls.PKCS1WithSHA512}
		if pss {
			schemes = map[crypto.Hash]tls.SignatureScheme{crypto.SHA256: tls.PSSWithSHA256,
				crypto.SHA384: tls.PSSWithSHA384, crypto.SHA512: tls.PSSWithSHA512}
		}
	case ed25519.PublicKey:
		schemes = map[crypto.Hash]tls.SignatureScheme{0: tls.Ed25519}
	}
	if scheme, ok := schemes[opts.HashFunc()]; ok {
		return scheme, nil
	}
	return 0, fmt.Errorf("no algorithm signs with a %T and %v", public, opts.HashFunc())
}
