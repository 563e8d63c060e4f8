package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"

	"diagsh/internal/access"
)

// Who follows a log misses no line and sees none twice, over every change of files, however fast it is written.
func TestTailOverRotations(t *testing.T) {
	l, err := openApplianceLog(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	log := slog.New(slog.NewJSONHandler(l, nil))
	// Several lines to a file, so that the reader, which is told of each, is never two files behind.
	filler := strings.Repeat("y", keptLogBytes/8)
	d := &Daemon{kept: l, audit: &auditLog{}, log: slog.New(slog.DiscardHandler)}
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
