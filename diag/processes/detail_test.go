package processes

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// What is read of a child that the test started is what the test gave it.
func TestReadDetail(t *testing.T) {
	cat, err := exec.LookPath("cat")
	if err == nil {
		cat, err = filepath.EvalSymlinks(cat)
	}
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(cat, "-u", "-")
	child.Args[0] = "a name, \"quoted\"\nof two lines \xff"
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer child.Wait()
	defer child.Process.Kill()
	in.Write([]byte("x"))
	if _, err := io.ReadFull(out, make([]byte, 1)); err != nil { // only then is all of it in memory
		t.Fatal(err)
	}
	d, err := ReadDetail(child.Process.Pid, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if d.PID != child.Process.Pid || d.Parent != os.Getpid() || d.Name != "cat" || d.Exe != cat ||
		d.UID != uint32(os.Geteuid()) || !slices.Equal(d.Arguments, child.Args) || d.Cut {
		t.Errorf("%+v", d)
	}
	if time.Since(d.Started) > time.Minute || time.Until(d.Started) > time.Second {
		t.Errorf("it began at %v", d.Started)
	}
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil || !strings.Contains(string(own), ":"+d.Cgroup+"\n") {
		t.Errorf("its cgroup is %q, ours %s", d.Cgroup, own)
	}
	if len(d.Modules) < 2 || d.Modules[0].Path != cat || d.Modules[0].Address == 0 ||
		!slices.ContainsFunc(d.Modules, func(m Module) bool { return strings.Contains(m.Path, "libc") }) {
		t.Errorf("its modules are %+v", d.Modules)
	}

	// Who had that number before it began is another process.
	if _, err := ReadDetail(child.Process.Pid, time.Now().Add(-time.Hour)); !errors.Is(err, ErrEnded) {
		t.Errorf("an hour ago: %v", err)
	}
	child.Process.Kill()
	child.Wait()
	if _, err := ReadDetail(child.Process.Pid, time.Now()); !errors.Is(err, ErrEnded) {
		t.Errorf("after its end: %v", err)
	}
}

func TestParseMapping(t *testing.T) {
	for _, c := range []struct {
		line string
		want Module
		ok   bool
	}{
		{"7f12a000-7f12c000 r-xp 00001000 fe:01 4711                       /usr/lib/libc.so.6", Module{"/usr/lib/libc.so.6", 0x7f12a000}, true},
		{"7f12a000-7f12c000 r-xp 00001000 fe:01 4711  /opt/a b,c/lib x.so (deleted)", Module{"/opt/a b,c/lib x.so (deleted)", 0x7f12a000}, true},
		{"7f12a000-7f12c000 r--p 00001000 fe:01 4711 /usr/lib/libc.so.6", Module{}, false},
		{"7ffd0000-7ffd2000 r-xp 00000000 00:00 0    [vdso]", Module{}, false},
		{"7f12a000-7f12c000 rwxp 00000000 00:00 0", Module{}, false},
		{"nonsense", Module{}, false},
		{"", Module{}, false},
	} {
		if got, ok := parseMapping([]byte(c.line)); ok != c.ok || ok && got != c.want {
			t.Errorf("%q: %+v %v", c.line, got, ok)
		}
	}
}

// What a process puts into its arguments is bounded.
func TestArgumentsAreBounded(t *testing.T) {
	folder := t.TempDir()
	for _, n := range []int{0, 1, maxArguments - 1, maxArguments, maxArguments + 1, 1 << 20} {
		os.WriteFile(filepath.Join(folder, "cmdline"), []byte(strings.Repeat("x", n)), 0o600)
		words, cut := arguments(folder)
		if got := len(strings.Join(words, "")); got != min(n, maxArguments) || cut != (n > maxArguments) {
			t.Errorf("%d bytes: %d, cut %v", n, got, cut)
		}
	}
	if words, _ := arguments(strconv.Itoa(1)); words != nil {
		t.Errorf("without a file: %q", words)
	}
}
