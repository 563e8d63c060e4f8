package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"diagsh/internal/test/portload/truth"
)

// An orchestra plays the classes, one after the other.
type orchestra struct {
	n       int
	rate    float64
	seconds float64
	truth   *os.File
	self    string // this program
	other   string // a copy of it
	network *network
	cgroup  string
	worked  time.Duration // processor time of workers that ended
	started int           // connections of the class that is paced
}

// A player is a process with a job.
type player struct {
	o    *orchestra
	name string
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
}

// A seat is where a player sits: its namespaces and the descriptors that it inherits.
type seat struct {
	netns   int
	ownPIDs bool
	files   []*os.File
}

func (o *orchestra) start(j job, s seat) (*player, error) {
	j.Other = o.other
	text, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	p := &player{o: o, name: j.Class + ", " + j.Role, cmd: exec.Command(o.self, "work", string(text))}
	p.cmd.Stderr = os.Stderr
	p.cmd.ExtraFiles = append([]*os.File{o.truth}, s.files...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if s.ownPIDs {
		p.cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWPID
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if s.netns != 0 {
		// Pdeathsig is of the thread that starts a process, and that of a namespace ends.
		p.cmd.SysProcAttr.Pdeathsig = 0
	}
	return p, o.network.inside(s.netns, p.cmd.Start)
}

// line reads a line of the player.
func (p *player) line() (string, error) {
	line, err := p.out.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("%s: no line came: %w", p.name, err)
	}
	return strings.TrimSuffix(line, "\n"), nil
}

// address reads where a player listens.
func (p *player) address() (netip.AddrPort, error) {
	line, err := p.line()
	if err != nil {
		return netip.AddrPort{}, err
	}
	return netip.ParseAddrPort(line)
}

// end closes the player's input and waits for its end.
func (p *player) end() error {
	p.in.Close()
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	p.o.worked += p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
	return nil
}

// pair plays a server and a client of it to their ends.
func (o *orchestra) pair(server job, at seat, client job, from seat) error {
	s, err := o.start(server, at)
	if err != nil {
		return err
	}
	if client.At, err = s.address(); err != nil {
		return err
	}
	c, err := o.start(client, from)
	if err != nil {
		return err
	}
	return errors.Join(c.end(), s.end())
}

func orchestrate(args []string) error {
	o := &orchestra{}
	flags := flag.NewFlagSet("load run", flag.ExitOnError)
	path := flags.String("truth", "", "where the truths are written to")
	classes := flags.String("classes", "", "a pattern: only these")
	flags.IntVar(&o.n, "n", 30, "sockets of each class")
	flags.Float64Var(&o.rate, "rate", 2000, "connections a second, of the class that is paced")
	flags.Float64Var(&o.seconds, "seconds", 2, "its time")
	left := flags.String("left", "", "the path of the left network namespace; empty: it makes one")
	right := flags.String("right", "", "the path of the right one")
	flags.Parse(args)
	wanted, err := regexp.Compile(*classes)
	if err != nil {
		return err
	}
	if o.truth, err = os.OpenFile(*path, os.O_CREATE|os.O_TRUNC|os.O_APPEND|os.O_WRONLY, 0o644); err != nil {
		return err
	}
	if o.self, err = os.Executable(); err != nil {
		return err
	}
	o.other = filepath.Join(filepath.Dir(*path), "other")
	if err := copyProgram(o.self, o.other); err != nil {
		return err
	}
	if o.network, err = newNetwork(*left, *right); err != nil {
		return err
	}
	if o.cgroup, err = newCgroup(); err != nil {
		return err
	}
	defer os.Remove(o.cgroup)
	return o.play(wanted)
}

func (o *orchestra) play(wanted *regexp.Regexp) error {
	var later func() error
	if wanted.MatchString("older than the log") {
		var err error
		if later, err = o.older("older than the log"); err != nil {
			return err
		}
	}
	fmt.Println("ready")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	if later != nil {
		if err := later(); err != nil {
			return err
		}
	}
	for _, c := range classes {
		if !wanted.MatchString(c.name) {
			continue
		}
		if err := c.play(o, c.name); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"connections": o.started, "cpuSeconds": o.worked.Seconds()})
}

func copyProgram(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, text, 0o755)
}

// tell notes what the orchestra itself did.
func (o *orchestra) tell(class, event string, at netip.AddrPort) error {
	var ns unix.Stat_t
	if err := unix.Stat("/proc/self/ns/net", &ns); err != nil {
		return err
	}
	return truth.Write(o.truth, truth.Truth{Class: class, Event: event, Time: time.Now(), PID: os.Getpid(), Exe: o.self,
		Process: "load", Protocol: "tcp", Local: at, NetNS: ns.Ino})
}
