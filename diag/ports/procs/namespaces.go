package procs

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// initialPIDNS is the inode of the initial pid namespace (include/linux/proc_ns.h).
const initialPIDNS = 0xeffffffc

// PIDNamespace returns the inode of the appliance's pid namespace, or 0 for the initial one.
func PIDNamespace() uint32 {
	var s unix.Stat_t
	if unix.Stat("/proc/self/ns/pid", &s) != nil || s.Ino == initialPIDNS {
		return 0
	}
	return uint32(s.Ino)
}

// NetNS returns the inode of the appliance's network namespace.
func NetNS() (uint64, error) {
	var s unix.Stat_t
	if err := unix.Stat("/proc/self/ns/net", &s); err != nil {
		return 0, fmt.Errorf("which network namespace this is: %w", err)
	}
	return s.Ino, nil
}
