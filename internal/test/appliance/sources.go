package appliance

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// sources returns the folder of the program's module. A test of a module of its own lies below it, and
// must build the program as that module does.
func sources() (string, error) {
	folder, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		module, err := os.ReadFile(filepath.Join(folder, "go.mod"))
		if err == nil && strings.HasPrefix(string(module), "module diagsh\n") {
			return folder, nil
		}
		above := filepath.Dir(folder)
		if above == folder {
			return "", fs.ErrNotExist
		}
		folder = above
	}
}

// lookAtSources looks at every file that the program may be made of. go test remembers which files
// of the module a test looked at, and keeps its result until one of them changes; what a test's
// child process builds it cannot see.
func lookAtSources(root string) error {
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
