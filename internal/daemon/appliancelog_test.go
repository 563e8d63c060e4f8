package daemon

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"diagsh/internal/access"
	"diagsh/internal/daemon/audit"
	"diagsh/internal/test/disktest"
	"diagsh/internal/test/roomtest"
)

// Who follows a log misses no line and sees none twice, over every change of files, however fast it
// is written.
func TestTailOverRotations(t *testing.T) {
	l, err := openApplianceLog(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	log := slog.New(slog.NewJSONHandler(l, nil))
	// Several lines to a file, so that the reader, which is told of each, is never two files
	// behind.
	filler := strings.Repeat("y", keptLogBytes/8)
	d := &Daemon{kept: l}
	for i := range 3 {
		log.Info("line", "n", i)
	}
	ctx, stop := context.WithCancel(t.Context())
	got := make(chan string)
	ended := make(chan error)
	go func() {
		ended <- d.TailLog(ctx, access.ApplianceLog, 2, true, func(line access.LogLine) error {
			got <- line.Attributes["n"]
			return nil
		})
	}()
	for want := 1; want < 3; want++ {
		if n := <-got; n != fmt.Sprint(want) {
			t.Fatalf("line %s, want %d", n, want)
		}
	}
	for n := 3; n < 23; n++ {
		log.Info("line", "n", n, "filler", filler)
		if s := <-got; s != fmt.Sprint(n) {
			t.Fatalf("line %s, want %d", s, n)
		}
	}
	if _, err := os.Stat(l.older()); err != nil {
		t.Errorf("there was no change of files: %v", err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("the end of following is a failure: %v", err)
	}
	// What is kept is bounded.
	paths, _ := l.paths()
	for _, path := range paths {
		if info, err := os.Stat(path); err != nil || info.Size() > keptLogBytes {
			t.Errorf("%v %v", info, err)
		}
	}
	// The newest lines are found in the older file too.
	var all []string
	err = d.TailLog(t.Context(), access.ApplianceLog, 5, false, func(line access.LogLine) error {
		all = append(all, line.Attributes["n"])
		return nil
	})
	if want := "18 19 20 21 22"; err != nil || strings.Join(all, " ") != want {
		t.Errorf("%v %v, want %s", all, err, want)
	}
}

func FuzzParseLogLine(f *testing.F) {
	f.Add(`{"time":"2026-03-01T10:15:02Z","level":"INFO","msg":"x","n":7,"group":{"a":[1]}}`)
	f.Fuzz(func(t *testing.T, text string) { parseLogLine([]byte(text)) })
}

// What the appliance's own log says of the audit log reaches it over a restart.
func TestAuditLogThatIsCutMeanwhile(t *testing.T) {
	for name, cut := range map[string]bool{"as it was": false, "cut": true} {
		dir := roomtest.DataDir(t)
		d := start(t, Options{Dir: dir})
		d.Record(access.Event{Act: access.ActCommand, User: "ops", Message: "of interest"})
		if err := d.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if cut {
			path := filepath.Join(dir, "audit", audit.FileName)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			lines := bytes.SplitAfter(data, []byte("\n"))
			if err := os.WriteFile(path, bytes.Join(lines[:len(lines)-3], nil), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		again := start(t, Options{Dir: dir})
		r, err := again.VerifyAudit(t.Context())
		if err != nil || (len(r.Faults) > 0) != cut {
			t.Errorf("%s: %+v %v", name, r, err)
		}
		if got := again.Trouble(); strings.Contains(got, "another hand") != cut {
			t.Errorf("%s: administrators are told %q", name, got)
		}
	}
}

// An audit log that cannot be written keeps no user out, and administrators are told.
func TestLoginWhileTheAuditLogIsFull(t *testing.T) {
	dir := roomtest.DataDir(t)
	folder := filepath.Join(dir, "audit")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	disktest.Tmpfs(t, folder, "16k")
	d := start(t, Options{Dir: dir, Log: slog.New(slog.DiscardHandler)})
	for n := 0; d.AuditTrouble() == ""; n++ {
		if n == 1000 {
			t.Fatal("1000 lines are on a disk of 16 KiB")
		}
		d.Record(access.Event{Act: access.ActCommand}) // shorter than the line of a login
	}
	l := roomtest.LogIn(t, d, "admin", "192.0.2.1")
	caller, _, detach, err := d.Attach(l.ID, "shell")
	if err != nil {
		t.Fatal(err)
	}
	defer detach()
	if g := d.Greeting(caller); !strings.Contains(g.Notice, "The audit log cannot be written") {
		t.Errorf("an administrator is told %q", g.Notice)
	}
}
