package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"diagsh/internal/access"
)

// The newest lines are found whatever the lengths of lines and of what is read at once are.
func TestLastLines(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	path := filepath.Join(t.TempDir(), "log")
	for range 200 {
		var text strings.Builder
		n := random.IntN(30)
		for i := range n {
			fmt.Fprintf(&text, "%d%s\n", i, strings.Repeat("x", random.IntN(9000)))
		}
		whole := text.Len()
		if random.IntN(2) == 0 {
			text.WriteString("not whole yet")
		}
		if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		count := random.IntN(40)
		from, to, lines, err := lastLines(f, count)
		f.Close()
		want := strings.SplitAfter(text.String()[:whole], "\n")
		want = want[:len(want)-1]
		want = want[max(0, len(want)-count):]
		if got := text.String()[from:to]; err != nil || got != strings.Join(want, "") || lines != len(want) {
			t.Fatalf("the last %d of %d lines: %d, %d bytes, want %d; %v", count, n, lines, len(got), len(strings.Join(want, "")), err)
		}
	}
}

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
