package bpf

import (
	"errors"
	"os"
	"time"

	"github.com/cilium/ebpf/ringbuf"
)

// Errors of a Ring's Read: it was closed; or all is read that was there when Flush was called.
var (
	ErrClosed  = ringbuf.ErrClosed
	ErrFlushed = ringbuf.ErrFlushed
)

// A Ring is the ring buffer by which programs hand over what they saw. One goroutine reads it.
type Ring struct {
	reader *ringbuf.Reader
	record ringbuf.Record
}

// Ring opens a ring buffer of the object. The caller closes it.
func (s *Set) Ring(name string) (*Ring, error) {
	r, err := ringbuf.NewReader(s.maps[name])
	if err != nil {
		return nil, failure("", err)
	}
	return &Ring{reader: r}, nil
}

// Read waits for a record, whose bytes are valid until the next call. The error is ErrFlushed after
// Flush, or ErrClosed after Close.
func (r *Ring) Read() ([]byte, error) {
	err := r.reader.ReadInto(&r.record)
	return r.record.RawSample, err
}

// Next returns the next record if there is one, or nil. A Read that finds an empty ring has the
// kernel wake it up for the next record; whoever calls Read, sleeps, and then calls Next until it
// is nil is woken once for all that came meanwhile.
func (r *Ring) Next() ([]byte, error) {
	r.reader.SetDeadline(time.Unix(1, 0))
	defer r.reader.SetDeadline(time.Time{})
	err := r.reader.ReadInto(&r.record)
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, ErrFlushed) {
		return nil, nil
	}
	return r.record.RawSample, err
}

// Flush lets Read return ErrFlushed once it has read what is there now.
func (r *Ring) Flush() error { return r.reader.Flush() }

// Close makes a Read that waits return, and gives the ring's memory back.
func (r *Ring) Close() error { return r.reader.Close() }
