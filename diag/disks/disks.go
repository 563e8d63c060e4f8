// Package disks reports how full the file systems of this host are.
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

// A FileSystem is a mounted file system and its free space.
type FileSystem struct {
	Mount      string `json:"mount"`
	Device     string `json:"device"`
	Type       string `json:"type"`
	ReadOnly   bool   `json:"readOnly"`
	Bytes      uint64 `json:"bytes"`
	Used       uint64 `json:"used"`
	Available  uint64 `json:"available"` // to users other than root
	Inodes     uint64 `json:"inodes"`    // 0: the file system has no fixed number
	InodesUsed uint64 `json:"inodesUsed"`
	// it did not answer in time, such as a network file system whose server is gone
	Unreachable bool `json:"unreachable,omitempty"`
}

// UsedPercent returns what df(1) shows: the share in use of what users other than root can use,
// rounded up.
func (f FileSystem) UsedPercent() int {
	whole := f.Used + f.Available
	if whole == 0 {
		return 0
	}
	return int((f.Used*100 + whole - 1) / whole)
}

// patience is how long a file system may take to answer.
const patience = 2 * time.Second

// List returns the file systems that can hold files, sorted by mount point. A file system that is
// mounted several times is listed once.
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

// Of returns the file system that path is on.
func Of(path string) (FileSystem, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return FileSystem{}, err
	}
	var f FileSystem
	f.fill(&s)
	return f, nil
}

// measure asks the file system for its space. One that does not answer must not hold up the others.
// The call that waits for it ends when the kernel gives up.
func (f FileSystem) measure(ctx context.Context) (FileSystem, error) {
	answer := make(chan unix.Statfs_t, 1)
	go func() {
		var s unix.Statfs_t
		if unix.Statfs(f.Mount, &s) != nil {
			s = unix.Statfs_t{} // gone meanwhile, or hidden from this process
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

// kernels lists file system types that show what the kernel knows and hold no files of users.
var kernels = []string{"autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs",
	"efivarfs", "fusectl", "hugetlbfs", "mqueue", "nsfs", "proc", "pstore", "ramfs", "rpc_pipefs", "securityfs",
	"selinuxfs", "sysfs", "tracefs"}

// A mount is a line of mountinfo.
type mount struct {
	FileSystem
	id, parent string
	device     string // major:minor of the file system
	root       string // the mounted part of the file system: /, or the directory of a bind mount
}

// parse reads /proc/self/mountinfo (proc_pid_mountinfo(5)). Of several mounts of one file system it
// keeps the one that df(1) shows: the shortest path, unless that shows only a part of the file
// system.
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
			FileSystem: FileSystem{Mount: unescape(place[4]), Device: unescape(what[1]), Type: what[0],
				ReadOnly: slices.Contains(strings.Split(what[2], ","), "ro")}})
	}
	byDevice := map[string]mount{}
	for _, m := range visible(mounts) {
		known, twice := byDevice[m.device]
		if !slices.Contains(kernels, m.Type) &&
			(!twice || len(m.Mount) < len(known.Mount) && len(m.root) <= len(known.root)) {
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

// visible returns the mounts that their paths lead to. Another mount can hide one, at its path or
// at a directory above it.
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

// below reports whether path is dir or inside it.
func below(path, dir string) bool {
	rest, ok := strings.CutPrefix(path, strings.TrimSuffix(dir, "/"))
	return ok && (rest == "" || rest[0] == '/')
}

// unescape decodes octal escapes such as \040.
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
