package raid

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// mdstat of a machine with three arrays, of which one is being checked, one lost a member and one has no redundancy.
const mdstatText = `Personalities : [raid1] [raid6] [raid5] [raid4] [raid0]
md1 : active raid5 sdd1[3] sdc1[1](F) sdb1[0]
      2095104 blocks super 1.2 level 5, 512k chunk, algorithm 2 [3/2] [U_U]

md127 : active raid1 sdb2[1] sda2[0]
      1046528 blocks super 1.2 [2/2] [UU]
      [===>.................]  check = 16.9% (177152/1046528) finish=1.5min speed=88576K/sec

md_data : active raid0 sdf1[1] sde1[0]
      4190208 blocks super 1.2 512k chunks

unused devices: <none>
`

// machine is a host with those arrays.
func machine(t *testing.T) System {
	t.Helper()
	dir := t.TempDir()
	s := System{filepath.Join(dir, "mdstat"), filepath.Join(dir, "block")}
	put := func(path, text string) {
		t.Helper()
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("mdstat", mdstatText)
	for path, text := range map[string]string{
		"md1/size": "4190208\n", "md1/md/level": "raid5\n", "md1/md/array_state": "clean\n", "md1/md/raid_disks": "3\n", "md1/md/degraded": "1\n",
		"md1/md/sync_action": "idle\n", "md1/md/sync_completed": "none\n", "md1/md/mismatch_cnt": "8\n", "md1/md/last_sync_action": "check\n",
		"md1/md/dev-sdb1/state": "in_sync\n", "md1/md/dev-sdb1/slot": "0\n", "md1/md/dev-sdb1/errors": "0\n",
		"md1/md/dev-sdc1/state": "faulty\n", "md1/md/dev-sdc1/slot": "none\n", "md1/md/dev-sdc1/errors": "17\n",
		"md127/size": "2093056\n", "md127/md/level": "raid1\n", "md127/md/array_state": "active\n", "md127/md/raid_disks": "2\n", "md127/md/degraded": "0\n",
		"md127/md/sync_action": "check\n", "md127/md/sync_completed": "523264 / 2093056\n",
		"md_data/size": "8380416\n", "md_data/md/level": "raid0\n", "md_data/md/array_state": "clean\n", "md_data/md/raid_disks": "2\n",
	} {
		put("block/"+path, text)
	}
	return s
}

func TestArrays(t *testing.T) {
	list, err := machine(t).List()
	if err != nil {
		t.Fatal(err)
	}
	want := []Array{
		{Name: "md1", Level: "raid5", State: "clean", Bytes: 4190208 * 512, Disks: 3, Degraded: 1, Action: "idle", Mismatches: 8, LastAction: "check",
			Members: []Member{{"sdb1", "in_sync", "0", 0}, {"sdc1", "faulty", "none", 17}}},
		{Name: "md127", Level: "raid1", State: "active", Bytes: 2093056 * 512, Disks: 2, Action: "check", Progress: 0.25, Finish: 90,
			Speed: 88576 << 10, Members: []Member{}},
		{Name: "md_data", Level: "raid0", State: "clean", Bytes: 8380416 * 512, Disks: 2, Members: []Member{}},
	}
	if !reflect.DeepEqual(list, want) {
		t.Errorf("%+v\nwant\n%+v", list, want)
	}
}

func TestVerify(t *testing.T) {
	s := machine(t)
	action := func(name string) string { return text(s.Block, name, "md", "sync_action") }
	for name, want := range map[string]error{"md1": nil, "md127": ErrBusy, "md_data": ErrCannot, "md9": ErrNoArray, "../md1": ErrNoArray, "": ErrNoArray} {
		if err := s.Verify(name); !errors.Is(err, want) {
			t.Errorf("verify %q: %v, want %v", name, err, want)
		}
	}
	if got := action("md1"); got != "check" {
		t.Errorf("md1 does %q", got)
	}
	for name, want := range map[string]error{"md1": nil, "md127": nil, "md_data": ErrCannot} {
		if err := s.Cancel(name); !errors.Is(err, want) {
			t.Errorf("cancel %q: %v, want %v", name, err, want)
		}
	}
	if got := action("md1") + action("md127"); got != "idleidle" {
		t.Errorf("they do %q", got)
	}
	if err := s.Cancel("md1"); !errors.Is(err, ErrBusy) {
		t.Errorf("cancel what does not run: %v", err)
	}
}

func TestWithoutArrays(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "mdstat")
	if err := os.WriteFile(empty, []byte("Personalities :\nunused devices: <none>\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, s := range []System{{empty, "/nonexistent"}, {"/nonexistent", "/nonexistent"}} {
		list, err := s.List()
		if err != nil || len(list) != 0 || s.Present() {
			t.Errorf("%+v: %v %v", s, list, err)
		}
	}
	if s := machine(t); !s.Present() {
		t.Error("a machine with arrays has none")
	}
}

func FuzzMdstat(f *testing.F) {
	f.Add(mdstatText)
	f.Fuzz(func(t *testing.T, mdstat string) {
		path := filepath.Join(t.TempDir(), "mdstat")
		os.WriteFile(path, []byte(mdstat), 0o600)
		list, err := System{path, "/nonexistent"}.List()
		for _, a := range list {
			if err != nil || strings.ContainsRune(a.Name, '/') {
				t.Errorf("%+v %v", a, err)
			}
		}
	})
}
