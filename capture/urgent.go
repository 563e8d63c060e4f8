package capture

import "golang.org/x/sys/unix"

// urgent is the nice value of a thread that moves packets: whatever else the machine does,
// its turn comes before the ring is full. It needs no more time for that.
const urgent = -10

// Urge makes the calling thread an urgent one. That takes the capability CAP_SYS_NICE, or a
// limit RLIMIT_NICE of 30 (setpriority(2), of a thread).
func Urge() error { return unix.Setpriority(unix.PRIO_PROCESS, 0, urgent) }
