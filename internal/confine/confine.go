// Package confine takes from a process what it does not need: from a session process, and from the
// front, which faces the network.
//
// What a process keeps is its open descriptors. The kernel refuses the rest, whatever code runs in
// the process then.
package confine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strconv"

	"github.com/landlock-lsm/go-landlock/landlock"
	"golang.org/x/sys/unix"
)

// A profile is what processes of one kind keep.
type profile struct {
	files    []landlock.Rule // that they may open
	niceness int
	limits   map[int]uint64 // setrlimit(2)
	threads  uint64         // where the user is theirs alone, since those of all processes of a user count (RLIMIT_NPROC)
	calls    []uint32       // system calls, whatever their arguments
	some     func() []conditionalCall
}

// Session confines this process as that of a login. Call it once, before the first byte from the
// user is read. ownUser says that no other process has this one's user.
func Session(ownUser bool) error { return session.confine(ownUser) }

// Front confines this process as the one that faces the network. Call it once, before the first
// connection is accepted. ownUser says that only fronts have this one's user.
func Front(ownUser bool) error { return front.confine(ownUser) }

// session keeps the terminal. Go's runtime needs one or two threads a CPU that works, and one for
// each read that waits.
var session = profile{
	files:   []landlock.Rule{landlock.RWFiles("/dev/tty").WithIoctlDev()},
	limits:  map[int]uint64{unix.RLIMIT_NOFILE: 64, unix.RLIMIT_DATA: 512 << 20},
	threads: 64,
	calls:   sessionCalls,
	some:    sessionConditions,
}

// front keeps room for some thousand clients with four descriptors each. Its user is that of all
// fronts on the machine, so their threads count together. It does the work of strangers, so it gets
// the processor time that the appliance and the sessions leave.
var front = profile{
	niceness: 5,
	limits:   map[int]uint64{unix.RLIMIT_NOFILE: 16384, unix.RLIMIT_DATA: 1 << 30, unix.RLIMIT_MEMLOCK: 0},
	threads:  2048,
	calls:    frontCalls,
	some:     frontConditions,
}

// confine applies the profile:
//
//   - no new privileges (prctl(2)), no core dumps, not to be traced by processes of the same user
//   - limits on resources
//   - when memory runs out it goes before the appliance (proc_pid_oom_score_adj(5))
//   - Landlock (Linux 5.13; TCP since 6.7, signals since 6.12): its files, no TCP; where the kernel
//     has less, less
//   - a filter on system calls (seccomp(2))
func (p profile) confine(ownUser bool) error {
	// A filter needs no_new_privs on the thread that installs it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no new privileges: %w", err)
	}
	// Before the next step: of a process that cannot be dumped these files are root's, as they are
	// from its start if its program cannot be read by its user.
	err := os.WriteFile("/proc/self/oom_score_adj", []byte("500"), 0)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("oom_score_adj: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("not dumpable: %w", err)
	}
	if err := p.limit(ownUser); err != nil {
		return err
	}
	if p.niceness != 0 {
		if err := renice(p.niceness); err != nil {
			return fmt.Errorf("niceness: %w", err)
		}
	}
	if err := landlock.V6.BestEffort().Restrict(p.files...); err != nil {
		return fmt.Errorf("landlock: %w", err)
	}
	return filterCalls(p.filter())
}

func (p profile) limit(ownUser bool) error {
	limits := map[int]uint64{unix.RLIMIT_CORE: 0, unix.RLIMIT_FSIZE: 0, unix.RLIMIT_NICE: 0} // the appliance may be urgent
	if ownUser {
		limits[unix.RLIMIT_NPROC] = p.threads
	}
	for _, all := range []map[int]uint64{limits, p.limits} {
		for resource, limit := range all {
			if err := lower(resource, limit); err != nil {
				return err
			}
		}
	}
	return nil
}

// renice raises the niceness of every thread of this process to at least niceness: on Linux each
// has its own (setpriority(2)). Later ones inherit it. One that is higher stays, as where the
// appliance was started by nice(1): to lower it takes a privilege.
func renice(niceness int) error {
	done := map[string]bool{}
	for another := true; another; {
		another = false
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, t := range threads {
			if done[t.Name()] {
				continue
			}
			done[t.Name()], another = true, true
			tid, err := strconv.Atoi(t.Name())
			if err == nil {
				err = reniceThread(tid, niceness)
			}
			if err != nil && !errors.Is(err, unix.ESRCH) { // it has ended
				return err
			}
		}
	}
	return nil
}

func reniceThread(tid, niceness int) error {
	urgency, err := unix.Getpriority(unix.PRIO_PROCESS, tid) // 20 less the niceness, see getpriority(2)
	if err != nil || 20-urgency >= niceness {
		return err
	}
	return unix.Setpriority(unix.PRIO_PROCESS, tid, niceness)
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
