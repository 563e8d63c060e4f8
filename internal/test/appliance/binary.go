package appliance

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// binaryEnv names a program to test instead of the one that these sources make.
const binaryEnv = "DIAGSH_BINARY"

// Binary is the path of the program, which is built once per test process.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var built = sync.OnceValues(func() (string, error) {
	if path := os.Getenv(binaryEnv); path != "" {
		// go test keeps a result until a file changes that the test looked at.
		if _, err := os.Stat(path); err != nil {
			return "", err
		}
		return filepath.Abs(path)
	}
	root, err := sources()
	if err != nil {
		return "", err
	}
	if err := lookAtSources(root); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "diagsh-build-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "diagsh")
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-w", "-o", path, "diagsh")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the program: %w\n%s", err, out)
	}
	// A test process has no last act in which it could remove a file. So the file goes now, and
	// lives on as a descriptor.
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), keepOpen(f)), nil
})

// kept holds files whose descriptors must not be closed when the collector finds their os.File
// unused.
var kept []*os.File

func keepOpen(f *os.File) uintptr {
	kept = append(kept, f)
	return f.Fd()
}
