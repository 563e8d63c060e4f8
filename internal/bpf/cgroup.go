package bpf

import (
	"bufio"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// CgroupRoot returns where the cgroup v2 is mounted, whose hooks see the sockets of the processes in
// it and below. It is ErrNoCgroup if there is none. In a cgroup namespace it is the root of that
// namespace.
func CgroupRoot() (string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	defer f.Close()
	best := ""
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// 36 35 98:0 /root /mount options shared:1 - type source options, as proc_pid_mountinfo(5) has it.
		head, tail, ok := strings.Cut(lines.Text(), " - ")
		fields := strings.Fields(head)
		if !ok || len(fields) < 5 || !strings.HasPrefix(tail, "cgroup2 ") {
			continue
		}
		path := unescaped(fields[4])
		if best == "" || fields[3] == "/" && isCgroup(path) {
			best = path
		}
	}
	if best == "" || !isCgroup(best) {
		return "", ErrNoCgroup
	}
	return best, nil
}

// isCgroup reports whether a path is in a cgroup v2, and not in what was mounted over it.
func isCgroup(path string) bool {
	var s unix.Statfs_t
	return unix.Statfs(path, &s) == nil && s.Type == unix.CGROUP2_SUPER_MAGIC
}

// unescaped is a path of mountinfo, in which blanks are \040 and the like.
func unescaped(path string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(path)
}
