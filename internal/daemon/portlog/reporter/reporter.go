// Package reporter writes the port log in the form of Microsoft's Port Reporter: sets of three files,
// PR-INITIAL, PR-PORTS and PR-PIDS, with one time in their names.
//
// PR-INITIAL has the machine, its sockets, processes and services as they were when the set began.
// PR-PORTS has a line a record, separated by commas: date, time, protocol, local port, local address,
// remote port, remote address, PID, module and user context, as Port Reporter has them, and then what
// it had not (Columns). PR-PIDS has a block for each process that PR-PORTS names, with its file,
// arguments and modules.
//
// What processes chose, such as their names, is in the files with control characters and bytes that
// are no UTF-8 escaped, as \x1b: a line is one record, whatever is in it. The log itself has names as
// they came.
package reporter

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"diagsh/diag/ports"
	"diagsh/diag/services"
)

// SetBytes is how large a file of a set becomes before the next set begins.
const SetBytes = 5 << 20

// Options say where the sets are written and what their first file says.
type Options struct {
	// Create makes a new file of the diagnostic directory. Its error is fs.ErrExist if there is one.
	Create func(name string) (*os.File, error)
	Remove func(name string) error

	// Began is told the names of a set's files when they are there; may be nil.
	Began func(names []string)

	Product  string // name and version
	Hostname func() string
	Status   func() (ports.Status, bool) // how sockets are seen
	Services func() (services.Catalogue, error)

	Bytes int64          // at which a new set begins; 0: SetBytes
	Zone  *time.Location // of dates and times; nil: the machine's
	now   func() time.Time
}

// Sets are the files as they are written, one set after the other. Write, Tick and Close are for one
// goroutine.
type Sets struct {
	o       Options
	current *set

	// initial is held while a PR-INITIAL is written, of which sets that follow each other quickly
	// may have several to write.
	initial sync.Mutex
	open    sync.WaitGroup // sets that are not whole yet

	mu  sync.Mutex
	err error // what went wrong in the background
}

// Open begins the first set.
func Open(o Options) (*Sets, error) {
	if o.Bytes == 0 {
		o.Bytes = SetBytes
	}
	if o.Zone == nil {
		o.Zone = time.Local
	}
	if o.now == nil {
		o.now = time.Now
	}
	s := &Sets{o: o}
	return s, s.begin(o.now())
}

// Write writes records. It only appends lines to PR-PORTS: what is read of processes is read in the
// background. An error may be one of the background, where a process before was read.
func (s *Sets) Write(list []ports.Record) error {
	for len(list) > 0 {
		n := s.fitting(list)
		if n == 0 {
			if err := s.begin(s.later(list[0].Time)); err != nil {
				return err
			}
			n = max(1, s.fitting(list))
		}
		if err := s.current.write(list[:n]); err != nil {
			return err
		}
		list = list[n:]
	}
	return s.failure()
}

// batch is how many records are written at once at most, so that no file becomes much larger than
// its limit.
const batch = 256

// fitting returns how many of the records the current set takes.
func (s *Sets) fitting(list []ports.Record) int {
	if s.current == nil || s.current.full(s.o.Bytes) {
		return 0
	}
	for i := range list {
		if i == batch || !list[i].Time.Before(s.current.midnight) {
			return i
		}
	}
	return len(list)
}

// later is the moment a set begins at that a record of that time is the first of: now, but never a
// day before the record.
func (s *Sets) later(record time.Time) time.Time {
	if now := s.o.now(); now.After(record) {
		return now
	}
	return record
}

// midnightSlack is how long after midnight a set begins without a record of the new day. Records of
// the day before may come so late.
const midnightSlack = 5 * time.Second

// Tick begins the set of a new day when nothing happens in it. It is called about once a second.
func (s *Sets) Tick() error {
	if now := s.o.now(); s.current == nil || now.After(s.current.midnight.Add(midnightSlack)) {
		if err := s.begin(now); err != nil {
			return err
		}
	}
	return s.failure()
}

// Files returns the names of the files that are being written.
func (s *Sets) Files() []string {
	if s.current == nil {
		return nil
	}
	return s.current.names
}

// Close ends the current set and waits until all sets are whole, or ctx ends.
func (s *Sets) Close(ctx context.Context) error {
	if s.current != nil {
		s.current.end()
		s.current = nil
	}
	whole := make(chan struct{})
	go func() {
		s.open.Wait()
		close(whole)
	}()
	select {
	case <-whole:
		return s.failure()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// mostSets is how many sets may begin in one second.
const mostSets = 1000

// begin ends the current set and begins one at a moment.
func (s *Sets) begin(at time.Time) error {
	if s.current != nil {
		s.current.end()
		s.current = nil
	}
	for n := 1; n <= mostSets; n++ {
		next, err := s.create(at, n)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		s.current = next
		if s.o.Began != nil {
			s.o.Began(next.names)
		}
		next.start()
		return nil
	}
	return fmt.Errorf("%d sets of files began within a second", mostSets)
}

// Stamp is the form of the time in the names of a set's files. Colons are for no Windows.
const Stamp = "2006-01-02T15-04-05"

// create makes the three files of a set, all or none. n tells sets of the same second apart.
func (s *Sets) create(at time.Time, n int) (*set, error) {
	at = at.In(s.o.Zone)
	stamp := at.Format(Stamp)
	if n > 1 {
		stamp += fmt.Sprintf("-%04d", n)
	}
	year, month, day := at.Date()
	next := &set{sets: s, at: at, midnight: time.Date(year, month, day+1, 0, 0, 0, 0, s.o.Zone),
		seen: map[processKey]bool{}}
	next.wake.L = &next.mu
	for i, kind := range kinds {
		name := "PR-" + kind + "-" + stamp + ".log"
		f, err := s.o.Create(name)
		if err != nil {
			return nil, errors.Join(err, next.abandon())
		}
		next.names = append(next.names, name)
		next.files[i].file = f
	}
	return next, nil
}

func (s *Sets) failed(err error) {
	if err == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// failure returns what went wrong in the background since the last call.
func (s *Sets) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.err
	s.err = nil
	return err
}
