// Package hostkeys holds the keys by which SSH clients recognise the appliance, and signs with
// them. What speaks SSH is another process: it asks for signatures and never sees a key.
package hostkeys

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"golang.org/x/crypto/ssh"
)

// Keys are the host keys. Their methods may be called from any goroutine.
type Keys struct {
	keys []hostKey
}

type hostKey struct {
	signer     ssh.AlgorithmSigner
	algorithms []string      // that it signs by
	slots      chan struct{} // one element for each signature that is being made
}

// A kind says of what type a key is, in which file it is kept, and how a new one is made.
type kind struct {
	name, file string
	algorithms []string
	generate   func() (crypto.PrivateKey, error)
}

// rsaBits gives the 128-bit strength of the other keys (NIST SP 800-57 part 1, table 2).
const rsaBits = 3072

// kinds lists the host keys. An RSA key signs with SHA-2 only (RFC 8332).
func kinds() []kind {
	return []kind{
		{ssh.KeyAlgoED25519, "ssh_host_ed25519_key", []string{ssh.KeyAlgoED25519}, func() (crypto.PrivateKey, error) {
			_, private, err := ed25519.GenerateKey(rand.Reader)
			return private, err
		}},
		{ssh.KeyAlgoECDSA256, "ssh_host_ecdsa_key", []string{ssh.KeyAlgoECDSA256}, func() (crypto.PrivateKey, error) {
			return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		}},
		{ssh.KeyAlgoRSA, "ssh_host_rsa_key", []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256},
			func() (crypto.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, rsaBits) }},
	}
}

// signaturesAtATime bounds the signatures of one key. Strangers cause them: half of the machine is
// left to captures and users. The bound is that of a key and not of all, since a signature by RSA
// takes a hundred times as long as one by Ed25519, which most clients ask for.
func signaturesAtATime() int { return max(1, runtime.NumCPU()/2) }

// Open reads the host keys from dir and makes those that are missing.
func Open(dir string, log *slog.Logger) (*Keys, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	k := &Keys{}
	var errs []error
	for _, one := range kinds() {
		signer, err := one.load(dir, log)
		errs = append(errs, err)
		k.keys = append(k.keys, hostKey{signer, one.algorithms, make(chan struct{}, signaturesAtATime())})
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return k, nil
}

// Public returns the public halves in SSH wire format: Ed25519, ECDSA, RSA.
func (k *Keys) Public() [][]byte {
	var public [][]byte
	for _, key := range k.keys {
		public = append(public, key.signer.PublicKey().Marshal())
	}
	return public
}

var errNoSuchKey = errors.New("there is no host key of this type that signs by this algorithm")

// Sign signs the hash of a key exchange and returns the signature in SSH wire format (RFC 4253
// section 8). keyType is that of one of the keys, algorithm one that it signs by. Sign waits for
// its turn until ctx is done. The caller must make sure that hash is one and not a message:
// whatever it is gets signed.
func (k *Keys) Sign(ctx context.Context, keyType, algorithm string, hash []byte) ([]byte, error) {
	i := slices.IndexFunc(k.keys, func(key hostKey) bool { return key.signer.PublicKey().Type() == keyType })
	if i < 0 || !slices.Contains(k.keys[i].algorithms, algorithm) {
		return nil, errNoSuchKey
	}
	key := k.keys[i]
	select {
	case key.slots <- struct{}{}:
		defer func() { <-key.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	signature, err := key.signer.SignWithAlgorithm(rand.Reader, hash, algorithm)
	if err != nil {
		return nil, err
	}
	return ssh.Marshal(signature), nil
}

// load reads the key from its file, or makes it where there is no file.
func (k kind) load(dir string, log *slog.Logger) (ssh.AlgorithmSigner, error) {
	file := filepath.Join(dir, k.file)
	key, err := read(file, log)
	if errors.Is(err, fs.ErrNotExist) {
		key, err = create(file, k.generate)
	}
	if err != nil {
		return nil, fmt.Errorf("host key %s: %w", file, err)
	}
	if t := key.PublicKey().Type(); t != k.name {
		return nil, fmt.Errorf("host key %s: it is a key of type %s, not %s", file, t, k.name)
	}
	signer, ok := key.(ssh.AlgorithmSigner)
	if !ok {
		return nil, fmt.Errorf("host key %s: it cannot sign by a chosen algorithm", file)
	}
	return signer, nil
}

// read refuses nothing that it can mend. An appliance that does not start for the mode of a file
// keeps out the one who would put it right.
func read(file string, log *slog.Logger) (ssh.Signer, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		log.Warn("ssh: others could read a host key; its mode is now 0600", "file", file, "mode", info.Mode().Perm().String())
		if err := os.Chmod(file, 0o600); err != nil {
			return nil, err
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return ssh.ParsePrivateKey(text)
}

// create writes a new key so that its file is there whole or not at all: half a key would keep the
// appliance from starting.
func create(file string, generate func() (crypto.PrivateKey, error)) (ssh.Signer, error) {
	key, err := generate()
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(key, "diagsh")
	if err != nil {
		return nil, err
	}
	temp, err := os.CreateTemp(filepath.Dir(file), ".new-*") // mode 0600
	if err != nil {
		return nil, err
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(pem.EncodeToMemory(block))
	if err := errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return nil, err
	}
	if err := os.Rename(temp.Name(), file); err != nil {
		return nil, err
	}
	return ssh.NewSignerFromKey(key)
}
