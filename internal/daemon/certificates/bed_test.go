package certificates

import (
	"bytes"
	"fmt"
	"log/slog"
	"sync"
	"testing"
)

// A bed is Certificates whose host has a name, and what they logged and audited.
type bed struct {
	*Certificates
	log     *bytes.Buffer
	mu      sync.Mutex
	audited []string
	wanted  []string // settings that commits can bring back
}

// open opens the certificates of a data directory.
func open(t testing.TB, dir string) *bed {
	t.Helper()
	b := &bed{log: &bytes.Buffer{}}
	c, err := Open(b.options(dir))
	if err != nil {
		t.Fatal(err)
	}
	b.Certificates = c
	t.Cleanup(func() { c.Close(t.Context()) })
	return b
}

func (b *bed) options(dir string) Options {
	return Options{
		Dir: dir, Log: slog.New(slog.NewTextHandler(b, nil)),
		Hostname:     func() string { return "mx1.example.com" },
		Wanted:       func() []string { return b.wanted },
		System:       func(path, message string, _ map[string]string) { b.audit(path, message) },
		SystemFailed: func(path, message string) { b.audit(path, "failed: "+message) },
	}
}

func (b *bed) audit(path, message string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.audited = append(b.audited, fmt.Sprintf("%s: %s", path, message))
}

func (b *bed) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.log.Write(line)
}

func (b *bed) lastAudited() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.audited[len(b.audited)-1]
}

func (b *bed) logged() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.log.String()
}
