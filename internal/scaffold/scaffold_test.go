package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A skeleton in a copy of the tree builds and passes the tree's tests at once. Its transcript alone
// fails, and says why.
func TestSkeleton(t *testing.T) {
	if testing.Short() {
		t.Skip("a copy of the tree is compiled three times")
	}
	root := t.TempDir()
	copyTree(t, "../..", root)
	for _, path := range []string{"diagnostic network newcomer", "newcomer_too"} {
		c, err := newCommand(root, strings.Fields(path))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.write(); err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) (string, error) {
		cmd := exec.Command("go", args...)
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "DIAGSH_BINARY=", "GOFLAGS=-trimpath -ldflags=-w")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := run("test", "-count=1", "-run", "TestReference", ".", "-update"); err != nil {
		t.Fatalf("make reference: %s", out)
	}
	out, err := run("test", "-count=1", "-run", "TestEvery(Command(HasATranscript|IsDeclaredWhole)|PathLeadsToItsFile)", "./commands")
	if err != nil {
		t.Errorf("the tree's tests fail: %s", out)
	}
	out, err = run("test", "-count=1", "-run", "TestTranscripts/newcomer", "./commands/diagnostic/network")
	if err == nil || !strings.Contains(out, "newcomer is not written yet") || strings.Contains(out, "panic") {
		t.Errorf("the transcript does not say what is not written yet: %v, %s", err, out)
	}
}

// What cannot be added is refused, and nothing is written.
func TestRefusals(t *testing.T) {
	root := "../.."
	for path, fault := range map[string]string{
		"":                              "no word",
		"diagnostic network Route":      "is no keyword",
		"diagnostic nosuch routeget":    "there is no menu diagnostic > nosuch",
		"diagnostic network flush":      "exists",
		"diagnostic network":            "exists",
		"diagnostic network tcpdump go": "the menu diagnostic > network > tcpdump is one file",
	} {
		if _, err := newCommand(root, strings.Fields(path)); err == nil || !strings.Contains(err.Error(), fault) {
			t.Errorf("%q: %v, want %q", path, err, fault)
		}
	}
}

// copyTree copies what git has of a work tree, as it is there now.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	list := exec.Command("git", "ls-files", "-co", "--exclude-standard", "-z")
	list.Dir = from
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Split(strings.TrimRight(string(out), "\x00"), "\x00") {
		content, err := os.ReadFile(filepath.Join(from, name))
		if os.IsNotExist(err) {
			continue // removed and not committed yet
		}
		if err == nil {
			err = os.MkdirAll(filepath.Dir(filepath.Join(to, name)), 0o755)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), content, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
