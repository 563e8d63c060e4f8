package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"golang.org/x/crypto/ssh"
)

// hostKeys are the public halves of the keys by which clients recognise the appliance. The
// appliance has the private halves, and signs.
type hostKeys []ssh.PublicKey

// askHostKeys asks the appliance for its host keys.
func askHostKeys(ctx context.Context, f Appliance) (hostKeys, error) {
	texts, err := f.HostKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("the host keys are not known: %w", err)
	}
	var keys hostKeys
	for _, text := range texts {
		key, err := ssh.ParsePublicKey(text)
		if err != nil {
			return nil, fmt.Errorf("a host key: %w", err)
		}
		keys = append(keys, key)
	}
	for _, name := range []string{ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoRSA} {
		if keys.of(name) == nil {
			return nil, fmt.Errorf("there is no host key of type %s", name)
		}
	}
	return keys, nil
}

// of returns the key of a type, nil if there is none.
func (k hostKeys) of(keyType string) ssh.PublicKey {
	i := slices.IndexFunc(k, func(key ssh.PublicKey) bool { return key.Type() == keyType })
	if i < 0 {
		return nil
	}
	return k[i]
}

// A remoteSigner is a host key for one connection. It is an ssh.MultiAlgorithmSigner and an
// ssh.ExchangeSigner.
type remoteSigner struct {
	public ssh.PublicKey
	client Client
}

// signer returns the key of a type for a connection.
func (k hostKeys) signer(keyType string, client Client) remoteSigner {
	return remoteSigner{k.of(keyType), client}
}

// PublicKey implements ssh.Signer.
func (s remoteSigner) PublicKey() ssh.PublicKey { return s.public }

// Algorithms returns the algorithms of the key. RSA signs with SHA-2 only (RFC 8332).
func (s remoteSigner) Algorithms() []string {
	if s.public.Type() == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{s.public.Type()}
}

var errOnlyExchanges = errors.New("a host key signs key exchanges only")

// Sign fails: the appliance signs key exchanges only.
func (s remoteSigner) Sign(io.Reader, []byte) (*ssh.Signature, error) { return nil, errOnlyExchanges }

// SignWithAlgorithm fails as Sign does.
func (s remoteSigner) SignWithAlgorithm(io.Reader, []byte, string) (*ssh.Signature, error) {
	return nil, errOnlyExchanges
}

// hashNames are the hash functions of the key exchanges that are offered, by the length of a hash.
var hashNames = map[int]string{32: "SHA-256", 48: "SHA-384", 64: "SHA-512"}

// SignExchange has the appliance sign. The library calls it for each key exchange.
func (s remoteSigner) SignExchange(_ io.Reader, exchange, hash []byte, algorithm string) (*ssh.Signature, error) {
	text, err := s.client.Sign(algorithm, hashNames[len(hash)], exchange)
	if err != nil {
		return nil, err
	}
	signature := new(ssh.Signature)
	if err := ssh.Unmarshal(text, signature); err != nil {
		return nil, err
	}
	return signature, nil
}
