package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"diagsh/internal/test/portload/truth"
)

// A job is what one process does. It is handed over as JSON.
type job struct {
	Role  string         `json:"role"`
	Class string         `json:"class"`
	At    netip.AddrPort `json:"at"`    // where to listen, or whom to talk to
	First int            `json:"first"` // index of the first socket
	N     int            `json:"n"`

	Multipath bool `json:"multipath,omitempty"`
	Mapped    bool `json:"mapped,omitempty"` // an IPv6 socket for an IPv4 address

	// What both ends do with a connection. Quiet: neither says anything, and the server, which
	// cannot know which it is, counts.
	Quiet       bool          `json:"quiet,omitempty"`
	ServerFirst bool          `json:"serverFirst,omitempty"` // the server closes first
	Life        time.Duration `json:"life,omitempty"`        // before the client says anything
	Unread      bool          `json:"unread,omitempty"`      // what is said is a file's: sendfile(2) sends it, splice(2) receives it

	// Of a server.
	NoAddress bool   `json:"noAddress,omitempty"` // accept4(2) gets no room for the address
	Ring      bool   `json:"ring,omitempty"`      // by io_uring(7), which is no system call of its own
	Serve     string `json:"serve,omitempty"`     // by "", the accepter; or fork, image, pass
	ReusePort bool   `json:"reusePort,omitempty"`
	Inherited bool   `json:"inherited,omitempty"` // it listens on descriptor 4

	// Of a client.
	PerSecond float64 `json:"perSecond,omitempty"` // 0: one after the other
	Threads   int     `json:"threads,omitempty"`
	Exit      bool    `json:"exit,omitempty"` // it ends instead of closing
	Image     bool    `json:"image,omitempty"`
	Pass      bool    `json:"pass,omitempty"`
	Wait      bool    `json:"wait,omitempty"`     // after it connected, for a line
	Once      bool    `json:"once,omitempty"`     // of UDP: sendto(2), without an answer
	FastOpen  bool    `json:"fastOpen,omitempty"` // sendto(2) connects
	Patient   bool    `json:"patient,omitempty"`  // the kernel may try for long to connect

	Other  string `json:"other,omitempty"` // the same program by another name
	Cgroup string `json:"cgroup,omitempty"`
}

// A worker does a job. Its truths are kept until it ends, and written to descriptor 3.
type worker struct {
	job
	pid   int
	name  string
	exe   string
	netns uint64
	in    *bufio.Reader
	ring  *ring

	mu     sync.Mutex
	truths []truth.Truth
}

// truthFile is the descriptor that the parent hands over; given is the next one.
const (
	truthFile = 3
	given     = 4
)

func work(j job) error {
	if j.Cgroup != "" {
		if err := os.WriteFile(filepath.Join(j.Cgroup, "cgroup.procs"), []byte("0"), 0); err != nil {
			return err
		}
	}
	w := &worker{job: j, in: bufio.NewReader(os.Stdin)}
	// Not getpid(2): in a pid namespace of its own the process has a number that others do not know.
	self, err := os.Readlink("/proc/self")
	if err != nil {
		return err
	}
	w.pid, err = strconv.Atoi(self)
	if err != nil {
		return err
	}
	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		return err
	}
	w.name = strings.TrimSuffix(string(comm), "\n")
	if w.exe, err = os.Readlink("/proc/self/exe"); err != nil {
		return err
	}
	var ns unix.Stat_t
	if err := unix.Stat("/proc/self/ns/net", &ns); err != nil {
		return err
	}
	w.netns = ns.Ino
	roles := map[string]func(*worker) error{"server": server, "client": client, "serve": serve, "receive": receive,
		"continue": goOn, "go": goServer, "udpserver": udpServer, "udpclient": udpClient, "refused": refused,
		"silent": silent, "listen": listens, "ports": closedPorts, "udpsink": udpSink, "udpspray": udpSpray, "raw": raw}
	do := roles[j.Role]
	if do == nil {
		return fmt.Errorf("there is no role %q", j.Role)
	}
	if err := do(w); err != nil {
		return fmt.Errorf("%s, %s: %w", j.Class, j.Role, err)
	}
	return w.flush()
}

func (w *worker) flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	// One write(2), since all processes share the file, which is open for appending.
	var text []byte
	for _, t := range w.truths {
		line, err := json.Marshal(t)
		if err != nil {
			return err
		}
		text = append(append(text, line...), '\n')
	}
	w.truths = nil
	_, err := unix.Write(truthFile, text)
	return err
}

// tell notes what this process did.
func (w *worker) tell(t truth.Truth) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note(t)
}

// note is tell with the lock held. An act without a time is of now.
func (w *worker) note(t truth.Truth) {
	t.Class, t.NetNS = w.Class, w.netns
	if t.Time.IsZero() {
		t.Time = time.Now()
	}
	if t.PID == 0 {
		t.PID, t.Process, t.Exe = w.pid, w.name, w.exe
	}
	if t.Protocol == "" {
		t.Protocol = "tcp"
	}
	w.truths = append(w.truths, t)
}

// of is the event at which a client says its ends: a connection that is older than the log was never
// told to it.
func (w *worker) of() string {
	if w.Wait {
		return "held"
	}
	return "connect"
}

// say tells the parent something.
func (w *worker) say(format string, args ...any) error {
	_, err := fmt.Printf(format+"\n", args...)
	return err
}

// wait waits for a line of the parent, or for its end.
func (w *worker) wait() { w.in.ReadString('\n') }

// A count is the bytes that a process read and wrote.
type count struct{ sent, received uint64 }

func (c *count) write(fd int, b []byte) error {
	n, err := unix.Write(fd, b)
	if err != nil {
		return os.NewSyscallError("write", err)
	}
	c.sent += uint64(n)
	return nil
}

// read reads until b is full, or nothing more comes.
func (c *count) read(fd int, b []byte) (int, error) {
	all := 0
	for all < len(b) {
		n, err := unix.Read(fd, b[all:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return all, os.NewSyscallError("read", err)
		}
		if n == 0 {
			break
		}
		all += n
		c.received += uint64(n)
	}
	return all, nil
}

// closed is the truth of a close. What a socket carried before the log began is not asked for.
func (w *worker) closed(t truth.Truth, c count) truth.Truth {
	t.Event = "close"
	if !w.Wait {
		t.Sent, t.Received = &c.sent, &c.received
	}
	return t
}

// socket opens one for an address.
func (j *job) socket(kind int) (int, error) {
	family, protocol := unix.AF_INET, 0
	if j.At.Addr().Is6() || j.Mapped {
		family = unix.AF_INET6
	}
	if j.Multipath {
		protocol = unix.IPPROTO_MPTCP
	}
	fd, err := unix.Socket(family, kind, protocol)
	return fd, os.NewSyscallError("socket", err)
}

func (j *job) sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() && !j.Mapped {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

// local asks a socket for its own end.
func local(fd int) (netip.AddrPort, error) {
	sa, err := unix.Getsockname(fd)
	return addrPort(sa), os.NewSyscallError("getsockname", err)
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port))
	}
	return netip.AddrPort{}
}
