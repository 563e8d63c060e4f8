package portlog

import (
	"cmp"
	"errors"
	"io/fs"
	"slices"
	"time"

	"diagsh/diag/ports"
	"diagsh/internal/menu"
)

// slowDisk is the reason of a gap while the log is not paused.
const slowDisk = "the disk did not keep up"

const (
	// setBytes is the size of the largest file at which a new set begins, less what a piece may add.
	setBytes    = 5<<20 - pieceMargin
	pieceMargin = 128 << 10

	// pieceRecords is how many records are written at a time.
	pieceRecords = 64

	// boundMargin is what all sets together stay below their bound, so that a piece in every format
	// does not pass it.
	boundMargin = 1 << 20

	// littleBack is how far a clock may be set back without sets that begin before earlier ones.
	littleBack = time.Hour

	// startRoom is how much of the disk beyond the reserve must be free for a log to begin or to go
	// on; it then writes until the reserve.
	startRoom = 8 << 20
)

// A trouble is why the log cannot be written, for users, and for the appliance's log.
type trouble struct {
	sentence string
	cause    error // may be nil
}

func (t *trouble) Error() string { return t.sentence }
func (t *trouble) Unwrap() error { return t.cause }

// diskTrouble makes a *trouble of an error of the file system; nil stays nil.
func diskTrouble(err error) error {
	if err == nil {
		return nil
	}
	var known *trouble
	if errors.As(err, &known) {
		return err
	}
	return &trouble{"The disk did not take the log's lines", err}
}

// A sets is the files of a run, in all its formats. It is for one goroutine.
type sets struct {
	log     *Log
	options ports.LogOptions
	outputs []*output
	head    func(begin time.Time) []ports.Record // the first lines of a set

	opened      time.Time // the moment of the present set's first lines
	begin       time.Time // of the present set, as in its names
	midnight    time.Time // after it
	former      []stretch // the sets before it
	formerBytes int64
	lost        uint64    // records that at least one format misses
	gaps        uint64    // that were written
	reason      string    // of gaps
	ready       bool      // the last look found the disk ready
	checked     time.Time // when that was
	dirty       bool      // something is not safe on the disk yet
	synced      time.Time
}

// newSets returns the sets of a run, of which none is open.
func newSets(l *Log, o ports.LogOptions, head func(time.Time) []ports.Record) *sets {
	s := &sets{log: l, options: o, head: head, reason: slowDisk}
	if o.Format.Has(ports.NDJSON) {
		s.outputs = append(s.outputs, &output{open: l.openLines})
	}
	if o.Format.Has(ports.PortReporter) {
		s.outputs = append(s.outputs, &output{open: func(begin time.Time) (set, error) { return l.reporter.Begin(begin) }})
	}
	return s
}

// next begins the next set.
func (s *sets) next(now time.Time) error {
	s.opened = now.Round(0) // as the clock of the day says, which may be set
	local := now.In(s.log.location)
	s.midnight = time.Date(local.Year(), local.Month(), local.Day()+1, 0, 0, 0, 0, s.log.location)
	if back := s.begin.Sub(now); back > 0 && back < littleBack {
		now = s.begin // a clock that was set back a little leaves the files in their order
	}
	begin, names := s.log.freeBegin(now)
	s.begin = begin
	s.log.began(present{begin, names})
	err := s.list()
	for _, o := range s.outputs {
		err = cmp.Or(err, o.begin(s.begin))
	}
	s.trim(now)
	return diskTrouble(err)
}

// write appends records, each to the set of its time. Its error is a *trouble; what could not be
// written is counted.
func (s *sets) write(list []ports.Record) error {
	var failed error
	for len(list) > 0 && failed == nil {
		if s.full() || !list[0].Time.Before(s.midnight) {
			failed = s.next(list[0].Time)
		}
		piece := list[:s.piece(list)]
		failed = cmp.Or(failed, s.put(piece))
		list = list[len(piece):]
		s.trim(piece[len(piece)-1].Time)
	}
	s.drop(list)
	return failed
}

// drop counts records that are not written.
func (s *sets) drop(list []ports.Record) {
	for _, o := range s.outputs {
		o.drop(list)
	}
	s.lost += uint64(len(list))
}

// miss counts records that nobody has any more.
func (s *sets) miss(records uint64, since time.Time) {
	for _, o := range s.outputs {
		o.miss(records, since)
	}
	s.lost += records
}

// piece returns how many records are written next: those of the same day.
func (s *sets) piece(list []ports.Record) int {
	for n := range list {
		if n == pieceRecords || n > 0 && !list[n].Time.Before(s.midnight) {
			return n
		}
	}
	return len(list)
}

// put appends records to the present set, and wakes those who follow the log. Without records it
// writes what is due before the next ones.
func (s *sets) put(list []ports.Record) error {
	var failed error
	for _, o := range s.outputs {
		owed := o.missing > 0
		err := o.write(list, func() []ports.Record { return s.head(s.opened) }, s.reason)
		if err == nil && owed {
			s.gaps++
		}
		failed = cmp.Or(failed, err)
	}
	if failed != nil {
		s.lost += uint64(len(list))
		return diskTrouble(failed)
	}
	for i := range list {
		if list[i].Event == ports.Gap {
			s.gaps++
		}
	}
	s.dirty = true
	s.log.changed.Notify()
	return nil
}

// full reports whether a new set is due for the size of the present one.
func (s *sets) full() bool {
	for _, o := range s.outputs {
		if largest, _ := o.size(); largest >= setBytes {
			return true
		}
	}
	return false
}

// bytes is the size of the present set.
func (s *sets) bytes() (sum int64) {
	for _, o := range s.outputs {
		_, all := o.size()
		sum += all
	}
	return sum
}

// look makes sure that records can be written now: there is room, the files are open, and what is
// missing before is said. Its error is a *trouble.
func (s *sets) look(now time.Time) error {
	if now.Sub(s.checked) >= syncTime || !s.ready {
		s.checked, s.ready = now, false
		if err := s.room(); err != nil {
			return err
		}
	}
	if err := s.open(now); err != nil {
		return err
	}
	for _, o := range s.outputs {
		if o.bare || o.missing > 0 {
			if err := s.put(nil); err != nil {
				return err
			}
		}
	}
	s.ready = true
	return nil
}

// open opens the files that could not be opened before. Those of a set of which some are open have its
// time: a new set each time that one is tried would leave files without a line.
func (s *sets) open(now time.Time) error {
	if !slices.ContainsFunc(s.outputs, func(o *output) bool { return o.set != nil }) {
		return s.next(now)
	}
	var failed error
	for _, o := range s.outputs {
		if o.set == nil {
			failed = cmp.Or(failed, o.begin(s.begin))
		}
	}
	return diskTrouble(failed)
}

// room returns a *trouble while the log may take no more of the disk. A log that is paused needs
// more room than one that goes on, so that it does not pause again at once.
func (s *sets) room() error {
	free, err := s.log.o.Files.Free()
	if err != nil {
		return diskTrouble(err)
	}
	reserve, ahead := s.log.o.Files.Reserve(), int64(0)
	if !s.ready {
		ahead = startRoom
	}
	if free < reserve+ahead {
		return &trouble{sentence: "The disk is low: " + menu.Size(free>>20<<20).String() + " are free and " +
			menu.Size(reserve>>20<<20).String() + " are kept in reserve"}
	}
	if err := s.log.o.Files.Allowance(); err != nil {
		return &trouble{"The diagnostic directory has no room left below its quota", err}
	}
	return nil
}

// grew looks at the bounds after sets grew that are written in the background.
func (s *sets) grew(now time.Time) {
	if err := s.list(); err != nil {
		s.log.o.Log.Error("the files of the port log cannot be listed", "error", err)
		return
	}
	s.trim(now)
}

// trim deletes the oldest sets until all together are within their bounds. The present one stays.
func (s *sets) trim(now time.Time) {
	if !s.beyond(now) {
		return
	}
	if err := s.list(); err != nil { // users may have deleted some meanwhile
		s.log.o.Log.Error("the files of the port log cannot be listed", "error", err)
		return
	}
	for s.beyond(now) {
		for _, name := range s.former[0].names {
			if err := s.log.o.Files.Root().Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				s.log.o.Log.Error("a file of the port log cannot be deleted", "file", name, "error", err)
				return
			}
		}
		s.formerBytes -= s.former[0].bytes
		s.former = s.former[1:]
	}
}

// beyond reports whether the oldest of the sets before the present one must go.
func (s *sets) beyond(now time.Time) bool {
	if len(s.former) == 0 {
		return false
	}
	end := s.begin
	if len(s.former) > 1 {
		end = s.former[1].begin
	}
	days := time.Duration(s.options.Days) * 24 * time.Hour
	return s.formerBytes+s.bytes() > s.options.SizeBytes-boundMargin || days > 0 && now.Sub(end) > days
}

// list looks which sets there are before the present one.
func (s *sets) list() error {
	all, err := s.log.stretches()
	if err != nil {
		return err
	}
	s.former = slices.DeleteFunc(all, func(one stretch) bool { return one.begin.Equal(s.begin) })
	s.formerBytes = 0
	for _, one := range s.former {
		s.formerBytes += one.bytes
	}
	return nil
}

// syncIfDue brings what was written to the disk, at most each syncTime. It returns when that is due
// again; 0 if nothing is to be brought there.
func (s *sets) syncIfDue(now time.Time) (time.Duration, error) {
	if !s.dirty {
		return 0, nil
	}
	if wait := syncTime - now.Sub(s.synced); wait > 0 {
		return wait, nil
	}
	var failed error
	for _, o := range s.outputs {
		failed = cmp.Or(failed, o.sync())
	}
	s.synced, s.dirty = now, false
	return 0, diskTrouble(failed)
}

// close closes the files of a log that did not begin.
func (s *sets) close() {
	for _, o := range s.outputs {
		o.close()
	}
}

// end writes the last record and closes the files, whether or not there is room: it is one line.
func (s *sets) end(last ports.Record) error {
	failed := s.put([]ports.Record{last})
	for _, o := range s.outputs {
		failed = cmp.Or(failed, o.sync(), o.close())
	}
	return diskTrouble(failed)
}
