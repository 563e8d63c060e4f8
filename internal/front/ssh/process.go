package ssh

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// attachTime bounds how long a new session waits for the appliance.
const attachTime = 10 * time.Second

// pumpBuffer is how much of a program's output is on its way at a time; a client that reads slowly makes the program wait.
const pumpBuffer = 32 << 10

// A process is a running session process: leader of a session (setsid(2)) and process group of its own.
type process struct {
	cmd    *exec.Cmd
	output *os.File // our end of it

	mu     sync.Mutex
	reaped bool // its number may belong to somebody else by now
}

// runProcess runs a session process on the channel until it has ended and all its output is delivered.
func (s *session) runProcess(kind, line string) exit {
	defer s.client.work()()
	ctx, cancel := context.WithTimeout(s.ctx, attachTime)
	defer cancel()
	connection, err := s.client.server.frontEnd.Attach(ctx, s.client.login.ID, kind)
	if err != nil {
		return s.fail(err)
	}
	defer connection.Close()
	cmd := s.command(kind, line)
	cmd.ExtraFiles = []*os.File{connection} // descriptor 3

	if users := s.client.server.users; users != nil {
		user, err := users.take()
		if err != nil {
			return s.fail(err)
		}
		defer users.give(user)
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(user), Gid: uint32(user)} // and no other groups
		if s.terminal != nil {
			if err := s.terminal.giveTo(user); err != nil {
				return s.fail(err)
			}
		}
	}
	var ends stdio
	if s.terminal != nil {
		ends = terminalIO(s.terminal, cmd)
	} else if ends, err = pipeIO(cmd); err != nil {
		return s.fail(err)
	}
	defer ends.close()
	err = startConfined(cmd)
	ends.closeTheirs()
	connection.Close()
	if err != nil {
		return s.fail(err)
	}
	p := &process{cmd: cmd, output: ends.output}
	s.mu.Lock()
	s.process = p
	s.mu.Unlock()

	unhook := context.AfterFunc(s.ctx, func() { p.hangUp(ends, s.client.server.limits.Grace) })
	defer unhook()
	ends.pump(s.channel, s.client.present, s.cancel)
	state, err := p.wait()
	if err != nil {
		return s.fail(err)
	}
	return exitOf(state)
}

// command is the session process without its user and its ends. The line of an exec request is in the environment, which only the
// process's own user can read, and not in its arguments, which everybody can.
func (s *session) command(kind, line string) *exec.Cmd {
	path, args := s.client.server.command[0], s.client.server.command[1:]
	env := append(s.environment.list(), "GOMAXPROCS=1", "GOMEMLIMIT=32MiB")
	if kind == "exec" {
		env = append(env, "SSH_ORIGINAL_COMMAND="+line)
	}
	return &exec.Cmd{
		Path:        path,
		Args:        append([]string{"diagsh"}, args...),
		Env:         env,
		Dir:         "/",
		SysProcAttr: &syscall.SysProcAttr{Setsid: true, Setctty: s.terminal != nil}, // descriptor 0
	}
}

// keepInherited keeps to this process what whoever started it left open (a lock of a script, a pipe of make): Go closes at exec what
// it opened itself, but such a descriptor would go on to every session process.
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

// startConfined starts a process that cannot gain what it does not have: no_new_privs, and no ambient capabilities where the
// appliance runs with some as an ordinary user (capabilities(7)). Both belong to the thread that forks and are inherited. So it
// is a thread of its own, which ends with this goroutine because that never unlocks it.
//
// For the same reason there is no Pdeathsig: it would fire when this thread ends. A session process whose appliance has died
// notices by its terminal and its connection, both of which close.
func startConfined(cmd *exec.Cmd) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
		if err == nil {
			err = unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
		}
		if err == nil {
			err = cmd.Start()
		}
		started <- err
	}()
	return <-started
}

// wait returns how the process ended. What it may have left behind in its group is killed before its number can be given to
// somebody else: while it is not reaped, the number is its own.
func (p *process) wait() (*os.ProcessState, error) {
	var err error = unix.EINTR
	for errors.Is(err, unix.EINTR) {
		err = unix.Waitid(unix.P_PID, p.cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
	}
	p.signalGroup(unix.SIGKILL)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reaped = true
	p.cmd.Wait() // an exit status is no failure; one without state is
	if p.cmd.ProcessState == nil {
		return nil, errors.Join(errors.New("the session process was lost"), err)
	}
	return p.cmd.ProcessState, nil
}

func (p *process) signal(sig syscall.Signal) error { return p.cmd.Process.Signal(sig) }

func (p *process) signalGroup(sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		unix.Kill(-p.cmd.Process.Pid, sig)
	}
}

// hangUp ends the process as a telephone line does: its terminal goes away. One that does not mind is killed after a while. A pipe's
// input does not end before the process: it would look as if the client had said all that it had to say.
func (p *process) hangUp(ends stdio, grace time.Duration) {
	p.signalGroup(unix.SIGHUP)
	ends.output.Close()
	if ends.errors != nil {
		ends.errors.Close()
	}
	time.AfterFunc(grace, func() { p.signalGroup(unix.SIGKILL) })
}

// stdio is what a process has for descriptors 0 to 2: their ends, which it inherits, and ours.
type stdio struct {
	theirs []*os.File
	input  *os.File // what the client types goes here
	output *os.File
	errors *os.File // nil on a terminal, which shows both on one screen
}

func terminalIO(t *terminal, cmd *exec.Cmd) stdio {
	slave := t.takeSlave()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	return stdio{theirs: []*os.File{slave}, input: t.master, output: t.master}
}

func pipeIO(cmd *exec.Cmd) (stdio, error) {
	var files [6]*os.File
	for i := 0; i < len(files); i += 2 {
		var err error
		if files[i], files[i+1], err = os.Pipe(); err != nil {
			for _, f := range files[:i] {
				f.Close()
			}
			return stdio{}, err
		}
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = files[0], files[3], files[5]
	return stdio{
		theirs: []*os.File{files[0], files[3], files[5]},
		input:  files[1],
		output: files[2],
		errors: files[4],
	}, nil
}

func (e stdio) closeTheirs() {
	for _, f := range e.theirs {
		f.Close()
	}
}

func (e stdio) closeOurs() {
	for _, f := range []*os.File{e.input, e.output, e.errors} {
		if f != nil {
			f.Close()
		}
	}
}

func (e stdio) close() {
	e.closeTheirs()
	e.closeOurs()
}

// pump carries bytes both ways until the process has closed its output; then every byte of it has been handed to the connection.
// lost is called when the client takes no more, or is no longer present.
func (e stdio) pump(channel ssh.Channel, present func() bool, lost func()) {
	go func() {
		io.Copy(e.input, channel)
		if e.errors == nil {
			return // a terminal has no end of input
		}
		// The client has no more input (RFC 4254 section 5.3), or the connection is gone, which reads as the same: half a
		// configuration would pass for a whole one.
		if present() {
			e.input.Close()
		} else {
			lost()
		}
	}()
	var outputs sync.WaitGroup
	outputs.Go(func() { drain(channel, e.output, lost) })
	if e.errors != nil {
		outputs.Go(func() { drain(channel.Stderr(), e.errors, lost) })
	}
	outputs.Wait()
}

// drain copies until the last writer is gone, of which a terminal's master tells by EIO.
func drain(to io.Writer, from *os.File, lost func()) {
	buffer := make([]byte, pumpBuffer)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				lost()
				return
			}
		}
		if err != nil {
			return
		}
	}
}
