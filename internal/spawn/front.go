package spawn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// FrontUser is the user of the front where the appliance runs as root: just above those of
// sessions, and as these without an entry in passwd(5). The fronts of several appliances on one
// machine share it. Their confinement, and not their user, keeps them apart.
const FrontUser = 65520

// The front gets no more processors than frontProcessors, and memory up to a limit from which on it
// collects garbage at any price. What else bounds it is package confine's.
const (
	frontProcessors = 8
	frontMemory     = "GOMEMLIMIT=384MiB"
)

// How long the front is left out after it ended: at first not at all, then from firstPause twice as
// long each time that it lived for less than steadyLife, up to longestPause.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 30 * time.Second
	steadyLife   = time.Second
)

// stopTime is how long the front has to hang up its clients when the appliance stops.
const stopTime = 5 * time.Second

// A Listener is a socket on which the front accepts clients.
type Listener struct {
	Name string // how the front knows what to serve on it
	File *os.File
}

// FrontOptions say what to start and whom it talks to.
type FrontOptions struct {
	Command   []string // path and arguments; empty: this program with the argument "front"
	Listeners []Listener

	// Control makes the two ends of a control connection.
	Control func() (ours *net.UnixConn, theirs *os.File, err error)
	// Monitor returns what answers the next front.
	Monitor func() Monitor

	Log *slog.Logger
}

// A Monitor does for one front what that may have done.
type Monitor interface {
	// Answer answers on the control connection until that ends.
	Answer(context.Context, *net.UnixConn) error

	// Close ends what the front began. It returns when that has ended.
	Close()
}

// A Front keeps a process running that listens on the network: `diagsh front`, with the control
// connection as descriptor 3 and the listeners from 4 on, whose names are its arguments.
type Front struct {
	o      FrontOptions
	ctx    context.Context
	stop   context.CancelFunc
	ended  chan struct{} // closed when no front runs any more
	served sync.WaitGroup
}

// StartFront starts the front, and again whenever it ends, until Close.
func StartFront(o FrontOptions) *Front {
	if len(o.Command) == 0 {
		o.Command = []string{"/proc/self/exe", "front"}
	}
	f := &Front{o: o, ended: make(chan struct{})}
	f.ctx, f.stop = context.WithCancel(context.Background())
	if os.Geteuid() != 0 {
		o.Log.Warn("the appliance is not root: what listens on the network and sessions have its own user, and only Landlock and seccomp confine them")
	}
	go f.keep()
	return f
}

// Close ends the front in an orderly way, and returns when what it had begun has ended.
func (f *Front) Close() {
	f.stop()
	<-f.ended
	f.served.Wait()
}

// keep runs one front after the other.
func (f *Front) keep() {
	defer close(f.ended)
	var pause time.Duration
	for {
		began := time.Now()
		err := f.run()
		if f.ctx.Err() != nil {
			return
		}
		if time.Since(began) >= steadyLife {
			pause = 0
		}
		f.o.Log.Error("what listens on the network ended; it is started again", "error", err, "pause", pause)
		select {
		case <-f.ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(max(2*pause, firstPause), longestPause)
	}
}

// run runs a front until it ends or the appliance stops, and returns how it ended.
func (f *Front) run() error {
	control, theirs, err := f.o.Control()
	if err != nil {
		return err
	}
	said, says, err := os.Pipe()
	if err != nil {
		control.Close()
		theirs.Close()
		return err
	}
	cmd := f.command(theirs, says)
	err = startConfined(cmd)
	closeAll(theirs, says)
	if err != nil {
		closeAll(said)
		control.Close()
		return err
	}
	f.served.Go(func() {
		monitor := f.o.Monitor()
		monitor.Answer(context.Background(), control)
		cmd.Process.Kill() // one that closed its control connection is of no use
		control.Close()
		monitor.Close()
	})
	f.served.Go(func() {
		defer said.Close()
		(&retold{log: f.o.Log}).all(said)
	})
	unhook := context.AfterFunc(f.ctx, func() {
		cmd.Process.Signal(unix.SIGTERM)
		time.AfterFunc(stopTime, func() { cmd.Process.Kill() })
	})
	defer unhook()
	err = cmd.Wait()
	if err == nil {
		err = errors.New("it ended by itself")
	}
	return err
}

func (f *Front) command(control, says *os.File) *exec.Cmd {
	processors := min(runtime.NumCPU(), frontProcessors)
	cmd := &exec.Cmd{
		Path:       f.o.Command[0],
		Args:       append([]string{"diagsh"}, f.o.Command[1:]...),
		Env:        []string{"GOMAXPROCS=" + strconv.Itoa(processors), frontMemory},
		Dir:        "/",
		Stderr:     says,
		ExtraFiles: []*os.File{control},
		// A process group, so that Ctrl-C on the appliance's terminal is not for it. No session:
		// that would have a share of the processor of its own, and its niceness would count nothing
		// (sched(7), autogroup).
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true},
	}
	for _, l := range f.o.Listeners {
		cmd.Args = append(cmd.Args, l.Name)
		cmd.ExtraFiles = append(cmd.ExtraFiles, l.File)
	}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: FrontUser, Gid: FrontUser} // and no other groups
	}
	return cmd
}

// ListenerOf returns a TCP listener in the form that is handed to the front. The listener itself
// can be closed then.
func ListenerOf(name string, l *net.TCPListener) (Listener, error) {
	f, err := l.File()
	if err != nil {
		return Listener{}, fmt.Errorf("the listener %s: %w", name, err)
	}
	return Listener{name, f}, nil
}
