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

// A set is three files.
type set struct {
	sets     *Sets
	at       time.Time // that the names have, in the zone of the sets
	midnight time.Time // at which it ends
	names    []string
	files    [len(kinds)]logFile
	lines    bytes.Buffer

	// seen are the processes that the set names. It has at most as many as PR-PORTS has lines.
	seen map[processKey]bool

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

// A sighting is a process that a record names.
type sighting struct {
	ports.Process
	at time.Time
}

// start begins what is written in the background.
func (s *set) start() {
	var both sync.WaitGroup
	both.Go(func() {
		s.sets.initial.Lock()
		defer s.sets.initial.Unlock()
		s.sets.failed(s.writeInitial(context.Background()))
	})
	both.Go(func() { s.sets.failed(s.describeAll()) })
	s.sets.open.Go(func() {
		both.Wait()
		s.sets.failed(s.close())
	})
}

// write appends records to PR-PORTS, and those of their processes that are new to the queue.
func (s *set) write(list []ports.Record) error {
	s.lines.Reset()
	var fresh []sighting
	for i := range list {
		r := &list[i]
		appendLine(&s.lines, r, s.sets.o.Zone)
		if key := (processKey{r.PID, r.Name, r.Exe, r.UID}); r.PID != 0 && !s.seen[key] {
			s.seen[key] = true
			fresh = append(fresh, sighting{r.Process, r.Time})
		}
	}
	if err := s.files[portsFile].append(s.lines.Bytes()); err != nil {
		return err
	}
	if len(fresh) > 0 {
		s.mu.Lock()
		s.queue = append(s.queue, fresh...)
		s.mu.Unlock()
		s.wake.Signal()
	}
	return nil
}

// full reports whether the set has a file of that size. PR-INITIAL does not count: it does not grow,
// and would be as large in the next set.
func (s *set) full(most int64) bool {
	return s.files[portsFile].size.Load() >= most || s.files[pidsFile].size.Load() >= most
}

// end says that no record comes any more. What is in the queue is still described.
func (s *set) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.wake.Signal()
}

// next waits for processes in the queue and returns them; none at the end of the set.
func (s *set) next() []sighting {
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
func (s *set) abandon() error {
	var errs []error
	for i, name := range s.names {
		errs = append(errs, s.sets.o.Remove(name), s.files[i].file.Close())
	}
	return errors.Join(errs...)
}

func (s *set) close() error {
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
