package bpf

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
)

// TestSums: a compiled program and its source are those that make bpf wrote together.
func TestSums(t *testing.T) {
	sources, _ := filepath.Glob("programs/*.c")
	if len(sources) == 0 {
		t.Fatal("there is no program")
	}
	for _, source := range sources {
		name := strings.TrimSuffix(source, ".c")
		text, err := os.ReadFile(name + ".sums")
		if err != nil {
			t.Fatal(err)
		}
		listed := 0
		for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); listed++ {
			sum, file, _ := strings.Cut(lines.Text(), "  ")
			contents, err := os.ReadFile(filepath.Join("programs", file))
			if err != nil {
				t.Fatal(err)
			}
			if is := sha256.Sum256(contents); hex.EncodeToString(is[:]) != sum {
				t.Errorf("%s is not what make bpf compiled %s.o from, or to", file, filepath.Base(name))
			}
		}
		if headers, _ := filepath.Glob("programs/headers/*.h"); listed != 2+len(headers) {
			t.Errorf("%s.sums has %d files", filepath.Base(name), listed)
		}
	}
}

// TestLoad: a program runs and its map can be read. Without the right it is refused with a sentence.
func TestLoad(t *testing.T) {
	if os.Getuid() != 0 {
		_, err := Load(Drops, Options{})
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(e.Error(), "CAP_BPF") {
			t.Fatalf("%v", err)
		}
		t.Skip("not root")
	}
	s, err := Load(Drops, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if !s.Has("dropped") || len(s.Refused()) > 0 || s.Map("counts").Type() != ebpf.PerCPUHash {
		t.Errorf("%v", s.Refused())
	}
}
