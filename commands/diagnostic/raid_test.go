package diagnostic

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"diagsh/diag/raid"
	"diagsh/internal/menu"
)

// A machine with one array, whose files the test changes as the kernel would.
type machine struct {
	raid.System
	t *testing.T
}

func newMachine(t *testing.T) machine {
	dir := t.TempDir()
	m := machine{raid.System{Mdstat: filepath.Join(dir, "mdstat"), Block: dir}, t}
	if err := os.MkdirAll(filepath.Join(dir, "md0", "md"), 0o700); err != nil {
		t.Fatal(err)
	}
	m.write("mdstat", "md0 : active raid1 sdb[1] sda[0]\n")
	m.set("level", "raid1")
	m.set("array_state", "clean")
	m.set("raid_disks", "2")
	m.set("sync_action", "idle")
	return m
}

func (m machine) write(path, text string) {
	m.t.Helper()
	if err := os.WriteFile(filepath.Join(m.Block, path), []byte(text+"\n"), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

func (m machine) set(name, text string) { m.write(filepath.Join("md0", "md", name), text) }

// A screen is what a command shows. progress is called for each line of progress.
type screen struct {
	strings.Builder
	progress func(string)
}

func (s *screen) Form() menu.Form              { return menu.TextForm }
func (s *screen) Text(b []byte) error          { s.Write(b); return nil }
func (s *screen) Data(b []byte) error          { return s.Text(b) }
func (s *screen) Record(any, menu.Shape) error { return nil }
func (s *screen) Progress(text string)         { s.progress(text) }
func (s *screen) View(bool)                    {}

// run runs a verb of the menu.
func (m machine) run(ctx context.Context, s *screen, verb string, args menu.Arguments) error {
	return raidMenu(m.System).Find([]string{verb}).(*menu.Command).
		Run(ctx, menu.Caller{Role: menu.Operator}, args, nil, s)
}

func TestVerifyToTheEnd(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	var seen []string
	s := &screen{progress: func(text string) {
		seen = append(seen, text)
		if len(seen) == 1 {
			m.set("sync_completed", "50 / 200")
			return
		}
		m.set("sync_action", "idle")
		m.set("last_sync_action", "check")
		m.set("mismatch_cnt", "16")
	}}
	if err := m.run(t.Context(), s, "verify", menu.Arguments{"confirm": "yes"}); err != nil {
		t.Fatal(err)
	}
	if len(seen) != 2 || seen[0] != "md0 check 0.0%" || seen[1] != "md0 check 25.0%" {
		t.Errorf("progress: %q", seen)
	}
	if want := "md0 is being verified.\nmd0: its members differ in 16 sectors.\n"; s.String() != want {
		t.Errorf("%q, want %q", s, want)
	}
}

// An interrupt ends the watching; the array goes on until it is cancelled.
func TestVerifyInterruptedAndCancelled(t *testing.T) {
	m := newMachine(t)
	ctx, interrupt := context.WithCancel(t.Context())
	s := &screen{progress: func(string) { interrupt() }}
	if err := m.run(ctx, s, "verify", menu.Arguments{"confirm": "yes"}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if !strings.HasSuffix(s.String(), "It continues: md0 check 0.0%.\n") {
		t.Errorf("%q", s)
	}
	var refused *menu.Error
	if err := m.run(t.Context(), s, "verify", menu.Arguments{"confirm": "yes"}); !errors.As(err, &refused) ||
		refused.Code != menu.State {
		t.Errorf("a second verification: %v", err)
	}
	s.Reset()
	if err := m.run(t.Context(), s, "tasks", nil); err != nil || s.String() != "md0 check 0.0%\n" {
		t.Errorf("%q %v", s, err)
	}
	s.Reset()
	if err := m.run(t.Context(), s, "cancel", nil); err != nil || s.String() != "The verification of md0 has ended.\n" {
		t.Errorf("%q %v", s, err)
	}
	if a, err := m.Array("md0"); err != nil || a.Action != "idle" {
		t.Errorf("%+v %v", a, err)
	}
	if err := m.run(t.Context(), s, "verify", menu.Arguments{"array": "md7", "confirm": "yes"}); !errors.As(err,
		&refused) || refused.Code != menu.NotFound {
		t.Errorf("an array that is not there: %v", err)
	}
}

// Where nothing was compared to the end, nothing is said of the members.
func TestNoVerdict(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		after map[string]string
		want  string
	}{
		"a member lost": {map[string]string{"sync_action": "idle", "last_sync_action": "check", "degraded": "1"},
			"md0 lost a member while it was verified, so there is no verdict"},
		"another action": {map[string]string{"sync_action": "idle", "last_sync_action": "recover"},
			"The verification of md0 gave way to recover, so there is no verdict"},
		"cancelled": {map[string]string{"sync_action": "idle", "last_sync_action": "check", "sync_min": "128"},
			"The verification of md0 was ended early, so there is no verdict"},
	} {
		m := newMachine(t)
		s := &screen{progress: func(string) {
			for name, text := range c.after {
				m.set(name, text)
			}
		}}
		var refused *menu.Error
		if err := m.run(t.Context(), s, "verify", menu.Arguments{"confirm": "yes"}); !errors.As(err, &refused) ||
			refused.Code != menu.Failed || refused.Message != c.want {
			t.Errorf("%s: %v", what, err)
		}
		if strings.Contains(s.String(), "alike") || strings.Contains(s.String(), "differ") {
			t.Errorf("%s: %q", what, s)
		}
	}
	for state, set := range map[string][2]string{"read-only": {"array_state", "readonly"},
		"degraded": {"degraded", "1"}} {
		m := newMachine(t)
		m.set(set[0], set[1])
		var refused *menu.Error
		if err := m.run(t.Context(), &screen{}, "verify", menu.Arguments{"confirm": "yes"}); !errors.As(err,
			&refused) || refused.Code != menu.State {
			t.Errorf("%s: %v", state, err)
		}
	}
}

func TestRaidIsListedWhereThereIsOne(t *testing.T) {
	m := newMachine(t)
	if raidMenu(m.System).Hidden(t.Context()) {
		t.Error("a machine with an array does not list it")
	}
	m.write("mdstat", "Personalities :\nunused devices: <none>")
	if !raidMenu(m.System).Hidden(t.Context()) {
		t.Error("a machine without one lists it")
	}
}
