package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
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

// Following ends without an error when its context does, also among the newest lines. Reading that
// does not follow was not done then.
func TestTailIsInterrupted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte("1\n2\n3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, follow := range []bool{true, false} {
		ctx, interrupt := context.WithCancel(t.Context())
		var got []string
		tail := Tail{
			Paths:   func() ([]string, error) { return []string{path}, nil },
			Changed: &Notifier{},
			Yield: func(line []byte) error {
				got = append(got, string(line))
				interrupt()
				return nil
			},
		}
		err := tail.Run(ctx, 3, follow)
		if want := !follow; errors.Is(err, context.Canceled) != want || (err == nil) == want || len(got) != 1 {
			t.Errorf("follow %v: %v after %q", follow, err, got)
		}
	}
}
