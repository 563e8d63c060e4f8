package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"diagsh/internal/access"
	"diagsh/internal/test/roomtest"
)

// An appliance comes up without what damaged files held. It says so in the log of acts and in
// status, over restarts, until the files are restored or removed; and nothing of them is lost.
func TestDamagedFilesAreSetAside(t *testing.T) {
	t.Parallel()
	o := Options{Dir: roomtest.Configure(t, roomtest.DataDir(t), "azure: {subscription: 7a1f0e2c-9f4b-4d3e-8a55-0c6f5d1b2e90}\n")}
	os.Mkdir(filepath.Join(o.Dir, "certificates"), 0o700)
	damaged := map[string]string{}
	for name := range lacking {
		damaged[name] = `{"version":1,"of":"` + name
		if filepath.Ext(name) == ".jsonl" {
			damaged[name] += "\n" // a whole line: one that is torn is left by any crash
		}
		path := filepath.Join(o.Dir, name)
		if name == "acme-account.json" {
			path = filepath.Join(o.Dir, "certificates", name)
		}
		if err := os.WriteFile(path, []byte(damaged[name]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	foreign := filepath.Join(o.Dir, "mine.damaged-once")
	if err := os.WriteFile(foreign, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d := start(t, o)
	for name, content := range damaged {
		if left := filesWith(t, o.Dir, content); len(left) != 1 || !strings.Contains(left[0], name+".damaged-") {
			t.Errorf("what %s held is in %q", name, left)
		}
		if said := roomtest.Events(t, d.Log, access.EventFilter{Newest: 1, Path: name}); len(said) != 1 || !strings.Contains(said[0].Message, "set aside") {
			t.Errorf("the audit log says of %s: %+v", name, said)
		}
	}
	roomtest.LogIn(t, d, "ops", "192.0.2.1")
	if err := d.SaveFilter("ops", access.SavedFilter{Name: "web", Expression: "port 80"}); err != nil {
		t.Error(err)
	}
	if err := d.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	d = start(t, o)
	for name := range damaged {
		if trouble := d.Trouble(); !strings.Contains(trouble, name+" was damaged") || strings.Contains(trouble, o.Dir) {
			t.Errorf("status says %q", trouble)
		}
	}
	if kept := d.SavedFilters("ops"); len(kept) != 1 {
		t.Errorf("the filters are %v", kept)
	}
	if _, err := d.Reload(roomtest.Admin, false); err != nil {
		t.Fatal(err)
	}
	if trouble := d.Trouble(); trouble != "" {
		t.Errorf("after factory values status says %q", trouble)
	}
	if _, err := os.Stat(foreign); err != nil {
		t.Errorf("a file of the machine's owner: %v", err)
	}
	for name, content := range damaged {
		if left := filesWith(t, o.Dir, content); len(left) > 0 {
			t.Errorf("the next owner has what %s held, in %q", name, left)
		}
	}
}

// Without accounts or the ledger of commits the appliance does not start, and names the file, which
// stays.
func TestFilesThatAreNotGuessed(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"users.json", "commits.json"} {
		dir := roomtest.DataDir(t)
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		if d, err := Open(Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), path+" is damaged") {
			t.Errorf("a damaged %s: %v", name, err)
			if err == nil {
				d.Close(t.Context())
			}
		}
		if left, err := os.ReadFile(path); err != nil || string(left) != "{" {
			t.Errorf("%s is now %q, %v", name, left, err)
		}
	}
}
