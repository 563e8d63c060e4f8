package appliance

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// lookAtSources looks at every file that the program may be made of. go test remembers which files
// of the module a test looked at, and keeps its result until one of them changes; what a test's
// child process builds it cannot see.
func lookAtSources() error {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	for !exists(filepath.Join(root, "go.mod")) {
		above := filepath.Dir(root)
		if above == root {
			return fs.ErrNotExist
		}
		root = above
	}
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "var" || d.Name() == "bin"):
			return filepath.SkipDir
		case !d.IsDir() && !strings.HasSuffix(path, "_test.go"):
			_, err = os.Stat(path)
		}
		return err
	})
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
