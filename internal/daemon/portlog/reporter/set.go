package reporter

import (
	"bytes"
	"context"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"diagsh/diag/ports"
)

// kinds are the files of a set, in the order in which they are made.
var kinds = [...]string{"INITIAL", "PORTS", "PIDS"}

const (
	initialFile = iota
	portsFile
	pidsFile
)

// A Set is three files. Its methods are for one goroutine.
type Set struct {
	reporter *Reporter
	begin    time.Time // that the names have, in the zone of the reporter
	names    []string
	files    [len(kinds)]logFile
	lines    bytes.Buffer

	// seen are the processes that the set names. It has at most as many as PR-PORTS has lines.
	seen map[processKey]bool

	begun  chan struct{} // closed at the first Write, when it is known how sockets are seen
	begins sync.Once

	mu    sync.Mutex
	wake  sync.Cond
	queue []sighting // processes to be described, the oldest first
	ended bool
}

// A processKey tells processes apart. The executable changes by execve(2), the user by setuid(2).
type processKey struct {
	pid       int
	name, exe string
	uid       uint32
}

// A sighting is a process that a record names, or with PID 0 a gap.
type sighting struct {
	ports.Process
	at   time.Time
	gap  string // why records are missing
	lost uint64 // how many events, if that is known
}

// start begins what is written in the background.
func (s *Set) start() {
	var both sync.WaitGroup
	both.Go(func() {
		<-s.begun
		s.reporter.initial.Lock()
		defer s.reporter.initial.Unlock()
		s.reporter.failed(s.names, s.writeInitial(context.Background()))
	})
	both.Go(func() { s.reporter.failed(s.names, s.describeAll()) })
	s.reporter.open.Go(func() {
		both.Wait()
		s.reporter.failed(s.names, s.closeFiles())
	})
}

// Write appends records to PR-PORTS, all of them or none, and their processes to those that are to
// be described. It waits for no process: they are read in the background.
//
// PR-PORTS has what Port Reporter had, TCP and UDP. Where records are missing PR-PIDS says so.
func (s *Set) Write(list []ports.Record) error {
	s.begins.Do(func() { close(s.begun) })
	s.lines.Reset()
	var fresh []sighting
	for i := range list {
		r := &list[i]
		if r.Event == ports.Gap {
			fresh = append(fresh, sighting{at: r.Time, gap: r.Reason, lost: r.Lost})
		}
		if r.Protocol != ports.TCP && r.Protocol != ports.UDP {
			continue
		}
		appendLine(&s.lines, r, s.reporter.o.Zone)
		key := processKey{r.PID, r.Name, r.Exe, r.UID}
		if r.PID != 0 && !s.seen[key] {
			fresh = append(fresh, sighting{Process: r.Process, at: r.Time})
		}
	}
	if err := s.files[portsFile].append(s.lines.Bytes()); err != nil {
		return err
	}
	s.queueAll(fresh)
	return nil
}

// queueAll has processes described, each once.
func (s *Set) queueAll(list []sighting) {
	if len(list) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range list {
		key := processKey{one.PID, one.Name, one.Exe, one.UID}
		if one.PID == 0 || !s.seen[key] {
			s.seen[key] = true
			s.queue = append(s.queue, one)
		}
	}
	s.wake.Signal()
}

// Bytes returns the size of the larger one of the files that grow, and of all files together.
func (s *Set) Bytes() (largest, all int64) {
	ports, pids := s.files[portsFile].size.Load(), s.files[pidsFile].size.Load()
	return max(ports, pids), ports + pids + s.files[initialFile].size.Load()
}

// Sync returns when the lines of PR-PORTS are safe on the disk.
func (s *Set) Sync() error { return s.files[portsFile].file.Sync() }

// Close says that no record comes any more. It does not wait until those before are described:
// Reporter.Wait does.
func (s *Set) Close() error {
	s.begins.Do(func() { close(s.begun) })
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.wake.Signal()
	return nil
}

// background appends to a file that is not written by who writes the log.
func (s *Set) background(file int, text []byte) error {
	err := s.files[file].append(text)
	if err == nil {
		s.reporter.grew(len(text))
	}
	return err
}

// next waits for processes in the queue and returns them; none at the end of the set.
func (s *Set) next() []sighting {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.queue) == 0 && !s.ended {
		s.wake.Wait()
	}
	list := s.queue
	s.queue = nil
	return list
}

// abandon removes the files of a set that could not be made as a whole.
func (s *Set) abandon() error {
	var errs []error
	for i, name := range s.names {
		errs = append(errs, s.reporter.o.Remove(name), s.files[i].file.Close())
	}
	return errors.Join(errs...)
}

func (s *Set) closeFiles() error {
	var errs []error
	for i := range s.files {
		errs = append(errs, s.files[i].file.Close())
	}
	return errors.Join(errs...)
}

// A logFile is a file that whole lines are appended to, by one goroutine.
type logFile struct {
	file *os.File
	size atomic.Int64
}

// append appends all of text or, as on a full disk, nothing.
func (f *logFile) append(text []byte) error {
	n, err := f.file.Write(text)
	if err == nil {
		f.size.Add(int64(n))
		return nil
	}
	size := f.size.Load()
	if e := f.file.Truncate(size); e != nil {
		return errors.Join(err, e)
	}
	_, e := f.file.Seek(size, 0)
	return errors.Join(err, e)
}
