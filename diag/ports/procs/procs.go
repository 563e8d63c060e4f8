// Package procs reads what /proc and the file system of cgroups say of a process, and believes it only of
// the process that is meant: its number may be another's by now.
package procs

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A Process is one as an event of the kernel has it.
type Process struct {
	PID    uint32
	Start  uint64 // since boot, in nanoseconds
	Inode  uint64 // of the file that it executes, which 0 is not known
	Device uint32 // of the file, as the kernel has it: 20 bits of minor number
}

// Executable returns the path of the file that the process executes, or nothing, if that is another
// process or another file by now.
func (p Process) Executable() string {
	path := p.folder() + "exe"
	exe, err := os.Readlink(path)
	if err != nil {
		return ""
	}
	var s unix.Stat_t
	if unix.Stat(path, &s) != nil || !p.lives() || p.Inode != 0 && s.Ino != p.Inode {
		return ""
	}
	if s.Nlink == 0 {
		exe = strings.TrimSuffix(exe, " (deleted)")
	}
	return exe
}

// Executed returns the path if it is that of the file which the process executes, else nothing.
func (p Process) Executed(path string) string {
	var s unix.Stat_t
	if unix.Stat(path, &s) != nil || s.Ino != p.Inode || unix.Major(s.Dev) != p.Device>>20 || unix.Minor(s.Dev) != p.Device&0xfffff {
		return ""
	}
	return path
}

// lives reports whether the process with that number now is this one: they start at the same time,
// which proc_pid_stat(5) has in ticks of 10 ms.
func (p Process) lives() bool {
	text, err := os.ReadFile(p.folder() + "stat")
	if err != nil {
		return false
	}
	_, tail, ok := bytes.Cut(text, []byte(") "))
	for {
		_, more, again := bytes.Cut(tail, []byte(") ")) // a name may have it too
		if !again {
			break
		}
		tail = more
	}
	fields := bytes.Fields(tail)
	if !ok || len(fields) < 20 {
		return false
	}
	ticks, err := strconv.ParseUint(string(fields[19]), 10, 64)
	return err == nil && ticks == p.Start/uint64(10*time.Millisecond)
}

func (p Process) folder() string { return "/proc/" + strconv.Itoa(int(p.PID)) + "/" }
