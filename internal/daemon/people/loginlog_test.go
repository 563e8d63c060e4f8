package people

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"diagsh/internal/access"
)

// The lines of a build before 0.1 have other names for the beginning and the end of a login.
func TestLoginLogOfFormerBuilds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "visits.jsonl")
	lines := `{"login":"a","user":"op","source":"192.0.2.7","method":"password","began":"2026-11-20T10:15:02Z"}
{"login":"a","user":"op","source":"192.0.2.7","method":"password","began":"2026-11-20T10:15:02Z","ended":"2026-11-20T10:20:02Z","reason":"logout"}
`
	if err := os.WriteFile(path, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	v, err := openLoginLog(path, time.Now(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	began := time.Date(2026, 11, 20, 10, 15, 2, 0, time.UTC)
	list := v.list(10)
	if len(list) != 1 || !list[0].Began.Equal(began) || list[0].Ended == nil || !list[0].Ended.Equal(began.Add(5*time.Minute)) || list[0].Reason != "logout" {
		t.Errorf("%+v", list)
	}
}

// Each line says its version. A log that a newer build wrote is refused.
func TestVersionOfTheLoginLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "visits.jsonl")
	os.WriteFile(path, []byte(`{"login":"a","user":"op","startTime":"2026-11-20T10:15:02Z"}`+"\n"), 0o600)
	v, err := openLoginLog(path, time.Now(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	v.begin("b", access.PastLogin{User: "op"})
	v.end("a", time.Now(), "logout")
	text, _ := os.ReadFile(path)
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, `{"version":1,"login":`) {
			t.Errorf("a line is %s", line)
		}
	}
	if n := strings.Count(string(text), "\n"); n != 3 {
		t.Errorf("%d lines: %s", n, text)
	}
	os.WriteFile(path, []byte(`{"version":2,"login":"a","user":"op"}`+"\n"), 0o600)
	_, err = openLoginLog(path, time.Now(), slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), path+" was written by a newer diagsh") {
		t.Errorf("a newer log: %v", err)
	}
}

// A history says its version in its first line, which nobody is shown. One of the builds before gets
// it with the next line, and one of a newer build is neither shown nor written.
func TestVersionOfAHistory(t *testing.T) {
	h, err := openHistories(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	os.WriteFile(h.path("op"), []byte("ping a\nping b\n"), 0o600)
	if err := h.add("op", "ping c"); err != nil {
		t.Fatal(err)
	}
	if text, _ := os.ReadFile(h.path("op")); string(text) != "# diagsh history 1\nping a\nping b\nping c\n" {
		t.Errorf("the file is %q", text)
	}
	if err := h.add("op", "ping d"); err != nil {
		t.Fatal(err)
	}
	if lines := h.lines("op"); !slices.Equal(lines, []string{"ping a", "ping b", "ping c", "ping d"}) {
		t.Errorf("the lines are %q", lines)
	}
	newer := "# diagsh history 2\nping a\n"
	os.WriteFile(h.path("op"), []byte(newer), 0o600)
	if err := h.add("op", "ping e"); err == nil || h.lines("op") != nil {
		t.Errorf("a newer file: %v, %q", err, h.lines("op"))
	}
	if text, _ := os.ReadFile(h.path("op")); string(text) != newer {
		t.Errorf("a newer file became %q", text)
	}
}
