package appliance

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

// mouldEnv names a folder in which test processes keep the mould of a program for each other.
// Without it each makes its own.
const mouldEnv = "DIAGSH_MOULD"

var (
	moulding sync.Mutex
	moulded  map[string][]byte // by path below the data folder
)

// mould returns the data folder of an appliance whose accounts are made. Only one appliance has to
// find an RSA key and to hash passwords for it.
func mould(t testing.TB) map[string][]byte {
	t.Helper()
	moulding.Lock()
	defer moulding.Unlock()
	if moulded != nil {
		return moulded
	}
	folder := os.Getenv(mouldEnv)
	if folder == "" {
		moulded = makeMould(t)
		return moulded
	}
	unlock, err := lockFolder(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	info, err := os.Stat(Binary(t))
	if err != nil {
		t.Fatal(err)
	}
	// A program that is built again has another time.
	path := filepath.Join(folder, fmt.Sprintf("%d-%d.json", info.Size(), info.ModTime().UnixNano()))
	files := map[string][]byte{}
	text, err := os.ReadFile(path)
	switch {
	case err == nil:
		err = json.Unmarshal(text, &files)
	case errors.Is(err, fs.ErrNotExist):
		files = makeMould(t)
		err = keepMould(path, files)
	}
	if err != nil {
		t.Fatal(err)
	}
	moulded = files
	return moulded
}

// lockFolder waits until no other process holds the folder. The caller must call unlock.
func lockFolder(folder string) (unlock func(), err error) {
	lock, err := os.OpenFile(filepath.Join(folder, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		lock.Close()
		return nil, err
	}
	return func() { lock.Close() }, nil
}

// keepMould writes a mould and removes those of former programs. A mould is there whole or not at
// all.
func keepMould(path string, files map[string][]byte) error {
	text, err := json.Marshal(files)
	if err != nil {
		return err
	}
	former, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*.json"))
	if err != nil {
		return err
	}
	for _, file := range former {
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// makeMould starts an appliance with nothing, has the accounts of the bench made, and reads what
// came of it.
func makeMould(t testing.TB) map[string][]byte {
	t.Helper()
	a := prepare(t, Options{Fresh: true})
	a.start()
	if r := a.Local(accountLines()); r.Status != 0 {
		t.Fatalf("the accounts could not be made: %+v", r)
	}
	a.Stop()
	files := map[string][]byte{}
	for _, name := range []string{"users.json", "hostkeys"} {
		err := filepath.WalkDir(filepath.Join(a.Data, name), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			content, err := os.ReadFile(path)
			relative, _ := filepath.Rel(a.Data, path)
			files[relative] = content
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}
