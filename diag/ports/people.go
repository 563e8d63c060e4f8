package ports

import (
	"time"

	"diagsh/diag/ports/procs"
)

// How many are remembered, and how long.
const (
	mostProcesses = 16384
	keepUsed      = 60 * time.Second // after the end of a process that did something with a socket
	keepUnused    = 5 * time.Second  // after the end of any other
	mostTries     = 3                // to read the file of a process
	mostParents   = 16               // who are asked for the file of a child that never executed one
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
	users   procs.Users
	cgroups *procs.Cgroups
}

func newPeople(cgroupRoot string) *people {
	return &people{known: map[processKey]*person{}, cgroups: procs.OpenCgroups(cgroupRoot)}
}

func (p *people) close() { p.cgroups.Close() }

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
	a.UID, a.cgroup = w.uid, p.cgroups.Of(w.cgroup, int(w.pid))
	a.User = p.users.Name(w.uid)
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
	known.exe = w.inProc().Executable()
	if known.exe == "" && len(file) > 0 && file[0] == '/' {
		known.exe = w.inProc().Executed(string(file))
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
