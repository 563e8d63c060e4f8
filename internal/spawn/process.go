package spawn

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"diagsh/internal/access"
)

// A Process is a running session process: leader of a session (setsid(2)) and of a process group of
// its own.
type Process struct {
	cmd     *exec.Cmd
	spawner *Spawner
	user    int        // its own; 0: that of the appliance
	files   []*os.File // the other ends of its descriptors 0 to 2

	mu     sync.Mutex
	reaped bool // its number may be another process's by now
}

// Files returns the other ends of the process's descriptors: the master of its terminal, or its
// input, output and errors. They do not block, and are for the process that serves the client.
func (p *Process) Files() []*os.File { return p.files }

// CloseFiles closes the other ends in this process. As long as it has them open, the end of the
// others' is not seen.
func (p *Process) CloseFiles() {
	closeAll(p.files...)
	p.files = nil
}

// open makes the process's descriptors 0 to 2, which it returns, and their other ends.
func (p *Process) open(wanted *access.Terminal) (theirs [3]*os.File, err error) {
	if wanted != nil {
		t, err := openTerminal(*wanted)
		if err != nil {
			return theirs, err
		}
		p.files = []*os.File{t.master}
		theirs = [3]*os.File{t.slave, t.slave, t.slave}
		if p.user != 0 {
			err = t.giveTo(p.user)
		}
		return theirs, err
	}
	for i := range theirs {
		ours := 0 // which end of the pipe is the other one
		if i == 0 {
			ours = 1
		}
		var ends [2]int
		if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
			return theirs, os.NewSyscallError("pipe2", err)
		}
		// Before NewFile, which looks whether it can poll the descriptor.
		err := unix.SetNonblock(ends[ours], true)
		theirs[i] = os.NewFile(uintptr(ends[1-ours]), "pipe")
		p.files = append(p.files, os.NewFile(uintptr(ends[ours]), "pipe"))
		if err != nil {
			return theirs, os.NewSyscallError("fcntl", err)
		}
	}
	return theirs, nil
}

var signals = map[string]syscall.Signal{
	access.SignalInterrupt: unix.SIGINT,
	access.SignalTerminate: unix.SIGTERM,
	access.SignalHangUp:    unix.SIGHUP,
	access.SignalKill:      unix.SIGKILL,
}

// Signal sends the process a signal by its name without SIG.
func (p *Process) Signal(name string) error {
	sig, ok := signals[name]
	if !ok {
		return errors.New("no signal for session processes")
	}
	return p.cmd.Process.Signal(sig)
}

// HangUp ends the process by SIGHUP, and by SIGKILL after the grace. The holder of its other ends
// closes them.
func (p *Process) HangUp() {
	p.signalGroup(unix.SIGHUP)
	time.AfterFunc(p.spawner.grace, func() { p.signalGroup(unix.SIGKILL) })
}

// Wait waits for the end of the process and returns how it ended. Called once. What it may have
// left in its group is killed while its number is still its own: before it is reaped.
func (p *Process) Wait() (access.Ended, error) {
	err := awaitEnd(p.cmd.Process.Pid)
	p.signalGroup(unix.SIGKILL)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reaped = true
	p.cmd.Wait() // an exit status is no failure; one without state is
	p.giveUser()
	if p.cmd.ProcessState == nil {
		return access.Ended{}, errors.Join(errors.New("the session process was lost"), err)
	}
	status := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return access.Ended{Signal: strings.TrimPrefix(unix.SignalName(status.Signal()), "SIG")}, nil
	}
	return access.Ended{Status: uint32(status.ExitStatus())}, nil
}

// awaitEnd waits until a child has ended, and leaves it to be reaped. Where the kernel has no
// pidfd_open(2), which came with Linux 5.3, this takes a thread as long as the child runs.
func awaitEnd(pid int) error {
	if err := pollEnd(pid); err == nil {
		return nil
	}
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// pollEnd waits for the end of a child in Go's network poller.
func pollEnd(pid int) error {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), "process")
	defer f.Close()
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Read(func(fd uintptr) bool {
		n, _ := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		return n > 0
	})
}

func (p *Process) signalGroup(sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		unix.Kill(-p.cmd.Process.Pid, sig)
	}
}

func (p *Process) giveUser() {
	if p.user != 0 {
		p.spawner.users.give(p.user)
	}
}
