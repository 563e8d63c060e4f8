// Package system reports how long this host has been up and how busy it is.
package system

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Info describes the host at one moment.
type Info struct {
	Up time.Duration
	// means of 1, 5 and 15 minutes: processes that run or wait for a processor or a disk
	Load       [3]float64
	Processors int // that this process may use
	Memory     uint64
	Available  uint64 // memory that can be used without swapping; 0 if the kernel does not say
}

// Read asks the kernel: sysinfo(2), and proc_meminfo(5) for the rest.
func Read() (Info, error) {
	var s unix.Sysinfo_t
	if err := unix.Sysinfo(&s); err != nil {
		return Info{}, err
	}
	i := Info{Up: time.Duration(s.Uptime) * time.Second, Memory: uint64(s.Totalram) * uint64(s.Unit),
		Available: available()}
	for n := range i.Load {
		i.Load[n] = float64(s.Loads[n]) / (1 << 16) // SI_LOAD_SHIFT in linux/sysinfo.h
	}
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) == nil {
		i.Processors = set.Count()
	}
	return i, nil
}

func available() uint64 {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "MemAvailable:"); ok {
			n, _ := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return n << 10
		}
	}
	return 0
}
