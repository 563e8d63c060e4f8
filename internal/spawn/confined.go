package spawn

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// keepInherited marks the descriptors that this process inherited as close-on-exec, such as a lock
// of a script or a pipe of make. Go closes at exec what it opened itself, but these would be passed
// to every process that is started here.
func keepInherited() error {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
	return nil
}

// startConfined starts a process that cannot gain what it does not have. It gets no_new_privs, and
// no ambient or inheritable capabilities where the appliance has some as an ordinary user
// (capabilities(7)). All belong to the thread that forks, and are inherited. The thread ends with
// its goroutine, because that never unlocks it.
//
// For the same reason there is no Pdeathsig: it would fire when this thread ends. A process whose
// appliance has died notices by its connection, which closes.
func startConfined(cmd *exec.Cmd) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
		if err == nil {
			err = unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
		}
		if err == nil {
			err = inheritNothing()
		}
		if err == nil {
			err = cmd.Start()
		}
		started <- err
	}()
	return <-started
}

// inheritNothing empties the calling thread's set of inheritable capabilities.
func inheritNothing() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return err
	}
	data[0].Inheritable, data[1].Inheritable = 0, 0
	return unix.Capset(&header, &data[0])
}

func closeAll(files ...*os.File) {
	for _, f := range files {
		if f != nil {
			f.Close()
		}
	}
}
