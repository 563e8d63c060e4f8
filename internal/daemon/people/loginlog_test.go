package people

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"
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
