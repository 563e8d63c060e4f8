package https

import (
	"bytes"
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
	chain  []byte // SHA-256 of the chain of now
	now    *tls.Certificate
	fromCA bool
}

// get returns the present certificate. It asks the appliance each time, which tells only of a
// change: so a new certificate holds from the next handshake on.
func (c *certificates) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	known, last := c.chain, c.now
	c.mu.Unlock()
	chain, fromCA, err := c.appliance.Certificate(hello.Context(), known)
	switch {
	case err != nil:
		c.log.Warn("https: the appliance shows no certificate", "error", err)
		return nil, err
	case len(chain) == 0 && last != nil:
		return last, nil
	}
	next, err := c.of(chain)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(bytes.Join(chain, nil))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.chain, c.now, c.fromCA = sum[:], next, fromCA
	return next, nil
}

// of returns a chain with its distant key.
func (c *certificates) of(chain [][]byte) (*tls.Certificate, error) {
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return nil, fmt.Errorf("the appliance's certificate: %w", err)
	}
	sum := sha256.Sum256(chain[0])
	return &tls.Certificate{Certificate: chain, Leaf: leaf, PrivateKey: remoteKey{c.appliance, leaf.PublicKey, sum[:]}}, nil
}

// acmeProtocol is what a CA negotiates that looks whether a name is the appliance's (RFC 8737).
const acmeProtocol = "acme-tls/1"

// maxName is the largest number of bytes of a host name (RFC 1035 section 2.3.4).
const maxName = 255

// config returns nil for clients; for a CA that looks whether a name is the appliance's, what shows
// it the certificate that it is to see. Such a connection ends after its handshake.
func (c *certificates) config(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	if len(hello.SupportedProtos) != 1 || hello.SupportedProtos[0] != acmeProtocol {
		return nil, nil
	}
	if len(hello.ServerName) > maxName {
		return nil, errors.New("the name that is asked for is none of a host")
	}
	chain, err := c.appliance.Challenge(hello.Context(), hello.ServerName)
	if err != nil {
		return nil, err
	}
	shown, err := c.of(chain)
	if err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{acmeProtocol}, Certificates: []tls.Certificate{*shown}}, nil
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
	leaf      []byte // SHA-256 of its certificate
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
	return k.appliance.SignHandshake(ctx, k.leaf, uint16(scheme), message)
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
