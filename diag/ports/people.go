package ports

import (
	"bytes"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// How many are remembered, and how long.
const (
	mostProcesses = 16384
	keepUsed      = 60 * time.Second // after the end of a process that did something with a socket
	keepUnused    = 5 * time.Second  // after the end of any other
	keepUsers     = time.Minute      // the name of a user, which may change
	mostUsers     = 4096
	mostCgroups   = 4096
	mostTries     = 3  // to read the file of a process
	mostParents   = 16 // who are asked for the file of a child that never executed one
)

// An actor is a process as it was when it did something. It does not change.
type actor struct {
	key processKey
	Process
	group  uint64 // number of its cgroup
	cgroup string
}

// nobody is who did what the kernel did by itself, or what nobody knows who did.
var nobody = &actor{}

// A person is what is remembered of a process between what it does.
type person struct {
	last   *actor // as it was when it did something last
	parent *person
	key    processKey
	read   bool // exe is what can be known of it
	tries  int
	exe    string
	used   bool
	gone   time.Time // of its end; zero: it lives
}

// People know processes by their number, start and count of executions: never by file or number
// alone, which others have had.
type people struct {
	known   map[processKey]*person
	users   map[uint32]userName
	cgroups cgroups
}

type userName struct {
	name  string
	until time.Time
}

func newPeople(cgroupRoot string) *people {
	return &people{known: map[processKey]*person{}, users: map[uint32]userName{}, cgroups: openCgroups(cgroupRoot)}
}

func (p *people) close() { p.cgroups.close() }

// actor returns who did something, as an event tells it.
func (p *people) actor(w *task) *actor {
	if w.id == 0 {
		return nobody
	}
	known := p.person(w.processKey)
	known.used = true
	if a := known.last; a != nil && a.UID == w.uid && a.Name == string(w.name) && a.group == w.cgroup && (known.read || w.ino == 0) {
		return a
	}
	a := &actor{key: w.processKey, group: w.cgroup}
	a.UID, a.cgroup = w.uid, p.cgroups.of(w.cgroup, int(w.pid))
	a.User = p.user(w.uid)
	if w.pid != 0 {
		p.read(known, w, nil)
		a.PID, a.Name, a.Exe = int(w.pid), string(w.name), known.exe
	}
	known.last = a
	return a
}

func (p *people) person(key processKey) *person {
	known := p.known[key]
	if known == nil {
		if len(p.known) >= mostProcesses {
			p.shrink()
		}
		known = &person{key: key}
		p.known[key] = known
	}
	return known
}

// shrink forgets those who did nothing, or all, if even they are too many.
func (p *people) shrink() {
	for key, known := range p.known {
		if !known.used || !known.gone.IsZero() {
			delete(p.known, key)
		}
	}
	if len(p.known) >= mostProcesses {
		clear(p.known)
	}
}

// change keeps what happened to a process.
func (p *people) change(c *change) {
	if c.who.id == 0 || c.kind == kindFork && c.parent.id == 0 {
		return // a thread of the kernel
	}
	switch c.kind {
	case kindFork:
		parent := p.person(c.parent.processKey)
		p.read(parent, &c.parent, nil)
		if child := p.person(c.who.processKey); child != parent {
			child.parent = parent
		}
	case kindExec:
		known := p.person(c.who.processKey)
		p.read(known, &c.who, c.file)
	case kindExit:
		if known := p.known[c.who.processKey]; known != nil {
			known.gone = time.Now()
		}
	}
}

// expire forgets processes that ended a while ago.
func (p *people) expire(now time.Time) {
	for key, known := range p.known {
		if known.gone.IsZero() {
			continue
		}
		if age := now.Sub(known.gone); age > keepUsed || age > keepUnused && !known.used {
			delete(p.known, key)
		}
	}
}

// read learns the file that a process executes. The process may have ended meanwhile, its number may
// be another's, or it may execute another file by now: then file is believed, which the kernel was
// given for it, or the process that it was forked from and whose file it never changed.
func (p *people) read(known *person, w *task, file []byte) {
	if known.read {
		return
	}
	known.exe = executable(w)
	if known.exe == "" && len(file) > 0 && file[0] == '/' {
		known.exe = sameFile(string(file), w)
	}
	parent := known.parent
	for n := 1; known.exe == "" && parent != nil && parent.key.exec == known.key.exec; n++ {
		if n == mostParents {
			parent.parent = nil // whoever forks and ends again and again makes no chain without end
		}
		known.exe, parent = parent.exe, parent.parent
	}
	// A process that changes its user may not be read for a moment.
	known.tries++
	known.read = known.exe != "" || !known.gone.IsZero() || known.tries == mostTries
	if known.read {
		known.parent = nil
	}
}

// executable returns the path of the file that a process executes, or nothing, if that is another
// process or another file than the event was of.
func executable(w *task) string {
	path := "/proc/" + strconv.Itoa(int(w.pid)) + "/exe"
	exe, err := os.Readlink(path)
	if err != nil {
		return ""
	}
	var s unix.Stat_t
	if unix.Stat(path, &s) != nil || !started(w) {
		return ""
	}
	if w.ino != 0 && s.Ino != w.ino {
		return ""
	}
	if s.Nlink == 0 {
		exe = strings.TrimSuffix(exe, " (deleted)")
	}
	return exe
}

// sameFile returns the path if it is the file that an event is of.
func sameFile(path string, w *task) string {
	var s unix.Stat_t
	if unix.Stat(path, &s) != nil || s.Ino != w.ino || unix.Major(s.Dev) != w.dev>>20 || unix.Minor(s.Dev) != w.dev&0xfffff {
		return ""
	}
	return path
}

// started reports whether the process with that number now is the one of an event: they start at the
// same time, which proc_pid_stat(5) has in ticks of 10 ms.
func started(w *task) bool {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(int(w.pid)) + "/stat")
	if err != nil {
		return false
	}
	_, tail, ok := bytes.Cut(text, []byte(") "))
	for {
		_, more, again := bytes.Cut(tail, []byte(") ")) // a name may have it too
		if !again {
			break
		}
		tail = more
	}
	fields := bytes.Fields(tail)
	if !ok || len(fields) < 20 {
		return false
	}
	ticks, err := strconv.ParseUint(string(fields[19]), 10, 64)
	return err == nil && ticks == w.start/uint64(10*time.Millisecond)
}

// user returns the name of a user, or nothing if it has none.
func (p *people) user(uid uint32) string {
	now := time.Now()
	if u, ok := p.users[uid]; ok && now.Before(u.until) {
		return u.name
	}
	if len(p.users) >= mostUsers {
		clear(p.users)
	}
	name := ""
	if u, err := user.LookupId(strconv.FormatUint(uint64(uid), 10)); err == nil {
		name = u.Username
	}
	p.users[uid] = userName{name, now.Add(keepUsers)}
	return name
}

// Cgroups know the paths of cgroups by their numbers.
type cgroups struct {
	root  *os.File // of the cgroup v2, or nil
	path  string
	known map[uint64]string
}

func openCgroups(root string) cgroups {
	c := cgroups{path: root, known: map[uint64]string{}}
	if root != "" {
		c.root, _ = os.Open(root)
	}
	return c
}

func (c *cgroups) close() {
	if c.root != nil {
		c.root.Close()
	}
}

// of returns the path of a cgroup below the root of the cgroup v2. Without CAP_DAC_READ_SEARCH it
// is where the process is now.
func (c *cgroups) of(id uint64, pid int) string {
	if id == 0 {
		return ""
	}
	if path, ok := c.known[id]; ok {
		return path
	}
	path := c.byHandle(id)
	if path == "" {
		return cgroupOf(pid)
	}
	if len(c.known) >= mostCgroups {
		clear(c.known)
	}
	c.known[id] = path
	return path
}

// fileidKernfs is the type of a handle of which the bytes are the number (include/linux/exportfs.h).
const fileidKernfs = 0xfe

func (c *cgroups) byHandle(id uint64) string {
	if c.root == nil {
		return ""
	}
	handle := unix.NewFileHandle(fileidKernfs, order.AppendUint64(nil, id))
	fd, err := unix.OpenByHandleAt(int(c.root.Fd()), handle, unix.O_PATH|unix.O_CLOEXEC)
	if err != nil {
		return ""
	}
	defer syscall.Close(fd)
	path, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil {
		return ""
	}
	if path = strings.TrimPrefix(path, c.path); path == "" {
		return "/"
	}
	return path
}

// cgroupOf reads where a process is (cgroups(7)).
func cgroupOf(pid int) string {
	if pid == 0 {
		return ""
	}
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if path, ok := strings.CutPrefix(line, "0::"); ok {
			return strings.TrimSuffix(path, "\n")
		}
	}
	return ""
}
