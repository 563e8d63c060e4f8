package daemon

import (
	"io/fs"
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

// A data directory that others could list or change is put right, once it is the appliance's, and keeps
// what else its mode says.
func TestMakeDirectory(t *testing.T) {
	for before, want := range map[fs.FileMode]fs.FileMode{
		0o755:                 0o711,
		0o711:                 0o711,
		0o700:                 0o700,
		0o777 | fs.ModeSticky: 0o711 | fs.ModeSticky,
		0o770 | fs.ModeSetgid: 0o710 | fs.ModeSetgid,
	} {
		dir := t.TempDir()
		mode := func() fs.FileMode {
			t.Helper()
			if err := MakeDirectory(dir); err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(dir)
			if err != nil {
				t.Fatal(err)
			}
			return info.Mode() &^ fs.ModeDir
		}
		if err := os.Chmod(dir, before); err != nil {
			t.Fatal(err)
		}
		if now := mode(); now != before {
			t.Errorf("%v of somebody else became %v", before, now)
		}
		if err := os.WriteFile(filepath.Join(dir, "users.json"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if now := mode(); now != want {
			t.Errorf("%v became %v, not %v", before, now, want)
		}
	}
}
