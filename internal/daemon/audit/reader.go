package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"diagsh/internal/access"
	"diagsh/internal/daemon/store"
	"diagsh/internal/menu"
)

// snapshot opens all files of the log, the oldest first, and returns how far each is to be read.
// What is written or rotated from then on changes nothing for the reader.
func (a *Log) snapshot() (files []*os.File, sizes []int64, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.openAll()
}

// openAll is snapshot, called with mu held.
func (a *Log) openAll() (files []*os.File, sizes []int64, err error) {
	paths, err := a.paths()
	if err != nil {
		return nil, nil, err
	}
	for _, path := range paths {
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var info os.FileInfo
		if err == nil {
			files = append(files, f)
			info, err = f.Stat()
		}
		if err != nil {
			closeAll(files)
			return nil, nil, err
		}
		sizes = append(sizes, info.Size())
	}
	return files, sizes, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// Events yields the lines that the filter chooses, the newest last. Lines that cannot be read are
// left out: VerifyAudit reports them. An error of yield ends it and is returned.
func (a *Log) Events(ctx context.Context, f access.EventFilter, yield func(access.Event) error) error {
	files, sizes, err := a.snapshot()
	if err != nil {
		return menu.Failing("read the audit log", err)
	}
	defer closeAll(files)
	each := func(l line) error {
		if err := yield(l.event); err != nil {
			return &yieldError{err}
		}
		return nil
	}
	if f.Newest > 0 {
		err = newestLines(ctx, files, sizes, f, each)
	} else {
		for i, file := range files {
			if err = eachLine(ctx, file, 0, sizes[i], f, each); err != nil {
				break
			}
		}
	}
	return failing(err)
}

// A yieldError is an error of yield, not one of reading.
type yieldError struct{ error }

// Follow yields the newest count lines, and with follow those that are written from then on, until
// ctx ends. An error of yield ends it and is returned.
func (a *Log) Follow(ctx context.Context, count int, follow bool, yield func(access.Event) error) error {
	t := store.Tail{Paths: a.paths, Changed: &a.written, Yield: func(line []byte) error {
		var e access.Event
		if json.Unmarshal(line, &e) != nil || e.Act == "" {
			return nil
		}
		if err := yield(e); err != nil {
			return &yieldError{err}
		}
		return nil
	}}
	return failing(t.Run(ctx, count, follow))
}

// failing returns an error of yield as it is, and makes any other one that is fit for a user.
func failing(err error) error {
	if theirs, ok := errors.AsType[*yieldError](err); ok {
		return theirs.error
	}
	return menu.Failing("read the audit log", err)
}

// A line is an event and its place.
type line struct {
	event  access.Event
	file   *os.File
	at     int64
	length int
}

// eachLine yields the lines that the filter chooses of one file between two places, of which the
// first is the beginning of a line.
func eachLine(ctx context.Context, file *os.File, from, to int64, f access.EventFilter, yield func(line) error) error {
	chosen := chooser(f)
	lines := store.NewLineReader(io.NewSectionReader(file, from, to-from))
	for at := from; ; {
		text, whole, err := lines.Next()
		if err != nil || text == nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		l := line{file: file, at: at, length: len(text)}
		if at += int64(len(text)); whole {
			at++
		}
		if json.Unmarshal(text, &l.event) != nil || l.event.Act == "" || !chosen(l.event) {
			continue
		}
		if err := yield(l); err != nil {
			return err
		}
	}
}

// newestLines yields the newest f.Newest lines. It looks for them from the end, in pieces that
// grow, and keeps only their places, so that neither a long log nor a large number costs much.
func newestLines(ctx context.Context, files []*os.File, sizes []int64, f access.EventFilter,
	yield func(line) error) error {
	var found []line // the newest first
	for i := len(files) - 1; i >= 0; i-- {
		end := sizes[i]
		for piece := int64(firstPiece); end > 0 && len(found) < f.Newest; piece *= 8 {
			begin, err := store.LineBefore(files[i], end-piece)
			if err != nil {
				return err
			}
			var lines []line
			if err := eachLine(ctx, files[i], begin, end, f, func(l line) error {
				l.event = access.Event{}
				lines = append(lines, l)
				return nil
			}); err != nil {
				return err
			}
			slices.Reverse(lines)
			found = append(found, lines...)
			end = begin
		}
	}
	found = found[:min(len(found), f.Newest)]
	for _, l := range slices.Backward(found) {
		text := make([]byte, l.length)
		if _, err := l.file.ReadAt(text, l.at); err != nil {
			return err
		}
		if err := json.Unmarshal(text, &l.event); err != nil {
			return err
		}
		if err := yield(l); err != nil {
			return err
		}
	}
	return nil
}

// firstPiece is how much of the log's end is looked at first: some hundred lines.
const firstPiece = 128 << 10

// chooser makes the test of a filter.
func chooser(f access.EventFilter) func(access.Event) bool {
	path := pathWords(f.Path)
	return func(e access.Event) bool {
		switch {
		case f.User != "" && e.User != f.User,
			f.Act != "" && e.Act != f.Act,
			f.Token != "" && e.Token != f.Token,
			!f.From.IsZero() && e.Time.Before(f.From),
			!f.To.IsZero() && e.Time.After(f.To):
			return false
		}
		words := pathWords(e.Path)
		return len(words) >= len(path) && slices.Equal(words[:len(path)], path)
	}
}

// pathWords takes a command path apart, whether its words are separated by slashes, as in the API,
// or by blanks, as they are typed. A file name is one word.
func pathWords(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' || r == ' ' || r == '>' })
}

// maxFaults is how many faults of the audit log are told.
const maxFaults = 20

// VerifyAudit reads the whole audit log and checks that each line is the one that the next line
// says came before it, that no file is missing, and that the last line is the one that this
// appliance wrote last. The line before the oldest file is not there any more once files have been
// taken out, so nothing can be said about it.
func (a *Log) VerifyAudit(ctx context.Context) (access.AuditReport, error) {
	a.mu.Lock()
	err := a.repair()
	written := a.previous
	faults, missing := a.gaps()
	files, sizes, unopened := a.openAll()
	a.mu.Unlock()
	if err := errors.Join(err, missing, unopened); err != nil {
		closeAll(files)
		return access.AuditReport{}, menu.Failing("read the audit log", err)
	}
	defer closeAll(files)
	report := report{AuditReport: access.AuditReport{Files: len(files), Faults: []string{}}}
	for _, f := range faults {
		report.fault("%s", f)
	}
	if len(files) > 0 {
		report.first = slices.Contains([]string{filepath.Base(a.current()), filepath.Base(a.closedFile(1))},
			filepath.Base(files[0].Name()))
	}
	for i, f := range files {
		if err := report.verify(ctx, filepath.Base(f.Name()), io.LimitReader(f, sizes[i])); err != nil {
			return report.AuditReport, menu.Failing("read the audit log", err)
		}
	}
	if report.Last != written {
		report.fault("the last line is not the one that was written last")
	}
	return report.AuditReport, nil
}

// report is one that is being made.
type report struct {
	access.AuditReport
	first bool // the first file that is read is the first that there ever was
}

func (r *report) verify(ctx context.Context, name string, in io.Reader) error {
	lines := store.NewLineReader(in)
	for number := 1; ; number++ {
		line, _, err := lines.Next()
		if err != nil || line == nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		var l chained
		switch {
		case json.Unmarshal(line, &l) != nil || l.Act == "":
			r.fault("%s line %d is no event", name, number)
		case r.Last != "" && l.Previous != r.Last:
			r.fault("%s line %d does not follow from the line before it", name, number)
		case r.Last == "" && r.first && l.Previous != "":
			r.fault("%s line %d follows a line that is not there", name, number)
		}
		if l.Result == resultChanged && l.Act == access.ActSystem {
			r.fault("%s line %d: %s", name, number, l.Message)
		}
		r.Lines++
		r.Last = lineHash(line)
	}
}

func (r *report) fault(format string, args ...any) {
	if len(r.Faults) < maxFaults {
		r.Faults = append(r.Faults, fmt.Sprintf(format, args...))
	}
}
