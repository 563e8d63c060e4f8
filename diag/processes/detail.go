package processes

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A Detail is what can be read of one running process.
type Detail struct {
	PID       int
	Parent    int
	Name      string // as the process chose it (comm); any bytes but NUL
	Exe       string // path of the executable; empty for a thread of the kernel, or where the right to read it is missing
	Arguments []string
	Cut       bool // there are more arguments than maxArguments bytes
	UID       uint32
	Started   time.Time
	Cgroup    string // in the unified hierarchy, or the first one without it
	Modules   []Module
	Left      int // modules beyond maxModules
}

// A Module is a file whose code a process has in its memory: the executable or a library.
type Module struct {
	Path    string
	Address uint64 // of its first executable part
}

// Limits of what is read of a process, which may have put anything there.
const (
	maxArguments = 4 << 10
	maxModules   = 500
	maxMaps      = 4 << 20 // bytes of /proc/PID/maps
)

// ErrEnded says that a process ended before it was read, or that another one has its number now.
var ErrEnded = errors.New("the process has ended")

// ReadDetail reads a process that was seen at a moment. One that began after it is another process,
// and the answer is ErrEnded, as for one that ends meanwhile. What the rights do not suffice for is
// empty.
func ReadDetail(pid int, seen time.Time) (Detail, error) { return readDetail("/proc", pid, seen) }

// clockSlack is by how much a process may seem to begin after it was seen: its start is given in
// ticks, and the clock of the day may have been slewed since.
const clockSlack = time.Second

func readDetail(proc string, pid int, seen time.Time) (Detail, error) {
	booted, err := bootTime()
	if err != nil {
		return Detail{}, err
	}
	folder := filepath.Join(proc, strconv.Itoa(pid))
	for range maxReadings {
		before, err := readStat(folder, booted)
		if err != nil || before.Started.After(seen.Add(clockSlack)) {
			return Detail{}, ErrEnded
		}
		d := Detail{PID: pid, Parent: before.parent, Name: before.Name, Started: before.Started}
		var stat unix.Stat_t
		if err := unix.Stat(folder, &stat); err != nil {
			return Detail{}, ErrEnded
		}
		d.UID = stat.Uid
		d.Exe, _ = os.Readlink(filepath.Join(folder, "exe"))
		d.Arguments, d.Cut = arguments(folder)
		d.Cgroup = cgroup(folder)
		d.Modules, d.Left = modules(folder)
		after, err := readStat(folder, booted)
		if err != nil || after.ticks != before.ticks {
			return Detail{}, ErrEnded
		}
		if exe, _ := os.Readlink(filepath.Join(folder, "exe")); exe == d.Exe {
			return d, nil
		}
	}
	return Detail{}, ErrEnded
}

// maxReadings is how often a process is read that becomes another program meanwhile (execve(2)).
const maxReadings = 3

// A statLine is what /proc/PID/stat says.
type statLine struct {
	Process
	parent int
	ticks  string // since the boot, at the start
}

func readStat(folder string, booted time.Time) (s statLine, err error) {
	text, err := os.ReadFile(filepath.Join(folder, "stat"))
	if err != nil {
		return s, err
	}
	var ok bool
	if s.Process, ok = parse(text, booted); !ok {
		return s, ErrEnded
	}
	rest := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	s.ticks = rest[19]
	s.parent, err = strconv.Atoi(rest[1])
	return s, err
}

// arguments returns the words of the command line, which the process may have overwritten.
func arguments(folder string) (words []string, cut bool) {
	text := readMost(filepath.Join(folder, "cmdline"), maxArguments+1)
	if cut = len(text) > maxArguments; cut {
		text = text[:maxArguments]
	}
	text = bytes.TrimRight(text, "\x00")
	if len(text) == 0 {
		return nil, cut
	}
	return strings.Split(string(text), "\x00"), cut
}

// cgroup returns the path of the process in the unified hierarchy (cgroups(7)).
func cgroup(folder string) (path string) {
	for line := range strings.Lines(string(readMost(filepath.Join(folder, "cgroup"), 64<<10))) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(fields) != 3 {
			continue
		}
		if fields[0] == "0" {
			return fields[2]
		}
		if path == "" {
			path = fields[2]
		}
	}
	return path
}

// modules returns the files whose code is in memory, in the order of their addresses.
func modules(folder string) (list []Module, left int) {
	seen := map[string]bool{}
	for line := range bytes.Lines(readMost(filepath.Join(folder, "maps"), maxMaps)) {
		m, ok := parseMapping(bytes.TrimSuffix(line, []byte("\n")))
		if !ok || seen[m.Path] {
			continue
		}
		if seen[m.Path] = true; len(list) == maxModules {
			left++
			continue
		}
		list = append(list, m)
	}
	return list, left
}

// parseMapping parses a line of /proc/PID/maps (proc_pid_maps(5)). It is false for memory that is
// not the code of a file. The kernel writes a newline in a path as \012.
func parseMapping(line []byte) (m Module, ok bool) {
	addresses, rest, _ := bytes.Cut(line, []byte(" "))
	rights, rest, _ := bytes.Cut(rest, []byte(" "))
	if len(rights) < 3 || rights[2] != 'x' {
		return m, false
	}
	_, rest, _ = bytes.Cut(rest, []byte(" ")) // offset
	_, rest, _ = bytes.Cut(rest, []byte(" ")) // device
	inode, rest, _ := bytes.Cut(rest, []byte(" "))
	path := bytes.TrimLeft(rest, " ")
	if string(inode) == "0" || len(path) == 0 || path[0] != '/' {
		return m, false
	}
	begin, _, _ := bytes.Cut(addresses, []byte("-"))
	address, err := strconv.ParseUint(string(begin), 16, 64)
	return Module{Path: string(path), Address: address}, err == nil
}

// readMost returns at most most bytes of a file, none if it cannot be read.
func readMost(path string, most int) []byte {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	text := make([]byte, 0, 4<<10)
	for len(text) < most {
		if len(text) == cap(text) {
			text = append(text, 0)[:len(text)]
		}
		n, err := f.Read(text[len(text):min(cap(text), most)])
		text = text[:len(text)+n]
		if err != nil {
			break
		}
	}
	return text
}
