package raid

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// mdstatText describes three arrays: one is being checked, one lost a member and one has no
// redundancy.
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

// machine writes the files of a host with those arrays.
func machine(t *testing.T) System {
	t.Helper()
	dir := t.TempDir()
	s := System{Mdstat: filepath.Join(dir, "mdstat"), Block: filepath.Join(dir, "block")}
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
		"md1/size": "4190208\n", "md1/md/level": "raid5\n", "md1/md/array_state": "clean\n", "md1/md/raid_disks": "3\n",
		"md1/md/degraded":    "1\n",
		"md1/md/sync_action": "idle\n", "md1/md/sync_completed": "none\n", "md1/md/mismatch_cnt": "8\n",
		"md1/md/last_sync_action": "check\n",
		"md1/md/dev-sdb1/state":   "in_sync\n", "md1/md/dev-sdb1/slot": "0\n", "md1/md/dev-sdb1/errors": "0\n",
		"md1/md/dev-sdc1/state": "faulty\n", "md1/md/dev-sdc1/slot": "none\n", "md1/md/dev-sdc1/errors": "17\n",
		"md127/size": "2093056\n", "md127/md/level": "raid1\n", "md127/md/array_state": "active\n",
		"md127/md/raid_disks": "2\n", "md127/md/degraded": "0\n",
		"md127/md/sync_action": "check\n", "md127/md/sync_completed": "523264 / 2093056\n",
		"md_data/size": "8380416\n", "md_data/md/level": "raid0\n", "md_data/md/array_state": "clean\n",
		"md_data/md/raid_disks": "2\n",
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
		{Name: "md1", Level: "raid5", State: "clean", Bytes: 4190208 * 512, Disks: 3, Degraded: 1, Action: "idle",
			Mismatches: 8, LastAction: "check",
			Members: []Member{{"sdb1", "in_sync", "0", 0}, {"sdc1", "faulty", "none", 17}}},
		{Name: "md127", Level: "raid1", State: "active", Bytes: 2093056 * 512, Disks: 2, Action: "check",
			Progress: 0.25, Finish: 90,
			Speed: 88576 << 10, Members: []Member{}},
		{Name: "md_data", Level: "raid0", State: "clean", Bytes: 8380416 * 512, Disks: 2, Members: []Member{}},
	}
	if !reflect.DeepEqual(list, want) {
		t.Errorf("%+v\nwant\n%+v", list, want)
	}
}

// put changes attributes of an array.
func put(t *testing.T, s System, name string, attributes map[string]string) {
	t.Helper()
	for attribute, value := range attributes {
		if err := os.WriteFile(filepath.Join(s.Block, name, "md", attribute), []byte(value+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestVerify(t *testing.T) {
	s := machine(t)
	ctx := t.Context()
	put(t, s, "md127", map[string]string{"sync_action": "idle"})
	for _, c := range []struct {
		name, level, state, degraded string
		want                         error
	}{
		{"md127", "raid1", "active", "0", nil},
		{"md127", "raid1", "clean", "1", ErrDegraded}, // nothing is left to compare with
		{"md127", "raid1", "readonly", "0", ErrReadOnly},
		{"md127", "raid1", "read-auto", "0", ErrReadOnly},
		{"md127", "raid1", "inactive", "0", ErrReadOnly},
		{"md127", "raid1", "write-pending", "0", nil},
		{"md1", "raid5", "clean", "0", nil},
		{"md1", "raid5", "clean", "1", ErrDegraded},
		{"md1", "raid4", "clean", "1", ErrDegraded},
		{"md1", "raid6", "clean", "1", nil},
		{"md1", "raid6", "clean", "2", ErrDegraded},
		{"md1", "raid10", "clean", "1", nil},
		{"md1", "raid10", "clean", "2", ErrDegraded},
	} {
		put(t, s, c.name, map[string]string{"level": c.level, "array_state": c.state, "degraded": c.degraded,
			"sync_action": "idle"})
		if err := s.Verify(ctx, c.name); !errors.Is(err, c.want) {
			t.Errorf("verify %+v: %v", c, err)
		}
		if got, began := text(s.Block, c.name, "md", "sync_action"), c.want == nil; began != (got == "check") {
			t.Errorf("after verify %+v it does %q", c, got)
		}
	}
	for name, want := range map[string]error{"md_data": ErrCannot, "md9": ErrNoArray, "../md1": ErrNoArray,
		"": ErrNoArray} {
		if err := s.Verify(ctx, name); !errors.Is(err, want) {
			t.Errorf("verify %q: %v, want %v", name, err, want)
		}
	}
	put(t, s, "md1", map[string]string{"sync_action": "recover"})
	for what, act := range map[string]func(context.Context, string) error{"verify": s.Verify, "cancel": s.Cancel} {
		if err := act(ctx, "md1"); !errors.Is(err, ErrBusy) {
			t.Errorf("%s one that recovers: %v", what, err)
		}
	}
	put(t, s, "md1", map[string]string{"sync_action": "check"})
	for name, want := range map[string]error{"md1": nil, "md_data": ErrCannot, "md9": ErrNoArray} {
		if err := s.Cancel(ctx, name); !errors.Is(err, want) {
			t.Errorf("cancel %q: %v, want %v", name, err, want)
		}
	}
	if got := text(s.Block, "md1", "md", "sync_action"); got != "idle" {
		t.Errorf("it does %q", got)
	}
}

// TestVerifyFromTheBeginning: a verification that was cancelled starts anew instead of at the point
// of its end.
func TestVerifyFromTheBeginning(t *testing.T) {
	s := machine(t)
	put(t, s, "md127", map[string]string{"sync_action": "idle", "sync_min": "4096"})
	if a, err := s.Array("md127"); err != nil || a.EndedAt != 4096 {
		t.Errorf("%+v %v", a, err)
	}
	if err := s.Verify(t.Context(), "md127"); err != nil {
		t.Fatal(err)
	}
	if got := text(s.Block, "md127", "md", "sync_min"); got != "0" {
		t.Errorf("it begins at %q", got)
	}
}

// TestVerifyByAnother: what this process may not do goes to Order, in the form that Carry takes.
func TestVerifyByAnother(t *testing.T) {
	s := machine(t)
	put(t, s, "md127", map[string]string{"sync_action": "idle"})
	// A missing file cannot be written even by root.
	if err := os.RemoveAll(filepath.Join(s.Block, "md127", "md", "sync_action")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/proc/sys/kernel/ostype", filepath.Join(s.Block, "md127", "md", "sync_action")); err != nil {
		t.Fatal(err)
	}
	if err := s.act(t.Context(), "check", "md127"); !errors.Is(err, ErrForbidden) {
		t.Errorf("without anybody else: %v", err)
	}
	var asked []string
	s.Order = func(_ context.Context, order string) error { asked = append(asked, order); return nil }
	if err := errors.Join(s.act(t.Context(), "check", "md127"), s.act(t.Context(), "idle", "md127")); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(asked, []string{"check:md127", "idle:md127"}) {
		t.Errorf("asked for %q", asked)
	}
	for order, want := range map[string]string{"check:md_none": ErrNoArray.Error(), "idle:md_none": ErrNoArray.Error(),
		"repair:md1": `"repair:md1" is no order`, "": `"" is no order`} {
		if err := Carry(order); err == nil || err.Error() != want {
			t.Errorf("carry out %q: %v", order, err)
		}
	}
}

func TestWithoutArrays(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "mdstat")
	if err := os.WriteFile(empty, []byte("Personalities :\nunused devices: <none>\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, s := range []System{{Mdstat: empty, Block: "/nonexistent"},
		{Mdstat: "/nonexistent", Block: "/nonexistent"}} {
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
		list, err := System{Mdstat: path, Block: "/nonexistent"}.List()
		for _, a := range list {
			if err != nil || strings.ContainsRune(a.Name, '/') {
				t.Errorf("%+v %v", a, err)
			}
		}
	})
}
