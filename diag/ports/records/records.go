// Package records reads the records of the port log from its files, in bounded memory however large
// they are.
package records

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"diagsh/diag/ports"
)

// A Log is where the files of the port log are. It has one JSON object a line in each.
type Log interface {
	// Names returns the files, the oldest first. The last is the one that is written.
	Names() ([]string, error)
	Open(name string) (*os.File, error)

	// Changed returns a channel that is closed when more is written.
	Changed() <-chan struct{}
}

// A Query says which records are wanted.
type Query struct {
	Filter   *ports.Filter // nil: all
	From, To time.Time     // zero: no bound; both are included

	// Newest is how many records there are at most, the newest; 0: all. What every Filter lets pass,
	// where a log begins, ends or has gaps, is not counted among those that a Filter looks for.
	Newest int
}

// Read is what was read.
type Read struct {
	Files   int // that may have wanted records
	Skipped int // files that are wholly outside of the time
	Torn    int // lines that are no record, as after a death
}

// A YieldError is an error of yield, and not one of reading.
type YieldError struct{ Err error }

func (e *YieldError) Error() string { return e.Err.Error() }
func (e *YieldError) Unwrap() error { return e.Err }

// Each yields the wanted records that are there now, the oldest first. What yield is given is valid
// until it returns. An error of it ends Each, which returns it as a *YieldError.
func Each(ctx context.Context, log Log, q Query, yield func(*ports.Record) error) (Read, error) {
	r := reader{log: log, q: q, yield: yield}
	err := r.each(ctx)
	return r.read, err
}

// Follow is Each, and then yields the wanted records that are written from then on, each once, until
// ctx ends. That is no error. It calls there when all is yielded that was there when it began.
func Follow(ctx context.Context, log Log, q Query, there func(Read) error, yield func(*ports.Record) error) error {
	r := reader{log: log, q: q, yield: yield}
	changed := log.Changed()
	err := r.each(ctx)
	if err == nil {
		err = there(r.read)
	}
	for err == nil {
		select {
		case <-changed:
			changed = log.Changed()
			err = r.catchUp(ctx)
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

// A reader reads the files of one log, of which it has one open at a time.
type reader struct {
	log   Log
	q     Query
	yield func(*ports.Record) error
	read  Read

	names []string // that were there
	at    int64    // in the last of them: where what comes is read from
}

// A stretch is what is read of a file.
type stretch struct {
	name     string
	from, to int64
}

// each yields what is there.
func (r *reader) each(ctx context.Context) error {
	names, err := r.log.Names()
	if err != nil {
		return err
	}
	r.names = names
	if r.q.Newest > 0 {
		return r.newest(ctx)
	}
	for i, name := range names {
		err := r.open(name, i == len(names)-1, func(f *os.File, end int64) error {
			return r.part(ctx, f, 0, end, r.hand)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// open has a file read, unless it is outside of the wanted time or was deleted. In the last one, which
// is being written, a line without its end is not there yet; in another one it is torn.
func (r *reader) open(name string, last bool, read func(f *os.File, end int64) error) error {
	if last {
		r.at = 0
	}
	f, err := r.log.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	end := info.Size()
	if last {
		if end, err = lineBefore(f, end); err != nil {
			return err
		}
		r.at = end
	}
	switch outside, err := r.outside(f, info.ModTime(), end); {
	case err != nil:
		return err
	case outside:
		r.read.Skipped++
		return nil
	}
	r.read.Files++
	return read(f, end)
}

func (r *reader) hand(rec *ports.Record, _ int64) error {
	if err := r.yield(rec); err != nil {
		return &YieldError{err}
	}
	return nil
}

// part reads the lines between two places, and yields the wanted ones with their places.
func (r *reader) part(ctx context.Context, f io.ReaderAt, from, to int64, yield func(*ports.Record, int64) error) error {
	lines := bufio.NewReaderSize(io.NewSectionReader(f, from, to-from), maxLine)
	var rec ports.Record
	for at, n := from, 0; ; n++ {
		line, err := lines.ReadSlice('\n')
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
		if len(line) == 0 {
			return nil
		}
		if n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		begin := at
		at += int64(len(line))
		switch wanted, whole := r.decode(line, &rec); {
		case !whole:
			r.read.Torn++
		case wanted:
			if err := yield(&rec, begin); err != nil {
				return err
			}
		}
	}
}

// maxLine is the longest line that is taken for a record. What is longer is torn, in pieces.
const maxLine = 64 << 10

// decode reports whether a line is a wanted record, and whether it is one at all. The time, with
// which lines begin, is looked at first: that costs little.
func (r *reader) decode(line []byte, rec *ports.Record) (wanted, whole bool) {
	if at, ok := timeOf(line); ok && !r.within(at) && bytes.HasSuffix(line, []byte("}\n")) {
		return false, true
	}
	*rec = ports.Record{}
	if json.Unmarshal(line, rec) != nil || rec.Event == "" || rec.Time.IsZero() {
		return false, false
	}
	return r.within(rec.Time) && (r.q.Filter == nil || r.q.Filter.Match(rec)), true
}

func (r *reader) within(at time.Time) bool {
	return (r.q.From.IsZero() || !at.Before(r.q.From)) && (r.q.To.IsZero() || !at.After(r.q.To))
}

// timeOf returns the time with which a line begins.
func timeOf(line []byte) (time.Time, bool) {
	rest, ok := bytes.CutPrefix(line, []byte(`{"time":"`))
	end := bytes.IndexByte(rest, '"')
	if !ok || end < 0 || end > len("2006-01-02T15:04:05.999999999-07:00") {
		return time.Time{}, false
	}
	at, err := time.Parse(time.RFC3339Nano, string(rest[:end]))
	return at, err == nil
}

// outside reports whether a file has no record of the wanted time. Its first and its last line say
// so, and when it was written last: the clock may have been set meanwhile.
func (r *reader) outside(f io.ReaderAt, written time.Time, end int64) (bool, error) {
	if end == 0 || r.q.From.IsZero() && r.q.To.IsZero() {
		return false, nil
	}
	begin, err := lineBefore(f, end-1)
	if err != nil {
		return false, err
	}
	first, ok := timeAt(f, 0)
	last, also := timeAt(f, begin)
	if !ok || !also {
		return false, nil
	}
	// The records of different processors are not quite in the order of their times.
	const slack = time.Second
	times := []time.Time{first.Add(-slack), first.Add(slack), last.Add(-slack), last.Add(slack), written}
	earliest, latest := slices.MinFunc(times, time.Time.Compare), slices.MaxFunc(times, time.Time.Compare)
	return !r.q.To.IsZero() && earliest.After(r.q.To) || !r.q.From.IsZero() && latest.Before(r.q.From), nil
}

// timeAt returns the time of the line that begins at a place.
func timeAt(f io.ReaderAt, at int64) (time.Time, bool) {
	begin := make([]byte, 64)
	n, _ := f.ReadAt(begin, at)
	return timeOf(begin[:n])
}

// lineBefore returns where the line begins that the byte before at belongs to, or at, if a newline is
// before it.
func lineBefore(f io.ReaderAt, at int64) (int64, error) {
	buffer := make([]byte, 4<<10)
	for at > 0 {
		n := min(at, int64(len(buffer)))
		if _, err := f.ReadAt(buffer[:n], at-n); err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(buffer[:n], '\n'); i >= 0 {
			return at - n + int64(i) + 1, nil
		}
		at -= n
	}
	return 0, nil
}

// firstPiece is how much of the log's end is looked at first for the newest records: some hundred.
const firstPiece = 256 << 10

// newest yields the newest records. It looks for them from the end, in pieces that grow, and keeps
// only where the oldest of them is: what is wanted from there on are all of them.
func (r *reader) newest(ctx context.Context) error {
	missing := wanted{records: r.q.Newest, marks: r.q.Newest}
	var parts []stretch // the newest first
	var firsts []int64  // of each of parts, where its first mark or record is
	for i, name := range slices.Backward(r.names) {
		err := r.open(name, i == len(r.names)-1, func(f *os.File, end int64) error {
			before := missing.records
			from, first, err := r.lastOf(ctx, f, end, &missing)
			if missing.records < before {
				for k := range parts {
					parts[k].from = firsts[k] // no mark behind a record is left out
				}
			}
			parts, firsts = append(parts, stretch{name, from, end}), append(firsts, first)
			return err
		})
		if err != nil {
			return err
		}
		if missing.records == 0 {
			break
		}
	}
	torn := r.read.Torn
	defer func() { r.read.Torn = torn }() // lines that are read again count once
	for _, p := range slices.Backward(parts) {
		f, err := r.log.Open(p.name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		err = r.part(ctx, f, p.from, p.to, r.hand)
		f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// A wanted is how many records are looked for yet, and how many marks are shown of a log that has
// not so many.
type wanted struct{ records, marks int }

// take reports whether a record is wanted, from the newest on.
func (w *wanted) take(mark bool) bool {
	left := &w.records
	if mark {
		left = &w.marks
	}
	if w.records == 0 || *left == 0 {
		return false
	}
	*left--
	return true
}

// lastOf finds the last wanted records of a file, and returns where they begin, and where the first
// mark or record is that it saw.
func (r *reader) lastOf(ctx context.Context, f io.ReaderAt, end int64, missing *wanted) (from, first int64, err error) {
	type place struct {
		at   int64
		mark bool
	}
	from, first = end, end
	for piece := int64(firstPiece); end > 0 && missing.records > 0; piece *= 8 {
		begin, err := lineBefore(f, max(0, end-piece))
		if err != nil {
			return from, first, err
		}
		var places []place
		err = r.part(ctx, f, begin, end, func(rec *ports.Record, at int64) error {
			places = append(places, place{at, r.q.Filter.Selects() && rec.Event.Mark()})
			return nil
		})
		if err != nil {
			return from, first, err
		}
		if len(places) > 0 {
			first = places[0].at
		}
		for _, p := range slices.Backward(places) {
			if missing.take(p.mark) {
				from = p.at
			}
		}
		end = begin
	}
	return from, first, nil
}

// catchUp yields what was written since, in the file that was the last and those after it.
func (r *reader) catchUp(ctx context.Context) error {
	names, err := r.log.Names()
	if err != nil {
		return err
	}
	last := ""
	if len(r.names) > 0 {
		last = r.names[len(r.names)-1]
	}
	for i, name := range names {
		from := int64(0)
		if name == last {
			from = r.at
		} else if slices.Contains(r.names, name) {
			continue
		}
		err := r.open(name, i == len(names)-1, func(f *os.File, end int64) error {
			r.read.Files--
			return r.part(ctx, f, from, max(from, end), r.hand)
		})
		if err != nil {
			return err
		}
	}
	r.names = names
	return nil
}
