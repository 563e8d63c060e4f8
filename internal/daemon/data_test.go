package daemon

import (
	"os"
	"path/filepath"
	"testing"
)

func TestOnlyTheOwnerReadsTheData(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	d := start(t, Options{Dir: dir})
	d.Remember("admin", "who")
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil && path != dir && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// fileOf returns the path of a file in the diagnostic directory, which is made if need be.
func fileOf(t *testing.T, d *Daemon, name string) string {
	t.Helper()
	path := filepath.Join(d.Path(), name)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	return path
}
