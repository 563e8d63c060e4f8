package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"diagsh/internal/access"
)

// linesOf reads a file of the audit log; forged writes lines with hashes that agree with each
// other, as whoever knows how can.
func linesOf(t *testing.T, path string) [][]byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(bytes.Split(data, []byte("\n")), func(line []byte) bool { return len(line) == 0 })
}

func forged(t *testing.T, path string, lines [][]byte) {
	t.Helper()
	var out bytes.Buffer
	previous := ""
	for _, line := range lines {
		var l chained
		if err := json.Unmarshal(line, &l); err != nil {
			t.Fatal(err)
		}
		l.Previous = previous
		line, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		previous = lineHash(line)
		out.Write(append(line, '\n'))
	}
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

func faultsOf(t *testing.T, d *run) string {
	t.Helper()
	r, err := d.VerifyAudit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(r.Faults, "\n")
}

// What is done to the log while the appliance runs shows at once and for good, and no line goes
// where nobody finds it.
func TestLogThatIsTakenAway(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		do    func(t *testing.T, path string)
		fault string
	}{
		"moved": {func(t *testing.T, path string) {
			if err := os.Rename(path, filepath.Join(filepath.Dir(path), "..", "elsewhere")); err != nil {
				t.Fatal(err)
			}
		}, "taken away"},
		"removed": {func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}, "taken away"},
		"replaced by a forged copy": {func(t *testing.T, path string) {
			lines := linesOf(t, path)
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			forged(t, path, slices.Delete(lines, 2, 4))
		}, "another file"},
		"a link to nowhere": {func(t *testing.T, path string) {
			if err := errors.Join(os.Remove(path), os.Symlink("/dev/null", path)); err != nil {
				t.Fatal(err)
			}
		}, "no file"},
		"a link to itself, moved": {func(t *testing.T, path string) {
			elsewhere := filepath.Join(filepath.Dir(path), "..", "elsewhere")
			if err := errors.Join(os.Rename(path, elsewhere), os.Symlink(elsewhere, path)); err != nil {
				t.Fatal(err)
			}
		}, "no file"},
		"a link that leads nowhere": {func(t *testing.T, path string) {
			if err := errors.Join(os.Remove(path), os.Symlink(path+".none", path)); err != nil {
				t.Fatal(err)
			}
		}, "no file"},
		"a pipe": {func(t *testing.T, path string) {
			if err := errors.Join(os.Remove(path), unix.Mkfifo(path, 0o600)); err != nil {
				t.Fatal(err)
			}
		}, "no file"},
		"a folder": {func(t *testing.T, path string) {
			if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
				t.Fatal(err)
			}
		}, "no file"},
		"cut": {func(t *testing.T, path string) {
			lines := linesOf(t, path)
			if err := os.Truncate(path, int64(len(bytes.Join(lines[:5], []byte("\n")))+1)); err != nil {
				t.Fatal(err)
			}
		}, "were written"},
		"cut in a line": {func(t *testing.T, path string) {
			if err := os.Truncate(path, 1000); err != nil {
				t.Fatal(err)
			}
		}, "were written"},
		"emptied": {func(t *testing.T, path string) {
			if err := os.Truncate(path, 0); err != nil {
				t.Fatal(err)
			}
		}, "were written"},
		"added to": {func(t *testing.T, path string) {
			lines := linesOf(t, path)
			forged(t, path, append(lines, lines[3]))
		}, "were written"},
	} {
		for _, asked := range []bool{true, false} { // auditverify comes first, or the next line
			t.Run(fmt.Sprint(name, asked), func(t *testing.T) {
				t.Parallel()
				dir := filepath.Join(t.TempDir(), "audit")
				d := start(t, dir, nil)
				for n := range 8 {
					d.Record(access.Event{Act: access.ActCommand, User: "ops", Message: fmt.Sprint("line ", n)})
				}
				if faults := faultsOf(t, d); faults != "" || d.AuditTrouble() != "" {
					t.Fatalf("before: %s, %s", faults, d.AuditTrouble())
				}
				c.do(t, filepath.Join(dir, FileName))
				if asked {
					if faults := faultsOf(t, d); !strings.Contains(faults, c.fault) {
						t.Errorf("auditverify says %q; want %q", faults, c.fault)
					}
				}
				d.Record(access.Event{Act: access.ActCommand, User: "ops", Message: "behind"})
				check := func(when string) {
					t.Helper()
					if faults := faultsOf(t, d); !strings.Contains(faults, c.fault) || !strings.Contains(faults, "line") {
						t.Errorf("%s auditverify says %q; want %q", when, faults, c.fault)
					}
					if all := messages(events(t, d, access.EventFilter{})); !slices.Contains(all, "behind") {
						t.Errorf("%s the next line is not in the log: %q", when, all)
					}
				}
				check("then")
				accused := 0
				for _, m := range messages(events(t, d, access.EventFilter{})) {
					if strings.Contains(m, "another hand") {
						accused++
					}
				}
				if accused != 1 {
					t.Errorf("the log says %d times that it was changed; want once", accused)
				}
				if !strings.Contains(d.AuditTrouble(), "auditverify") {
					t.Errorf("administrators are told %q", d.AuditTrouble())
				}
				own := d.end(t)
				d = start(t, dir, own)
				check("behind a restart")
			})
		}
	}
}

// What is done while the appliance does not run shows by what it said itself of the last line.
func TestLogThatIsForgedMeanwhile(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		do    func(t *testing.T, path string)
		fault bool
	}{
		"nothing": {func(*testing.T, string) {}, false},
		"lines taken out": {func(t *testing.T, path string) {
			forged(t, path, slices.Delete(linesOf(t, path), 2, 4))
		}, true},
		"the last lines taken out": {func(t *testing.T, path string) {
			lines := linesOf(t, path)
			forged(t, path, lines[:len(lines)-2])
		}, true},
		"a line added": {func(t *testing.T, path string) {
			lines := linesOf(t, path)
			forged(t, path, append(lines, lines[3]))
		}, true},
		"all taken away": {func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}, true},
	} {
		for _, killed := range []bool{false, true} {
			t.Run(fmt.Sprint(name, killed), func(t *testing.T) {
				t.Parallel()
				dir := filepath.Join(t.TempDir(), "audit")
				d := start(t, dir, nil)
				for n := range 8 {
					d.Record(access.Event{Act: access.ActCommand, User: "ops", Message: fmt.Sprint("line ", n)})
				}
				own := d.end(t)
				if killed { // it ran once more, and its end was said of nowhere
					start(t, dir, own).end(t)
					own.lines = slices.DeleteFunc(own.lines, func(l access.LogLine) bool { return l.Message == endsWith })
				}
				c.do(t, filepath.Join(dir, FileName))
				d = start(t, dir, own)
				// What was added behind a start that was cut off looks as what that run wrote.
				want := c.fault && !(killed && (name == "a line added"))
				if killed && name == "the last lines taken out" { // they were of the run that was cut off
					want = faultsOf(t, d) != ""
				}
				if faults := faultsOf(t, d); (faults != "") != want {
					t.Errorf("auditverify says %q", faults)
				}
			})
		}
	}
}

// Files that are taken out of the middle, or from the beginning before the appliance would, are
// missing.
func TestFilesThatAreMissing(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "audit")
	d := start(t, dir, nil)
	small(d.Log)
	for n := range 200 {
		d.Record(access.Event{Act: access.ActCommand, User: "ops", Path: "x", Result: "ok", Message: fmt.Sprint(n)})
	}
	if faults := faultsOf(t, d); faults != "" {
		t.Fatalf("before: %s", faults)
	}
	numbers, err := d.closedNumbers()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{numbers[2], numbers[0]} {
		if err := os.Remove(d.closedFile(n)); err != nil {
			t.Fatal(err)
		}
		if faults := faultsOf(t, d); !strings.Contains(faults, filepath.Base(d.closedFile(n))+" is missing") {
			t.Errorf("without number %d of %v: %q", n, numbers, faults)
		}
	}
}
