package assets_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"diagsh/internal/test/netnstest"
)

// systemd itself finds nothing to complain of in the units.
func TestUnits(t *testing.T) {
	t.Parallel()
	analyze := netnstest.Tool(t, "systemd-analyze")
	dir := t.TempDir()
	units, err := filepath.Glob("*.service")
	if err != nil || len(units) < 2 {
		t.Fatal(units, err)
	}
	args := []string{"verify", "--man=no", "--recursive-errors=no"}
	for _, name := range units {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), "ExecStart=/usr/local/bin/diagsh ") {
			t.Errorf("%s starts something else", name)
		}
		// The program that it starts has to be there.
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(text), "/usr/local/bin/diagsh", "/bin/true")), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, path)
	}
	if out, err := exec.Command(analyze, args...).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}
