package procs

import (
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// mostCgroups is how many paths Cgroups remember.
const mostCgroups = 4096

// Cgroups know the paths of cgroups by their numbers.
type Cgroups struct {
	root  *os.File // of the cgroup v2, or nil
	path  string
	known map[uint64]string
}

// OpenCgroups returns those below a root of the cgroup v2, which may be empty.
func OpenCgroups(root string) *Cgroups {
	c := &Cgroups{path: root, known: map[uint64]string{}}
	if root != "" {
		c.root, _ = os.Open(root)
	}
	return c
}

// Close gives the root up.
func (c *Cgroups) Close() {
	if c.root != nil {
		c.root.Close()
	}
}

// Of returns the path of a cgroup below the root. Without CAP_DAC_READ_SEARCH it is where the process
// is now.
func (c *Cgroups) Of(id uint64, pid int) string {
	if id == 0 {
		return ""
	}
	if path, ok := c.known[id]; ok {
		return path
	}
	path := c.byHandle(id)
	if path == "" {
		return CgroupNow(pid)
	}
	if len(c.known) >= mostCgroups {
		clear(c.known)
	}
	c.known[id] = path
	return path
}

// fileidKernfs is the type of a handle of which the bytes are the number (include/linux/exportfs.h).
const fileidKernfs = 0xfe

func (c *Cgroups) byHandle(id uint64) string {
	if c.root == nil {
		return ""
	}
	handle := unix.NewFileHandle(fileidKernfs, binary.NativeEndian.AppendUint64(nil, id))
	fd, err := unix.OpenByHandleAt(int(c.root.Fd()), handle, unix.O_PATH|unix.O_CLOEXEC)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	path, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil {
		return ""
	}
	if path = strings.TrimPrefix(path, c.path); path == "" {
		return "/"
	}
	return path
}

// CgroupNow reads where a process is (cgroups(7)); empty: that is not known.
func CgroupNow(pid int) string {
	if pid == 0 {
		return ""
	}
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if path, ok := strings.CutPrefix(line, "0::"); ok {
			return strings.TrimSuffix(path, "\n")
		}
	}
	return ""
}
