package disks

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"diagsh/internal/netnstest"
)

func TestParse(t *testing.T) {
	list, err := parse(strings.NewReader(`22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
23 22 0:21 / /proc rw,nosuid - proc proc rw
24 22 8:1 /var/lib /mnt/again rw - ext4 /dev/sda1 rw
25 22 8:17 / /mnt/two\040words\134x ro master:3 propagate_from:2 - xfs /dev/sdb1 ro
26 22 broken
27 22 0:40 / /net rw - nfs4 server:/export rw
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []FileSystem{
		{Mount: "/", Device: "/dev/sda1", Type: "ext4"},
		{Mount: `/mnt/two words\x`, Device: "/dev/sdb1", Type: "xfs", ReadOnly: true},
		{Mount: "/net", Device: "server:/export", Type: "nfs4"},
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

// A file system that the test made and filled has the numbers that df shows.
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
