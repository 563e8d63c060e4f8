package ssh

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestHostKeys(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	first, err := loadHostKeys(dir, discard())
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
	second, err := loadHostKeys(dir, slog.New(slog.NewTextHandler(&log, nil)))
	check(t, err)
	for i, key := range second.public() {
		if !bytes.Equal(key.Marshal(), first.public()[i].Marshal()) {
			t.Errorf("%s has changed", key.Type())
		}
	}
	if info, _ := os.Stat(ed25519); info.Mode().Perm() != 0o600 || !strings.Contains(log.String(), "0600") {
		t.Errorf("mode %v, log %q", info.Mode(), log.String())
	}

	// What is no key is named and not replaced.
	check(t, os.WriteFile(ed25519, []byte("garbage"), 0o600))
	if _, err := loadHostKeys(dir, discard()); err == nil || !strings.Contains(err.Error(), ed25519) {
		t.Errorf("garbage: %v", err)
	}
	check(t, os.Remove(ed25519))
	check(t, os.Link(filepath.Join(dir, "ssh_host_ecdsa_key"), ed25519))
	if _, err := loadHostKeys(dir, discard()); err == nil || !strings.Contains(err.Error(), "it is a key of type ecdsa-sha2-nistp256") {
		t.Errorf("another type: %v", err)
	}
}
