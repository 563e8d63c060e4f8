package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The sockets of the measurement: pairs of connected TCP sockets on the loopback interface of a
// namespace, held by several processes.
const (
	socketCount   = 72_000
	socketHolders = 6
)

// holdWord is the argument that makes this program a holder of connections: bench hold-sockets N.
const holdWord = "hold-sockets"

// sockets compares netstat with ss over the same sockets: numeric, and with the process of each.
// The two programs run in turn, many times.
func sockets(ctx context.Context, b *bed) ([]figure, error) {
	ns, err := newNamespace()
	if err != nil {
		return nil, err
	}
	defer ns.close()
	appliance, socket, err := b.applianceIn(ctx, ns)
	if err != nil {
		return nil, err
	}
	defer appliance.stop()
	for range socketHolders {
		holder, err := ns.hold(ctx, socketCount/socketHolders/2)
		if err != nil {
			return nil, err
		}
		defer holder.stop()
	}
	if err := forgetHighWater(appliance.cmd.Process.Pid); err != nil {
		return nil, err
	}
	before, err := highWater(appliance.cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	var figures []figure
	for _, c := range []struct {
		what, line string
		ss         []string
		share      float64
	}{
		{"netstat sockets, numeric", "netstat sockets numeric yes", []string{"-tan"}, 0.5},
		{"netstat sockets, with processes", "netstat sockets numeric yes processes yes", []string{"-tanp"}, 0.25},
		{"netstat sockets as JSON", "netstat sockets numeric yes --json", []string{"-tan"}, 0},
		{"netstat sockets, filtered: state LISTEN", "netstat sockets numeric yes state LISTEN", []string{"-tln"}, 0},
	} {
		ours, theirs, err := ns.beside(ctx, b.often(15), []string{b.binary, "--socket", socket, "-c", c.line},
			append([]string{"ss"}, c.ss...))
		if err != nil {
			return nil, err
		}
		f := figure{what: fmt.Sprintf("%s, %d sockets (ss %s)", c.what, socketCount, c.ss[0]), ours: spread(ours),
			peer: spread(theirs)}
		if c.share > 0 {
			share := float64(median(ours)) / float64(median(theirs))
			f.goal, f.met = fmt.Sprintf("<= %.2f of ss (%.2f)", c.share, share), share <= c.share
		}
		figures = append(figures, f)
	}
	after, err := highWater(appliance.cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	figures = append(figures,
		figure{what: "memory that the appliance needed more at its highest",
			ours: fmt.Sprintf("%d MiB", (after-before)>>10), peer: "-", goal: "<= 64 MiB", met: after-before <= 64<<10})
	return figures, nil
}

// beside times our command and the peer's in turn. It fails if the peer prints more lines than we
// do.
func (n *namespace) beside(
	ctx context.Context, times int, our, their []string,
) (ours, theirs []time.Duration, err error) {
	for range times {
		d, lines, err := n.time(exec.CommandContext(ctx, our[0], our[1:]...))
		if err != nil {
			return nil, nil, err
		}
		p, peerLines, err := n.time(exec.CommandContext(ctx, their[0], their[1:]...))
		if err != nil {
			return nil, nil, err
		}
		if lines < peerLines {
			return nil, nil, fmt.Errorf("%s: %d lines, %s has %d", strings.Join(our, " "), lines, their[0], peerLines)
		}
		ours, theirs = append(ours, d), append(theirs, p)
	}
	return ours, theirs, nil
}

// applianceIn starts an appliance whose sockets are those of a namespace.
func (b *bed) applianceIn(ctx context.Context, ns *namespace) (*server, string, error) {
	data := b.path("sockets")
	socket := filepath.Join(data, "api.sock")
	cmd := exec.CommandContext(ctx, b.binary, "serve", "--data", data, "--ssh", "127.0.0.1:0", "--https", "off", "--log",
		b.path("sockets-log"))
	output, err := cmd.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	if err := ns.start(cmd); err != nil {
		return nil, "", err
	}
	s := &server{cmd: cmd}
	for lines := bufio.NewScanner(output); lines.Scan(); {
		if announcedPort.MatchString(lines.Text()) {
			go io.Copy(io.Discard, output)
			return s, socket, nil
		}
	}
	s.stop()
	return nil, "", errors.New("the appliance did not start")
}

// forgetHighWater resets the peak memory of a process to its present memory (clear_refs in
// proc(5)).
func forgetHighWater(pid int) error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
}

// highWater returns the peak memory of a process in KiB (VmHWM in proc(5)).
func highWater(pid int) (int, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	if m == nil {
		return 0, errors.New("/proc/PID/status has no VmHWM")
	}
	return strconv.Atoi(string(m[1]))
}

// A namespace is a network of its own. A thread that stays in it starts the programs there.
type namespace struct {
	work chan func()
}

func newNamespace() (*namespace, error) {
	ns := &namespace{work: make(chan func())}
	made := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			var lo netlink.Link
			if lo, err = netlink.LinkByName("lo"); err == nil {
				err = netlink.LinkSetUp(lo)
			}
		}
		made <- err
		for f := range ns.work {
			f()
		}
	}()
	return ns, <-made
}

func (ns *namespace) close() { close(ns.work) }

func (ns *namespace) start(cmd *exec.Cmd) error {
	started := make(chan error)
	ns.work <- func() { started <- cmd.Start() }
	return <-started
}

// time runs a program in the namespace and returns how long it took and how many lines it wrote.
// The lines go to a file in memory and are counted afterwards: a reader that runs meanwhile would
// take a part of the two cores that the program and the appliance use.
func (ns *namespace) time(cmd *exec.Cmd) (time.Duration, int, error) {
	fd, err := unix.MemfdCreate("lines", unix.MFD_CLOEXEC)
	if err != nil {
		return 0, 0, err
	}
	out := os.NewFile(uintptr(fd), "lines")
	defer out.Close()
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = out, &said
	began := time.Now()
	if err := ns.start(cmd); err != nil {
		return 0, 0, err
	}
	err = cmd.Wait()
	d := time.Since(began)
	if err != nil {
		return 0, 0, fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, said.String())
	}
	text, err := io.ReadAll(io.NewSectionReader(out, 0, 1<<40))
	return d, bytes.Count(text, []byte("\n")), err
}

// hold starts a process with that many connections in the namespace, and returns when all are open.
func (ns *namespace) hold(ctx context.Context, connections int) (*server, error) {
	cmd := exec.CommandContext(ctx, "/proc/self/exe", holdWord, strconv.Itoa(connections))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := ns.start(cmd); err != nil {
		return nil, err
	}
	s := &server{cmd: cmd}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		s.stop()
		return nil, fmt.Errorf("the holder did not open its %d connections", connections)
	}
	return s, nil
}

// holdSockets is the main function of the process that hold starts. It opens count connections,
// says so, and holds them until SIGTERM.
func holdSockets(count string) error {
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	limit := unix.Rlimit{Cur: uint64(2*n + 100), Max: uint64(2*n + 100)}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	// There is no keep-alive: the probes of so many connections at once would overflow the loopback
	// interface, and connections would break.
	listen, dialer := net.ListenConfig{KeepAlive: -1}, net.Dialer{KeepAlive: -1}
	l, err := listen.Listen(context.Background(), "tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	var held []net.Conn
	for range n {
		c, err := dialer.Dial("tcp4", l.Addr().String())
		if err != nil {
			return err
		}
		a, err := l.Accept()
		if err != nil {
			return err
		}
		held = append(held, c, a)
	}
	fmt.Println("ready")
	end := make(chan os.Signal, 1)
	signal.Notify(end, unix.SIGTERM)
	<-end
	runtime.KeepAlive(held)
	return nil
}
