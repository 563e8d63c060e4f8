// Package disks says how full the file systems of this host are.
package disks

import (
	"bufio"
	"cmp"
	"context"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A FileSystem is one that is mounted, with its room.
type FileSystem struct {
	Mount       string `json:"mount"`
	Device      string `json:"device"`
	Type        string `json:"type"`
	ReadOnly    bool   `json:"readOnly"`
	Bytes       uint64 `json:"bytes"`
	Used        uint64 `json:"used"`
	Available   uint64 `json:"available"` // to those who are not root
	Inodes      uint64 `json:"inodes"`    // 0: the file system has no fixed number
	InodesUsed  uint64 `json:"inodesUsed"`
	Unreachable bool   `json:"unreachable,omitempty"` // it did not answer in time: a network file system whose server is gone
}

// UsedPercent is what df(1) shows: of what can be used by those who are not root, rounded up.
func (f FileSystem) UsedPercent() int {
	whole := f.Used + f.Available
	if whole == 0 {
		return 0
	}
	return int((f.Used*100 + whole - 1) / whole)
}

// patience is how long a file system may take to answer.
const patience = 2 * time.Second

// List lists the file systems that have room for files, each once however often it is mounted, by the place of the mount.
func List(ctx context.Context) ([]FileSystem, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	mounts, err := parse(f)
	if err != nil {
		return nil, err
	}
	var list []FileSystem
	for _, m := range mounts {
		filled, err := m.measure(ctx)
		if err != nil {
			return nil, err
		}
		if filled.Bytes > 0 || filled.Unreachable {
			list = append(list, filled)
		}
	}
	return list, nil
}

// Of is the room of the file system that a path is on.
func Of(path string) (FileSystem, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return FileSystem{}, err
	}
	var f FileSystem
	f.fill(&s)
	return f, nil
}

// measure asks the file system. One that does not answer must not keep the others from being shown; the call that waits for it ends
// when the kernel gives up.
func (f FileSystem) measure(ctx context.Context) (FileSystem, error) {
	answer := make(chan unix.Statfs_t, 1)
	go func() {
		var s unix.Statfs_t
		if unix.Statfs(f.Mount, &s) != nil {
			s = unix.Statfs_t{} // gone meanwhile, or not ours to see
		}
		answer <- s
	}()
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case s := <-answer:
		f.fill(&s)
	case <-late.C:
		f.Unreachable = true
	case <-ctx.Done():
		return f, ctx.Err()
	}
	return f, nil
}

func (f *FileSystem) fill(s *unix.Statfs_t) {
	unit := uint64(s.Frsize)
	if unit == 0 {
		unit = uint64(s.Bsize)
	}
	f.Bytes, f.Used, f.Available = s.Blocks*unit, (s.Blocks-min(s.Bfree, s.Blocks))*unit, s.Bavail*unit
	f.Inodes, f.InodesUsed = s.Files, s.Files-min(s.Ffree, s.Files)
}

// kernels are file systems that hold what the kernel knows, not files that somebody keeps.
var kernels = []string{"autofs", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "efivarfs", "fusectl", "hugetlbfs",
	"mqueue", "nsfs", "proc", "pstore", "ramfs", "rpc_pipefs", "securityfs", "selinuxfs", "sysfs", "tracefs", "binfmt_misc"}

// A mount is a line of mountinfo.
type mount struct {
	FileSystem
	id, parent string
	device     string // major:minor of the file system
	root       string // what of the file system is mounted: / or, where a part is bound, the part
}

// parse reads /proc/self/mountinfo (proc_pid_mountinfo(5)). Of several mounts of one file system the one that df(1) takes stands for it: the
// shortest path, unless only a part of the file system is there.
func parse(r io.Reader) ([]FileSystem, error) {
	var mounts []mount
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		before, after, ok := strings.Cut(lines.Text(), " - ")
		place, what := strings.Fields(before), strings.Fields(after)
		if !ok || len(place) < 6 || len(what) < 3 {
			continue
		}
		mounts = append(mounts, mount{id: place[0], parent: place[1], device: place[2], root: unescape(place[3]),
			FileSystem: FileSystem{Mount: unescape(place[4]), Device: unescape(what[1]), Type: what[0], ReadOnly: slices.Contains(strings.Split(what[2], ","), "ro")}})
	}
	byDevice := map[string]mount{}
	for _, m := range visible(mounts) {
		known, twice := byDevice[m.device]
		if !slices.Contains(kernels, m.Type) && (!twice || len(m.Mount) < len(known.Mount) && len(m.root) <= len(known.root)) {
			byDevice[m.device] = m
		}
	}
	var list []FileSystem
	for _, m := range byDevice {
		list = append(list, m.FileSystem)
	}
	slices.SortFunc(list, func(a, b FileSystem) int { return cmp.Compare(a.Mount, b.Mount) })
	return list, lines.Err()
}

// visible are the mounts that their paths lead to: another one may be mounted over them, or over a directory above them.
func visible(mounts []mount) []mount {
	children := map[string][]mount{}
	parents := map[string]mount{}
	for _, m := range mounts {
		parents[m.id] = m
		if m.parent != m.id { // the top of the tree is its own parent
			children[m.parent] = append(children[m.parent], m)
		}
	}
	reached := func(m mount) bool {
		for inTree := true; inTree && m.parent != m.id; m, inTree = parents[m.parent] {
			for _, other := range children[m.parent] {
				if other.id != m.id && below(m.Mount, other.Mount) {
					return false
				}
			}
		}
		return true
	}
	var list []mount
	for _, m := range mounts {
		covered := slices.ContainsFunc(children[m.id], func(over mount) bool { return over.Mount == m.Mount })
		if !covered && reached(m) {
			list = append(list, m)
		}
	}
	return list
}

// below says that a path is a directory or in it.
func below(path, dir string) bool {
	rest, ok := strings.CutPrefix(path, strings.TrimSuffix(dir, "/"))
	return ok && (rest == "" || rest[0] == '/')
}

// unescape turns \040 and its like back into what they stand for.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
