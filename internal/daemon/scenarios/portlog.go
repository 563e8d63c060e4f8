package scenarios

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"time"

	"diagsh/capture"
	"diagsh/internal/daemon/reports"
	"diagsh/internal/menu"
)

// portLogPart is how the names of the port log's files are told from others, and their end.
const (
	portLogPart = "-portlog-"
	portLogEnd  = ".ndjson"

	spoolEnd = ".part.making" // the reports remove what a death leaves of it
)

// PortLogName reports whether a file of the diagnostic directory is one of the port log.
func PortLogName(name string) bool {
	return strings.Contains(name, portLogPart) && strings.HasSuffix(name, portLogEnd)
}

// portLog is the part of the port log of the time of a capture, from each of its files.
func (r *Room) portLog(caller menu.Caller, s capture.Status) reports.Section {
	section := reports.Section{Title: "Port log", Note: "Which process opened, accepted and closed what: the part of the time of the capture, a line of JSON each."}
	list, err := r.o.Files.ListFiles()
	if err != nil {
		section.Note = "The diagnostic directory cannot be read."
		return section
	}
	from, to := s.StartTime.Add(-portLogTime), s.EndTime.Add(portLogTime)
	for _, f := range list {
		if !PortLogName(f.Name) || f.Modified.Before(from) {
			continue
		}
		one := reports.Member{Name: "portlog/" + f.Name, Role: f.Role}
		one.Open = func() (io.ReadCloser, int64, error) { return r.openPortLog(caller, f.Name, from, to) }
		section.Members = append(section.Members, one)
	}
	if len(section.Members) == 0 {
		section.Note = "It did not run."
	}
	return section
}

// openPortLog spools the part of a file of the port log that is of a time, for a caller who may read
// it. The spool has no name, so that nothing is left of it.
func (r *Room) openPortLog(caller menu.Caller, name string, from, to time.Time) (io.ReadCloser, int64, error) {
	source, err := r.boundaryOf().OpenWithin(caller, name)
	if err != nil {
		return nil, 0, err
	}
	defer source.Close()
	hidden := "." + name + spoolEnd
	spool, err := r.o.Files.CreateFile(hidden)
	if err != nil {
		return nil, 0, err
	}
	if err := r.o.Files.Root().Remove(hidden); err != nil {
		spool.Close()
		return nil, 0, err
	}
	size, err := r.copyPart(spool, source, from, to)
	if err == nil {
		_, err = spool.Seek(0, io.SeekStart)
	}
	if err != nil {
		spool.Close()
		return nil, 0, err
	}
	return spool, size, nil
}

// copyPart copies the lines of a time. It looks at the disk as it goes.
func (r *Room) copyPart(to io.Writer, source io.Reader, from, until time.Time) (size int64, err error) {
	out, lines := bufio.NewWriterSize(to, 64<<10), bufio.NewReaderSize(source, 64<<10)
	looked := int64(0)
	for {
		line, err := lines.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) || err != nil && len(line) == 0 {
			if !errors.Is(err, bufio.ErrBufferFull) && !errors.Is(err, io.EOF) {
				return size, err
			}
			if errors.Is(err, io.EOF) {
				return size, out.Flush()
			}
			continue // longer than any record
		}
		if at, ok := lineTime(line); !ok || at.Before(from) || at.After(until) || err != nil {
			continue // of another time, or the beginning of a line that is being written
		}
		n, err := out.Write(line)
		if size += int64(n); err != nil {
			return size, err
		}
		if size-looked > 8<<20 {
			looked = size
			if err := r.o.Files.Room(0, r.o.Files.Reserve()); err != nil {
				return size, err
			}
		}
	}
}

// lineTime returns the time of a record, which is its first member.
func lineTime(line []byte) (at time.Time, ok bool) {
	const begin = `{"time":"`
	if rest, found := bytes.CutPrefix(line, []byte(begin)); found {
		if text, _, found := bytes.Cut(rest, []byte(`"`)); found {
			at, err := time.Parse(time.RFC3339Nano, string(text))
			return at, err == nil
		}
	}
	var record struct {
		Time time.Time `json:"time"`
	}
	err := json.Unmarshal(line, &record)
	return record.Time, err == nil && !record.Time.IsZero()
}
