package loginlog

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/daemon/store"
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
	v, err := Open(path, time.Now(), nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	began := time.Date(2026, 11, 20, 10, 15, 2, 0, time.UTC)
	list := v.List(10)
	if len(list) != 1 || !list[0].Began.Equal(began) || list[0].Ended == nil || !list[0].Ended.Equal(began.Add(5*time.Minute)) || list[0].Reason != "logout" {
		t.Errorf("%+v", list)
	}
}

// Each line says its version. A log that a newer build wrote is refused.
func TestVersionOfTheLoginLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "visits.jsonl")
	os.WriteFile(path, []byte(`{"login":"a","user":"op","startTime":"2026-11-20T10:15:02Z"}`+"\n"), 0o600)
	v, err := Open(path, time.Now(), nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	v.Begin("b", access.PastLogin{User: "op"})
	v.End("a", time.Now(), "logout")
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
	_, err = Open(path, time.Now(), nil, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), path+" was written by a newer diagsh") {
		t.Errorf("a newer log: %v", err)
	}
}

func TestLoginLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "visits.jsonl")
	v, err := Open(path, time.Time{}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	base := time.Now().Add(-24 * time.Hour)
	v.Begin("old", access.PastLogin{User: "rare", Source: "192.0.2.9", Began: base})
	for n := range Kept + 100 {
		began := base.Add(time.Duration(n) * time.Second)
		v.Begin(fmt.Sprint(n), access.PastLogin{User: "ops", Source: fmt.Sprintf("10.0.%d.1", n%20), Began: began})
		if n != Kept+99 {
			v.End(fmt.Sprint(n), began.Add(time.Second), "logged out")
		}
	}
	for key, want := range map[string]bool{"10.0.19.1": true, "10.0.0.1": false, "192.0.2.9": false} {
		if got := v.Trusted("ops", key, base); got != want {
			t.Errorf("%s trusted is %v", key, got)
		}
	}
	if v.Trusted("ops", "10.0.19.1", time.Now()) {
		t.Error("a source is trusted from before the account")
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	f, _ := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	f.WriteString(`{"login":"torn","us`)
	f.Close()

	died := time.Now()
	again, err := Open(path, died, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	list := again.List(0)
	if len(list) != Kept+1 || list[0].Ended == nil || !list[0].Ended.Equal(died) || list[0].Reason != "appliance stopped" || list[len(list)-1].User != "rare" {
		t.Errorf("%d logins are kept, from %+v to %+v", len(list), list[0], list[len(list)-1])
	}
	if last, ok := again.Last("rare"); !ok || last.Source != "192.0.2.9" {
		t.Errorf("the last login of a rare user is %+v", last)
	}
	if two := again.List(2); len(two) != 2 || !two[0].Began.After(two[1].Began) {
		t.Errorf("the newest two are %+v", two)
	}
}

func TestSourceKey(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64", "local": "local",
	} {
		if got := SourceKey(text); got != want {
			t.Errorf("%s counts as %s; want %s", text, got, want)
		}
	}
}

// A damaged line in the middle is none that a crash tore: the file is kept under another name, and the
// log goes on with all other lines.
func TestDamagedLines(t *testing.T) {
	good := `{"version":1,"login":"%s","user":"op","source":"192.0.2.7","startTime":"2026-11-20T10:15:02Z"}` + "\n"
	for name, bad := range map[string]string{"cut": `{"version":1,"login":"b","us` + "\n", "no login": `{"version":1}` + "\n",
		"zeros": strings.Repeat("\x00", 80) + "\n"} {
		path := filepath.Join(t.TempDir(), "visits.jsonl")
		text := fmt.Sprintf(good, "a") + bad + fmt.Sprintf(good, "c") + `{"login":"torn","us`
		os.WriteFile(path, []byte(text), 0o600)
		log := slog.New(slog.DiscardHandler)
		if _, err := Open(path, time.Now(), nil, log); err == nil || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%s: with nobody to tell: %v", name, err)
		}
		var told []store.Damage
		v, err := Open(path, time.Now(), func(d store.Damage) { told = append(told, d) }, log)
		if err != nil {
			t.Fatal(err)
		}
		v.Close()
		if list := v.List(0); len(list) != 2 || len(told) != 1 || told[0].Path != path || !strings.Contains(told[0].Err.Error(), "line 2") {
			t.Fatalf("%s: %+v are left, and told is %+v", name, list, told)
		}
		if kept, err := os.ReadFile(told[0].Aside); err != nil || string(kept) != text {
			t.Errorf("%s: set aside is %q, %v", name, kept, err)
		}
		// It is told once.
		v, err = Open(path, time.Now(), func(store.Damage) { t.Errorf("%s: told again", name) }, log)
		if err != nil || len(v.List(0)) != 2 {
			t.Fatalf("%s: then %v", name, err)
		}
		v.Close()
	}
}
