// Package spawn starts the processes that do the appliance's work with fewer rights than it has:
// the sessions of logins.
//
// Everything here needs those rights: users of their own for processes, their terminals, signals to
// other users' processes. What is started has none of them, and nothing of the appliance but the
// descriptors that it is given.
package spawn

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"diagsh/internal/access"
)

// Options say what to start.
type Options struct {
	Command []string      // of a session process; empty: this program with the argument "session"
	Grace   time.Duration // from hanging up to the kill of a process that does not mind; 0: 2 s
}

// A Spawner starts session processes.
type Spawner struct {
	command []string
	grace   time.Duration
	users   *userPool // nil when the appliance does not run as root: session processes then have its own user
}

// New returns a spawner. It keeps the descriptors that this process inherited from every process
// that it starts.
func New(o Options) (*Spawner, error) {
	// An ignored signal stays ignored in what is started, a caught one does not (execve(2)). So
	// what an appliance under nohup(1) starts can still be hung up.
	if signal.Ignored(unix.SIGHUP) {
		signal.Notify(make(chan os.Signal, 1), unix.SIGHUP)
	}
	if err := keepInherited(); err != nil {
		return nil, err
	}
	s := &Spawner{command: o.Command, grace: o.Grace}
	if len(s.command) == 0 {
		// The running program itself, even if its file has been replaced or lies in a folder that
		// the session's user cannot enter.
		s.command = []string{"/proc/self/exe", "session"}
	}
	if s.grace == 0 {
		s.grace = 2 * time.Second
	}
	if os.Geteuid() == 0 {
		s.users = newUserPool(FirstUser, LastUser)
	}
	return s, nil
}

// Start starts a session process with the connection as its descriptor 3. The caller closes the
// connection.
func (s *Spawner) Start(program access.Program, connection *os.File) (*Process, error) {
	if err := program.Check(); err != nil {
		return nil, fmt.Errorf("a session process: %w", err)
	}
	cmd := s.session(program)
	cmd.ExtraFiles = []*os.File{connection}
	p := &Process{cmd: cmd, spawner: s}
	if s.users != nil {
		user, err := s.users.take()
		if err != nil {
			return nil, err
		}
		p.user = user
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(user), Gid: uint32(user)} // and no other groups
	}
	theirs, err := p.open(program.Terminal)
	if err == nil {
		cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs[0], theirs[1], theirs[2]
		err = startConfined(cmd)
	}
	closeAll(theirs[:]...)
	if err != nil {
		p.CloseFiles()
		p.giveUser()
		return nil, err
	}
	return p, nil
}

// session returns the session process without its user and its ends. The line of an exec request is
// in the environment, which only the process's own user can read, and not in its arguments, which
// everybody can.
func (s *Spawner) session(program access.Program) *exec.Cmd {
	env := []string{"GOMAXPROCS=1", "GOMEMLIMIT=32MiB"}
	for name, value := range program.Environment {
		env = append(env, name+"="+value)
	}
	if program.Kind == "exec" {
		env = append(env, "SSH_ORIGINAL_COMMAND="+string(program.Line))
	}
	return &exec.Cmd{
		Path:        s.command[0],
		Args:        append([]string{"diagsh"}, s.command[1:]...),
		Env:         env,
		Dir:         "/",
		SysProcAttr: &syscall.SysProcAttr{Setsid: true, Setctty: program.Terminal != nil}, // descriptor 0
	}
}
