package processes

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Named returns the PIDs that text means: a PID, a name that processes chose (comm in proc(5), at
// most 15 bytes), or the name of their program. The last may be longer: it is the end of the path
// of the executable, or of the first word of the command line.
func Named(ctx context.Context, text string) (map[int]bool, error) { return named(ctx, "/proc", text) }

func named(ctx context.Context, proc, text string) (map[int]bool, error) {
	folder, err := os.Open(proc)
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	names, err := folder.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	found := map[int]bool{}
	for _, name := range names {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if pid, err := strconv.Atoi(name); err == nil && (name == text || called(filepath.Join(proc, name), text)) {
			found[pid] = true
		}
	}
	return found, nil
}

// called reports whether a process has that name. What cannot be read, as of a process that ends,
// does not match.
func called(folder, text string) bool {
	comm, _ := os.ReadFile(filepath.Join(folder, "comm"))
	if strings.EqualFold(strings.TrimSuffix(string(comm), "\n"), text) {
		return true
	}
	if program, err := os.Readlink(filepath.Join(folder, "exe")); err == nil &&
		filepath.Base(strings.TrimSuffix(program, " (deleted)")) == text {
		return true
	}
	line, _ := os.ReadFile(filepath.Join(folder, "cmdline"))
	first, _, _ := bytes.Cut(line, []byte{0})
	return len(first) > 0 && filepath.Base(string(first)) == text
}
