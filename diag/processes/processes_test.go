package processes

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	boot := time.Unix(1000, 0)
	const rest = " S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 1250 20 21 22"
	p, ok := parse([]byte("42 (a) b) (c"+")"+rest), boot)
	if !ok || p.Name != "a) b) (c" || p.PID != 42 || p.State != 'S' || p.Started != boot.Add(12500*time.Millisecond) ||
		p.Memory != 21*int64(os.Getpagesize()) {
		t.Errorf("%+v %v", p, ok)
	}
	for _, text := range []string{"", "42", "42 (", ") (", "(a)" + rest, "42 (a) S 1",
		"42 (a)" + strings.Replace(rest, "1250", "x", 1)} {
		if p, ok := parse([]byte(text), boot); ok {
			t.Errorf("%q: %+v", text, p)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("42 (name) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 1250 20 21 22")
	f.Fuzz(func(t *testing.T, text string) { parse([]byte(text), time.Time{}) })
}

// TestOwnChild: a process that the test starts is listed with its name and start time, and not any
// more after its end.
func TestOwnChild(t *testing.T) {
	before := time.Now()
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	find := func() *Process {
		all, err := List(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range all {
			if p.PID == child.Process.Pid {
				return &p
			}
		}
		return nil
	}
	p := find()
	child.Process.Kill()
	child.Wait()
	if p == nil || p.Name != "sleep" || p.Started.Before(before.Add(-time.Second)) ||
		p.Started.After(time.Now().Add(time.Second)) {
		t.Errorf("%+v", p)
	}
	if p := find(); p != nil {
		t.Errorf("it has ended: %+v", p)
	}
}
