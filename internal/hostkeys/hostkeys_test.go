package hostkeys

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestHostKeys(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	first, err := Open(dir, discard())
	check(t, err)
	entries, err := os.ReadDir(dir)
	check(t, err)
	if len(entries) != 3 {
		t.Errorf("files: %v", entries)
	}
	for _, e := range entries {
		if info, _ := e.Info(); info.Mode() != 0o600 {
			t.Errorf("%s has mode %v", e.Name(), info.Mode())
		}
	}
	if info, _ := os.Stat(dir); info.Mode().Perm() != 0o700 {
		t.Errorf("the folder has mode %v", info.Mode())
	}

	// They stay the same, and a file that others could read is mended.
	ed25519 := filepath.Join(dir, "ssh_host_ed25519_key")
	check(t, os.Chmod(ed25519, 0o644))
	var log bytes.Buffer
	second, err := Open(dir, slog.New(slog.NewTextHandler(&log, nil)))
	check(t, err)
	if !slices.EqualFunc(first.Public(), second.Public(), bytes.Equal) {
		t.Error("a key has changed")
	}
	if info, _ := os.Stat(ed25519); info.Mode().Perm() != 0o600 || !strings.Contains(log.String(), "0600") {
		t.Errorf("mode %v, log %q", info.Mode(), log.String())
	}

	// What is no key is named and not replaced.
	check(t, os.WriteFile(ed25519, []byte("garbage"), 0o600))
	if _, err := Open(dir, discard()); err == nil || !strings.Contains(err.Error(), ed25519) {
		t.Errorf("garbage: %v", err)
	}
	check(t, os.Remove(ed25519))
	check(t, os.Link(filepath.Join(dir, "ssh_host_ecdsa_key"), ed25519))
	if _, err := Open(dir, discard()); err == nil || !strings.Contains(err.Error(), "it is a key of type ecdsa-sha2-nistp256") {
		t.Errorf("another type: %v", err)
	}
}

// Each key signs by its own algorithms and by no other; none signs with SHA-1.
func TestSign(t *testing.T) {
	k, err := Open(t.TempDir(), discard())
	check(t, err)
	hash := sha256.Sum256([]byte("key exchange"))
	types := map[string]ssh.PublicKey{}
	for _, public := range k.Public() {
		key, err := ssh.ParsePublicKey(public)
		check(t, err)
		types[key.Type()] = key
	}
	may := []string{"ssh-ed25519 ssh-ed25519", "ecdsa-sha2-nistp256 ecdsa-sha2-nistp256", "ssh-rsa rsa-sha2-256", "ssh-rsa rsa-sha2-512"}
	signed := 0
	for _, keyType := range []string{"ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa", "ssh-dss", "", "ssh-ed25519-cert-v01@openssh.com"} {
		for _, algorithm := range []string{"ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa", "rsa-sha2-256", "rsa-sha2-512", ""} {
			text, err := k.Sign(t.Context(), keyType, algorithm, hash[:])
			if wanted := slices.Contains(may, keyType+" "+algorithm); !wanted {
				if err == nil {
					t.Errorf("%s signs by %q", keyType, algorithm)
				}
				continue
			}
			check(t, err)
			signed++
			var signature ssh.Signature
			check(t, ssh.Unmarshal(text, &signature))
			if signature.Format != algorithm {
				t.Errorf("%s signed by %s and not by %s", keyType, signature.Format, algorithm)
			}
			check(t, types[keyType].Verify(hash[:], &signature))
		}
	}
	if signed != len(may) {
		t.Errorf("%d signatures", signed)
	}
}

// A waiting signer is one whose signature takes until it is let go.
type waitingSigner struct {
	ssh.AlgorithmSigner
	begun, let chan struct{}
}

func (s waitingSigner) SignWithAlgorithm(r io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	s.begun <- struct{}{}
	<-s.let
	return s.AlgorithmSigner.SignWithAlgorithm(r, data, algorithm)
}

// No more signatures of a key than it has slots are made at a time; who waits for one can give up,
// and other keys go on.
func TestSignaturesAtATime(t *testing.T) {
	k, err := Open(t.TempDir(), discard())
	check(t, err)
	k.keys[0].slots = make(chan struct{}, 2)
	s := waitingSigner{k.keys[0].signer, make(chan struct{}, 10), make(chan struct{})}
	k.keys[0].signer = s
	done := make(chan error, 10)
	sign := func(ctx context.Context) {
		_, err := k.Sign(ctx, ssh.KeyAlgoED25519, ssh.KeyAlgoED25519, make([]byte, 32))
		done <- err
	}
	for range 2 {
		go sign(t.Context())
		<-s.begun
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	sign(ctx) // there is no slot, so it returns at once
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	_, err = k.Sign(t.Context(), ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA256, make([]byte, 32))
	check(t, err)
	go sign(t.Context())
	for range 3 {
		s.let <- struct{}{}
		check(t, <-done)
	}
	if len(s.begun) != 1 || len(k.keys[0].slots) != 0 {
		t.Errorf("%d signatures more, %d slots taken", len(s.begun), len(k.keys[0].slots))
	}
}

// BenchmarkSign is what a client's key exchange costs the process that holds the keys.
func BenchmarkSign(b *testing.B) {
	k, err := Open(b.TempDir(), discard())
	check(b, err)
	hash := make([]byte, 32)
	rand.Read(hash)
	for _, one := range kinds() {
		b.Run(one.name, func(b *testing.B) {
			for b.Loop() {
				_, err := k.Sign(b.Context(), one.name, one.algorithms[0], hash)
				check(b, err)
			}
		})
	}
}
