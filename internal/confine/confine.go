package confine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"

	"github.com/landlock-lsm/go-landlock/landlock"
	"golang.org/x/sys/unix"
)

// maxThreads bounds the threads of a session process: Go's runtime needs one or two a CPU that works, and one for each read that waits.
const maxThreads = 64

// Confine takes from this process everything that a session does not need. Called once, before the first byte from the user is read.
// What it keeps is its open descriptors: the terminal and the one connection to the appliance. ownUser says that no other process has this
// one's user.
//
//   - no new privileges (prctl(2)), no core dumps, not to be traced by processes of the same user
//   - limits on memory, file sizes and descriptors (setrlimit(2)), and on threads where the user is this session's alone, since those of
//     all processes of a user count (RLIMIT_NPROC)
//   - when memory runs out it goes before the appliance (proc_pid_oom_score_adj(5))
//   - Landlock (Linux 5.13; TCP since 6.7): no file but the terminal device, no TCP; where the kernel has less, less
//   - a filter on system calls (seccomp(2)): no socket of any kind, no program, no other process; allowedCalls is what it leaves
func Confine(ownUser bool) error {
	// A filter needs no_new_privs on the thread that installs it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no new privileges: %w", err)
	}
	// Before the next step: of a process that cannot be dumped these files are root's, as they are from its start if its program cannot be
	// read by its user.
	err := os.WriteFile("/proc/self/oom_score_adj", []byte("500"), 0)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("oom_score_adj: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("not dumpable: %w", err)
	}
	limits := map[int]uint64{
		unix.RLIMIT_CORE:   0,
		unix.RLIMIT_FSIZE:  0,
		unix.RLIMIT_NOFILE: 64,
		unix.RLIMIT_DATA:   512 << 20,
		unix.RLIMIT_NICE:   0, // the appliance may be urgent
	}
	if ownUser {
		limits[unix.RLIMIT_NPROC] = maxThreads
	}
	for resource, limit := range limits {
		if err := lower(resource, limit); err != nil {
			return err
		}
	}
	err = landlock.V6.BestEffort().Restrict(landlock.RWFiles("/dev/tty").WithIoctlDev())
	if err != nil {
		return fmt.Errorf("landlock: %w", err)
	}
	return filterCalls()
}

// lower sets a resource limit that is no higher than the present one.
func lower(resource int, limit uint64) error {
	var now unix.Rlimit
	if err := unix.Getrlimit(resource, &now); err != nil {
		return fmt.Errorf("resource limit %d: %w", resource, err)
	}
	limit = min(limit, now.Max)
	if err := unix.Setrlimit(resource, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
		return fmt.Errorf("resource limit %d: %w", resource, err)
	}
	return nil
}
