package portlog

import (
	"errors"
	"time"

	"diagsh/diag/ports"
	"diagsh/internal/daemon/store"
)

// A set is the files of one stretch of the log in one format, from its beginning to the next one's.
// It is for one goroutine.
type set interface {
	// Write appends records: all of them, or none and an error.
	Write([]ports.Record) error

	// Bytes returns the size of the largest of the files that grow, and of all files together.
	Bytes() (largest, all int64)

	// Sync returns when all that was written is safe on the disk.
	Sync() error
	Close() error
}

// A lines is a set of one file, which has one JSON object a line.
type lines struct {
	file *store.Lines
	text []byte // of the lines of one Write
	torn bool   // the file ends amid a line, which could not be removed
}

// openLines begins a file, which must not be there yet.
func (l *Log) openLines(begin time.Time) (set, error) {
	name := linesName(l.o.Hostname(), begin)
	f, err := l.o.Files.CreateFile(name)
	if err != nil {
		return nil, err
	}
	f.Close()
	s := &lines{}
	if s.file, err = store.OpenLines(l.pathOf(name)); err != nil {
		return nil, errors.Join(err, l.o.Files.Root().Remove(name))
	}
	return s, nil
}

func (s *lines) Write(list []ports.Record) error {
	text := s.text[:0]
	if s.torn {
		text = append(text, '\n')
	}
	for i := range list {
		var err error
		if text, err = list[i].AppendJSON(text); err != nil {
			return err
		}
		text = append(text, '\n')
	}
	s.text = text
	partial, err := s.file.Append(text)
	s.torn = partial > 0 || s.torn && err != nil
	return err
}

func (s *lines) Bytes() (largest, all int64) { return s.file.Size(), s.file.Size() }

func (s *lines) Sync() error { return s.file.Sync() }

func (s *lines) Close() error { return s.file.Close() }
