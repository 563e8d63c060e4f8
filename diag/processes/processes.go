// Package processes finds the processes of this host by their name, and reads what they are.
package processes

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A Process is a running process.
type Process struct {
	PID     int
	Name    string // as the process chose it (comm); any bytes but NUL
	State   byte   // R, S, D, Z ... as in proc_pid_stat(5)
	Started time.Time
	Memory  int64 // resident, in bytes
}

// List returns all processes. One that ends meanwhile is left out.
func List(ctx context.Context) ([]Process, error) { return list(ctx, "/proc") }

func list(ctx context.Context, proc string) ([]Process, error) {
	booted, err := bootTime()
	if err != nil {
		return nil, err
	}
	folder, err := os.Open(proc)
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	names, err := folder.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var all []Process
	for _, name := range names {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		text, err := os.ReadFile(filepath.Join(proc, name, "stat"))
		if err != nil {
			continue
		}
		if p, ok := parse(text, booted); ok && p.PID == pid {
			all = append(all, p)
		}
	}
	return all, nil
}

// ticks is USER_HZ, the unit of times for programs on every architecture that Go supports
// (time(7)).
const ticks = 100

// bootTime returns the moment at which CLOCK_BOOTTIME was 0. Start times of processes count from
// it.
func bootTime() (time.Time, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return time.Time{}, err
	}
	return time.Now().Add(-time.Duration(t.Nano())), nil
}

// parse parses /proc/PID/stat (proc_pid_stat(5)). The name is in brackets and may contain brackets
// itself, so it ends at the last one.
func parse(text []byte, booted time.Time) (p Process, ok bool) {
	open, closing := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if open < 1 || closing < open {
		return p, false
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text[:open])))
	rest := strings.Fields(string(text[closing+1:]))
	if err != nil || len(rest) < 22 || len(rest[0]) != 1 {
		return p, false
	}
	started, err := strconv.ParseInt(rest[19], 10, 64) // field 22
	if err != nil {
		return p, false
	}
	pages, err := strconv.ParseInt(rest[21], 10, 64) // field 24
	if err != nil {
		return p, false
	}
	return Process{PID: pid, Name: string(text[open+1 : closing]), State: rest[0][0],
			Started: booted.Add(time.Duration(started) * (time.Second / ticks)),
			Memory:  pages * int64(os.Getpagesize())},
		true
}
