package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"diagsh/internal/test/netnstest"
)

// version names the source of every build: as make stamps it, as Go stamps it in a plain clone, and
// without a repository by the program itself.
func TestVersionNamesTheBuild(t *testing.T) {
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte("a program"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := programBuild(path)
	if want := fmt.Sprintf("program %x",
		sha256.Sum256([]byte("a program")))[:len("program ")+12]; b.source != want || b.time == "" {
		t.Errorf("a program is named %+v, not %s", b, want)
	}
	if b := programBuild(path + ".none"); b.source == "" {
		t.Error("a program that cannot be read has no name at all")
	}
	if b := thisBuild(); b.source == "" || b.time == "" {
		t.Errorf("this program is named %+v", b)
	}
	out, err := exec.Command(netnstest.Tool(t, "make"), "-n", "build").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	commit, err := exec.Command(netnstest.Tool(t, "git"), "describe", "--always", "--dirty", "--abbrev=12").Output()
	if err != nil {
		netnstest.Missing(t, "these sources are in no repository")
	}
	want := regexp.MustCompile(`-X main\.buildCommit=` + regexp.QuoteMeta(strings.TrimSpace(string(commit))) +
		` -X main\.buildTime=20\d\d-\d\d-\d\dT\S+`)
	if !want.Match(out) {
		t.Errorf("make build does not stamp the commit %s: %s", commit, out)
	}
}
