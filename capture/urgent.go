package capture

import "golang.org/x/sys/unix"

// urgent is the nice value of a thread that moves packets. With it the thread runs before the ring
// is full, whatever else the machine does. It does not take more processor time for that.
const urgent = -10

// Urge sets the nice value of the calling thread to urgent. The process needs the capability
// CAP_SYS_NICE or an RLIMIT_NICE of 30 (setpriority(2); on Linux the value belongs to a thread).
func Urge() error { return unix.Setpriority(unix.PRIO_PROCESS, 0, urgent) }
