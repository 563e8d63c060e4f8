package ssh

import (
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

	"golang.org/x/crypto/ssh"
)

// hostKeys are the keys by which clients recognise the appliance.
type hostKeys struct {
	ed25519, ecdsa, rsa ssh.Signer
}

func (k hostKeys) public() []ssh.PublicKey {
	return []ssh.PublicKey{k.ed25519.PublicKey(), k.ecdsa.PublicKey(), k.rsa.PublicKey()}
}

// rsaBits gives the 128-bit strength of the other keys (NIST SP 800-57 part 1, table 2).
const rsaBits = 3072

// loadHostKeys reads the host keys from dir and makes those that are missing.
func loadHostKeys(dir string, log *slog.Logger) (hostKeys, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return hostKeys{}, err
	}
	load := func(name, keyType string, generate func() (crypto.PrivateKey, error)) (ssh.Signer, error) {
		file := filepath.Join(dir, name)
		key, err := readHostKey(file, log)
		if errors.Is(err, fs.ErrNotExist) {
			key, err = makeHostKey(file, generate)
		}
		if err != nil {
			return nil, fmt.Errorf("host key %s: %w", file, err)
		}
		if t := key.PublicKey().Type(); t != keyType {
			return nil, fmt.Errorf("host key %s: it is a key of type %s, not %s", file, t, keyType)
		}
		return key, nil
	}
	var k hostKeys
	var errs [3]error
	k.ed25519, errs[0] = load("ssh_host_ed25519_key", ssh.KeyAlgoED25519, func() (crypto.PrivateKey, error) {
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	})
	k.ecdsa, errs[1] = load("ssh_host_ecdsa_key", ssh.KeyAlgoECDSA256, func() (crypto.PrivateKey, error) {
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	})
	k.rsa, errs[2] = load("ssh_host_rsa_key", ssh.KeyAlgoRSA, func() (crypto.PrivateKey, error) {
		return rsa.GenerateKey(rand.Reader, rsaBits)
	})
	if err := errors.Join(errs[:]...); err != nil {
		return hostKeys{}, err
	}
	// RFC 8332: an RSA key signs with SHA-2 only.
	sha2, err := ssh.NewSignerWithAlgorithms(k.rsa.(ssh.AlgorithmSigner), []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256})
	k.rsa = sha2
	return k, err
}

// readHostKey refuses nothing that it can mend: a listener that does not start for the mode of a file keeps out the one who would
// put it right.
func readHostKey(file string, log *slog.Logger) (ssh.Signer, error) {
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

// makeHostKey writes a new key so that its file is there whole or not at all: half a key would keep the listener from starting.
func makeHostKey(file string, generate func() (crypto.PrivateKey, error)) (ssh.Signer, error) {
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
