package ssh

import (
	"context"
	"fmt"
	"io"
	"slices"

	"golang.org/x/crypto/ssh"
)

// hostKeys are the public halves of the keys by which clients recognise the appliance. It has the private ones, and signs.
type hostKeys []ssh.PublicKey

// askHostKeys asks the appliance for its host keys.
func askHostKeys(ctx context.Context, f FrontEnd) (hostKeys, error) {
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

// A remoteSigner is a host key for one connection. It is an ssh.MultiAlgorithmSigner.
type remoteSigner struct {
	public ssh.PublicKey
	client func() (Client, error)
}

// signer returns the key of a type for a connection, whose client is asked for when there is something to sign.
func (k hostKeys) signer(keyType string, client func() (Client, error)) remoteSigner {
	return remoteSigner{k.of(keyType), client}
}

func (s remoteSigner) PublicKey() ssh.PublicKey { return s.public }

// Algorithms returns those of the key. RSA signs with SHA-2 only (RFC 8332).
func (s remoteSigner) Algorithms() []string {
	if s.public.Type() == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{s.public.Type()}
}

func (s remoteSigner) Sign(rand io.Reader, hash []byte) (*ssh.Signature, error) {
	return s.SignWithAlgorithm(rand, hash, s.Algorithms()[0])
}

// SignWithAlgorithm has the appliance sign. The library calls it with the hash of each key exchange.
func (s remoteSigner) SignWithAlgorithm(_ io.Reader, hash []byte, algorithm string) (*ssh.Signature, error) {
	c, err := s.client()
	if err != nil {
		return nil, err
	}
	text, err := c.Sign(s.public.Type(), algorithm, hash)
	if err != nil {
		return nil, err
	}
	signature := new(ssh.Signature)
	if err := ssh.Unmarshal(text, signature); err != nil {
		return nil, err
	}
	return signature, nil
}
