package portlog

import (
	"errors"
	"time"

	"diagsh/diag/ports"
)

// An output is the log in one format, over all its sets. What the disk does not take of it is
// counted, and written as a gap as soon as the disk takes that.
type output struct {
	open func(begin time.Time) (set, error)
	set  set  // nil: it could not be opened
	bare bool // the set lacks its first lines

	missing uint64 // records since the last one that was written
	since   time.Time
}

var errNotOpen = errors.New("the files are not open")

// begin ends the present set and opens the next one.
func (o *output) begin(at time.Time) error {
	var err error
	if o.set != nil {
		err = errors.Join(o.set.Sync(), o.set.Close())
		o.set = nil
	}
	next, e := o.open(at)
	if e != nil {
		return errors.Join(err, e)
	}
	o.set, o.bare = next, true
	return err
}

// write appends records after what is due before them: the first lines of a set, and a gap for
// those that are missing.
func (o *output) write(list []ports.Record, head func() []ports.Record, reason string) error {
	if o.set == nil {
		o.drop(list)
		return errNotOpen
	}
	whole := list
	if o.bare || o.missing > 0 {
		whole = nil
		if o.bare {
			whole = head()
		}
		if o.missing > 0 {
			whole = append(whole, ports.Record{Time: o.since, Event: ports.Gap, Lost: o.missing, Reason: reason})
		}
		whole = append(whole, list...)
	}
	if err := o.set.Write(whole); err != nil {
		o.drop(list)
		return err
	}
	o.bare, o.missing = false, 0
	return nil
}

// drop counts records that are not written, as many as a gap among them counts.
func (o *output) drop(list []ports.Record) {
	for i := range list {
		r := &list[i]
		o.miss(max(1, r.Lost), r.Time)
	}
}

// miss counts records that are not written, the first of which is of a time.
func (o *output) miss(records uint64, since time.Time) {
	if o.missing == 0 {
		o.since = since
	}
	o.missing += records
}

// size returns what set.Bytes does; nothing if there is no set.
func (o *output) size() (largest, all int64) {
	if o.set == nil {
		return 0, 0
	}
	return o.set.Bytes()
}

func (o *output) sync() error {
	if o.set == nil {
		return errNotOpen
	}
	return o.set.Sync()
}

func (o *output) close() error {
	if o.set == nil {
		return nil
	}
	return o.set.Close()
}
