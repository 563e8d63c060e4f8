package disks

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"diagsh/internal/test/netnstest"
)

func TestParse(t *testing.T) {
	list, err := parse(strings.NewReader(`1 1 0:2 / / rw - rootfs rootfs rw
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
23 22 0:21 / /proc rw,nosuid - proc proc rw
24 22 8:1 /var/lib /mnt/again rw - ext4 /dev/sda1 rw
25 22 8:17 / /media/two\040words\134x ro master:3 propagate_from:2 - xfs /dev/sdb1 ro
26 22 broken
27 22 0:40 / /net rw - nfs4 server:/export rw
28 22 0:41 / /mnt/below rw - tmpfs hidden rw
29 22 0:42 / /mnt rw - tmpfs above rw
30 29 0:43 / /mnt/in rw - tmpfs in rw
31 30 0:44 / /mnt/in rw - tmpfs again rw
32 30 0:45 / /mnt/in/side rw - tmpfs hidden rw
33 22 8:33 / /srv/data rw - ext4 /dev/sdc1 rw
34 22 8:33 /part /part rw - ext4 /dev/sdc1 rw
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []FileSystem{
		{Mount: "/", Device: "/dev/sda1", Type: "ext4"},
		{Mount: `/media/two words\x`, Device: "/dev/sdb1", Type: "xfs", ReadOnly: true},
		{Mount: "/mnt", Device: "above", Type: "tmpfs"},
		{Mount: "/mnt/in", Device: "again", Type: "tmpfs"},
		{Mount: "/net", Device: "server:/export", Type: "nfs4"},
		{Mount: "/srv/data", Device: "/dev/sdc1", Type: "ext4"},
	}
	if len(list) != len(want) {
		t.Fatalf("%+v", list)
	}
	for i := range want {
		if list[i] != want[i] {
			t.Errorf("%+v, want %+v", list[i], want[i])
		}
	}
}

// TestMountsOfDf compares the list with df: each file system is there once, at df's path, also with
// bind mounts and mounts over mounts.
func TestMountsOfDf(t *testing.T) {
	df := netnstest.Tool(t, "df")
	dir := t.TempDir()
	mount := func(source, place, kind string, flags uintptr) {
		t.Helper()
		place = filepath.Join(dir, place)
		if err := os.MkdirAll(place, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount(source, place, kind, flags, ""); err != nil {
			netnstest.Missing(t, "a file system cannot be mounted here: "+err.Error())
		}
		t.Cleanup(func() { unix.Unmount(place, unix.MNT_DETACH) })
	}
	mount("bound", "a/long/place", "tmpfs", 0)
	mount(filepath.Join(dir, "a/long/place"), "short", "", unix.MS_BIND)
	mount("part", "whole/of/it", "tmpfs", 0)
	if err := os.Mkdir(filepath.Join(dir, "whole/of/it/part"), 0o700); err != nil {
		t.Fatal(err)
	}
	mount(filepath.Join(dir, "whole/of/it/part"), "p", "", unix.MS_BIND)
	mount("below", "over", "tmpfs", 0)
	mount("above", "over", "tmpfs", 0)
	mount("hidden", "parent/child", "tmpfs", 0)
	mount("hides", "parent", "tmpfs", 0)

	out, err := exec.Command(df, "--output=target,source").Output()
	if err != nil {
		t.Fatal(err)
	}
	list, err := List(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var theirs, ours []string
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, dir) {
			theirs = append(theirs, strings.Join(strings.Fields(line), " "))
		}
	}
	for _, f := range list {
		if strings.HasPrefix(f.Mount, dir) {
			ours = append(ours, f.Mount+" "+f.Device)
		}
	}
	slices.Sort(theirs)
	if len(ours) != 4 || !slices.Equal(ours, theirs) {
		t.Errorf("we list %q, df %q", ours, theirs)
	}
}

// TestAgainstDf compares the numbers of a file system that the test made and filled with those of
// df.
func TestAgainstDf(t *testing.T) {
	df := netnstest.Tool(t, "df")
	dir := filepath.Join(t.TempDir(), "with blank")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("test", dir, "tmpfs", 0, "size=8m,nr_inodes=100"); err != nil {
		netnstest.Missing(t, "a file system cannot be mounted here: "+err.Error())
	}
	defer unix.Unmount(dir, 0)
	if err := os.WriteFile(filepath.Join(dir, "file"), make([]byte, 3<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(df, "--output=size,used,avail,itotal,iused,pcent", "-B1", dir).Output()
	if err != nil {
		t.Fatal(err)
	}
	theirs := strings.Fields(strings.Split(string(out), "\n")[1])
	list, err := List(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		if f.Mount != dir {
			continue
		}
		for i, n := range []uint64{f.Bytes, f.Used, f.Available, f.Inodes, f.InodesUsed, uint64(f.UsedPercent())} {
			if ours := strconv.FormatUint(n, 10); ours != strings.TrimSuffix(theirs[i], "%") {
				t.Errorf("column %d: %s, df says %s", i, ours, theirs[i])
			}
		}
		if f.Used < 3<<20 {
			t.Errorf("%d bytes are used", f.Used)
		}
		return
	}
	t.Fatalf("%s is not in %+v", dir, list)
}
