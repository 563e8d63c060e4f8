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
	"diagsh/internal/access"
	"diagsh/internal/daemon/reports"
	"diagsh/internal/menu"
)

const (
	// portLogPart and portLogEnd are what the names of the port log's files have, and no others.
	portLogPart = "-portlog-"
	portLogEnd  = ".ndjson"

	spoolEnd = ".part.making" // the reports remove what a death leaves of it

	// portLogTime is how much the port log may be late with what it writes, and a clock may differ.
	portLogTime = time.Second
)

// PortLogName reports whether a file of the diagnostic directory is one of the port log.
func PortLogName(name string) bool {
	return strings.Contains(name, portLogPart) && strings.HasSuffix(name, portLogEnd)
}

// beginLog begins the port log for a job that wants it, unless it runs. That it cannot is a remark.
func (r *Room) beginLog(j *job, caller menu.Caller, persistent bool) {
	if !j.PortLog {
		return
	}
	r.holding.Lock()
	defer r.holding.Unlock()
	j.logTried = true
	if _, runs := r.o.PortLog.LogRuns(); runs {
		return
	}
	if err := r.o.PortLog.BeginLog(caller, persistent); err != nil {
		r.mu.Lock()
		j.Remarks = append(j.Remarks, "The port log does not run: "+sentence(err))
		r.mu.Unlock()
		return
	}
	since, _ := r.o.PortLog.LogRuns()
	r.mu.Lock()
	r.logBegun = since
	r.mu.Unlock()
}

// keepLog takes the port log of the room for what it was before the start of the appliance, if the log
// went on by itself: it runs since then.
func (r *Room) keepLog() {
	r.holding.Lock()
	defer r.holding.Unlock()
	since, runs := r.o.PortLog.LogRuns()
	if !runs || !r.logWasOurs {
		return
	}
	r.mu.Lock()
	r.logBegun = since
	r.mu.Unlock()
	if err := r.save(); err != nil {
		r.o.Log.Error("the jobs of captures cannot be written", "error", err)
	}
}

// holdLog begins the port log again for captures that go on after a start of the appliance, and ends
// the one that the room began when no capture wants it any more.
func (r *Room) holdLog(known map[*job]capture.Status) {
	wanted := false
	for j, s := range known {
		if !j.PortLog {
			continue
		}
		wanted = wanted || s.State == capture.Running || goesOn(s)
		if s.State == capture.Running {
			if !j.logTried {
				if caller, err := r.callerOf(j); err == nil {
					r.beginLog(j, caller, s.Persistent)
				}
				j.logTried = true
			}
		}
	}
	r.holding.Lock()
	defer r.holding.Unlock()
	r.mu.Lock()
	begun := r.logBegun
	r.mu.Unlock()
	if wanted || begun.IsZero() || r.beginning.Load() > 0 {
		return
	}
	if since, runs := r.o.PortLog.LogRuns(); runs && since.Equal(begun) {
		if err := r.o.PortLog.EndLog(menu.Caller{User: access.System, Role: menu.Operator}); err != nil {
			r.o.Log.Error("the port log of a scenario cannot be ended", "error", err)
			return
		}
	}
	r.mu.Lock()
	r.logBegun = time.Time{}
	r.mu.Unlock()
	if err := r.save(); err != nil {
		r.o.Log.Error("the jobs of captures cannot be written", "error", err)
	}
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
