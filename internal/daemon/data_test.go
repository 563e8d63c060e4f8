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
