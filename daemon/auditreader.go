package daemon

import (
	"bufio"
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

	"diagsh/access"
)

// maxLine is the longest line that a reader takes for one; we write none of a quarter of it. What is longer comes in pieces.
const maxLine = 1 << 20

// A lineReader cuts a stream into lines, in bounded memory.
type lineReader struct{ r *bufio.Reader }

func newLineReader(r io.Reader) lineReader { return lineReader{bufio.NewReaderSize(r, maxLine)} }

// next returns a line without its newline; it is valid until the next call. nil is the end. whole is false for a line that ends
// without a newline, or that is longer than maxLine.
func (l lineReader) next() (line []byte, whole bool, err error) {
	line, err = l.r.ReadSlice('\n')
	switch {
	case err == nil:
		return line[:len(line)-1], true, nil
	case errors.Is(err, bufio.ErrBufferFull):
		return line, false, nil
	case errors.Is(err, io.EOF) && len(line) > 0:
		return line, false, nil
	case errors.Is(err, io.EOF):
		return nil, false, nil
	}
	return nil, false, err
}

const maxNewest = 100_000

// snapshot opens all files of the log as they are now, the oldest first: what is written or rotated from then on changes
// nothing for the reader. The sizes say how far each is to be read.
func (a *auditLog) snapshot() (files []*os.File, sizes []int64, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
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

// Events yields the lines of the audit log that the filter chooses, the newest last. Lines that cannot be read are left out:
// VerifyAudit tells of them. An error of yield ends it and is returned. EventFilter.Newest counts up to maxNewest, because these
// events are in memory together; without it they are not.
func (d *Daemon) Events(ctx context.Context, f access.EventFilter, yield func(access.Event) error) error {
	files, sizes, err := d.audit.snapshot()
	if err != nil {
		return d.plain("read the audit log", err)
	}
	defer closeAll(files)
	if f.Newest <= 0 {
		for i, file := range files {
			if err := eachEvent(ctx, io.LimitReader(file, sizes[i]), f, yield); err != nil {
				return d.plain("read the audit log", err)
			}
		}
		return nil
	}
	// The newest are found from the end: a file at a time, each giving as many as are still missing.
	var newest []access.Event
	wanted := min(f.Newest, maxNewest)
	for i := len(files) - 1; i >= 0 && len(newest) < wanted; i-- {
		found, err := newestEvents(ctx, io.LimitReader(files[i], sizes[i]), f, wanted-len(newest))
		if err != nil {
			return d.plain("read the audit log", err)
		}
		newest = append(found, newest...)
	}
	for _, e := range newest {
		if err := yield(e); err != nil {
			return err
		}
	}
	return nil
}

// eachEvent yields the events of one file that the filter chooses.
func eachEvent(ctx context.Context, r io.Reader, f access.EventFilter, yield func(access.Event) error) error {
	chosen := chooser(f)
	lines := newLineReader(r)
	for {
		line, _, err := lines.next()
		if err != nil || line == nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		var e access.Event
		if json.Unmarshal(line, &e) != nil || !chosen(e) {
			continue
		}
		if err := yield(e); err != nil {
			return err
		}
	}
}

// newestEvents is the last n of them.
func newestEvents(ctx context.Context, r io.Reader, f access.EventFilter, n int) ([]access.Event, error) {
	var ring []access.Event
	next := 0
	err := eachEvent(ctx, r, f, func(e access.Event) error {
		if len(ring) < n {
			ring = append(ring, e)
		} else {
			ring[next] = e
			next = (next + 1) % n
		}
		return nil
	})
	return slices.Concat(ring[next:], ring[:next]), err
}

// chooser makes the test of a filter.
func chooser(f access.EventFilter) func(access.Event) bool {
	path := pathWords(f.Path)
	return func(e access.Event) bool {
		switch {
		case f.User != "" && e.User != f.User,
			f.Act != "" && e.Act != f.Act,
			!f.From.IsZero() && e.Time.Before(f.From),
			!f.To.IsZero() && e.Time.After(f.To):
			return false
		}
		words := pathWords(e.Path)
		return len(words) >= len(path) && slices.Equal(words[:len(path)], path)
	}
}

// pathWords takes a command path apart, whether its words are separated by slashes, as in the API, or by blanks, as they are
// typed. A file name is one word.
func pathWords(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' || r == ' ' || r == '>' })
}

// An AuditReport is what Verify found.
type AuditReport struct {
	Files  int      `json:"files"`
	Lines  int64    `json:"lines"`
	Last   string   `json:"last"`   // hash of the last line
	Faults []string `json:"faults"` // what was changed, taken out or torn, as sentences; at most maxFaults
}

const maxFaults = 20

// VerifyAudit reads the whole audit log and checks that each line is the one that the next line says came before it. The line
// before the oldest file is not there any more, so nothing can be said about it.
func (d *Daemon) VerifyAudit(ctx context.Context) (AuditReport, error) {
	files, sizes, err := d.audit.snapshot()
	if err != nil {
		return AuditReport{}, d.plain("read the audit log", err)
	}
	defer closeAll(files)
	report := AuditReport{Files: len(files), Faults: []string{}}
	for i, f := range files {
		if err := report.verify(ctx, filepath.Base(f.Name()), io.LimitReader(f, sizes[i])); err != nil {
			return report, d.plain("read the audit log", err)
		}
	}
	return report, nil
}

func (r *AuditReport) verify(ctx context.Context, name string, in io.Reader) error {
	lines := newLineReader(in)
	for number := 1; ; number++ {
		line, _, err := lines.next()
		if err != nil || line == nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		var l auditLine
		switch {
		case json.Unmarshal(line, &l) != nil:
			r.fault("%s line %d is no event", name, number)
		case r.Last != "" && l.Previous != r.Last:
			r.fault("%s line %d does not follow from the line before it", name, number)
		}
		r.Lines++
		r.Last = lineHash(line)
	}
}

func (r *AuditReport) fault(format string, args ...any) {
	if len(r.Faults) < maxFaults {
		r.Faults = append(r.Faults, fmt.Sprintf(format, args...))
	}
}
