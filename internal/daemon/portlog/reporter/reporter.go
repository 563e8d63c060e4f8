// Package reporter writes the port log in the form of Microsoft's Port Reporter: sets of three files,
// PR-INITIAL, PR-PORTS and PR-PIDS, with one time in their names.
//
// PR-INITIAL has the machine, its sockets, processes and services as they were when the set began.
// PR-PORTS has a line a record, separated by commas: date, time, protocol, local port, local address,
// remote port, remote address, PID, module and user context, as Port Reporter has them, and then what
// it had not (Columns). PR-PIDS has a block for each process that PR-PORTS names, with its file,
// arguments and modules, and says where records are missing.
//
// Who writes the log ends a set by its size and at midnight, and begins the next.
//
// What processes chose, such as their names, is in the files with control characters and bytes that
// are no UTF-8 escaped, as \x1b: a line is one record, whatever is in it. The log itself has names as
// they came.
package reporter

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"diagsh/diag/ports"
	"diagsh/diag/services"
)

// Options say where sets are written and what their first file says.
type Options struct {
	Create func(name string) (*os.File, error) // makes a new file of the diagnostic directory
	Remove func(name string) error

	Product  string // name and version
	Hostname func() string
	Status   func() (ports.Status, bool) // how sockets are seen
	Services func() (services.Catalogue, error)

	// Bytes is from where on PR-INITIAL and PR-PIDS leave out what is long. Grew is called each time
	// that these files, which are written in the background, grew by growStep: they grow no further
	// until it returns.
	Bytes int64
	Grew  func()

	Zone *time.Location // of dates and times

	Log *slog.Logger // is told what went wrong in the background
}

// A Reporter begins sets, one after the other. Its methods may be called from any goroutine.
type Reporter struct {
	o Options

	// initial is held while a PR-INITIAL is written: sets that follow each other quickly do not
	// read all processes at once.
	initial sync.Mutex
	blocks  blocks         // under initial
	grown   atomic.Int64   // bytes that were written in the background
	open    sync.WaitGroup // sets that are not whole yet
}

// New returns a Reporter.
func New(o Options) *Reporter { return &Reporter{o: o} }

// Stamp is the form of the time in the names of files. It has no colons, which Windows refuses.
const Stamp = "2006-01-02T15-04-05"

// Names returns the names of the files of a set that begins at a moment.
func (r *Reporter) Names(begin time.Time) (names []string) {
	for _, kind := range kinds {
		names = append(names, "PR-"+kind+"-"+begin.In(r.o.Zone).Format(Stamp)+".log")
	}
	return names
}

// Begin makes the files of a set: all three or none. An error may be fs.ErrExist.
func (r *Reporter) Begin(begin time.Time) (*Set, error) {
	s := &Set{reporter: r, begin: begin.In(r.o.Zone), begun: make(chan struct{}), seen: map[processKey]bool{}}
	s.wake.L = &s.mu
	for i, name := range r.Names(begin) {
		f, err := r.o.Create(name)
		if err != nil {
			return nil, errors.Join(err, s.abandon())
		}
		s.names = append(s.names, name)
		s.files[i].file = f
	}
	s.start()
	return s, nil
}

// Wait waits until all sets that were closed are whole. An error is the context's.
func (r *Reporter) Wait(ctx context.Context) error {
	whole := make(chan struct{})
	go func() {
		r.open.Wait()
		close(whole)
	}()
	select {
	case <-whole:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// growStep is how much of sets is written in the background between two calls of Options.Grew.
const growStep = 64 << 10

// grew counts what was written in the background.
func (r *Reporter) grew(n int) {
	if now := r.grown.Add(int64(n)); now/growStep != (now-int64(n))/growStep {
		r.o.Grew()
	}
}

// failed tells what went wrong in the background, if anything did.
func (r *Reporter) failed(names []string, err error) {
	if err != nil {
		r.o.Log.Error("files of the port log are not whole", "files", names, "error", err)
	}
}
