// Package reports makes reports: archives of what commands say and of files, which the boundary
// runs and opens for their caller. A report is there as a whole or not at all. Who may read one is
// what its parts demand.
package reports

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/daemon/files"
	"diagsh/internal/daemon/store"
	"diagsh/internal/menu"
)

// A Boundary is what a report needs of package api: its parts are commands and files that the
// caller may run and read.
type Boundary interface {
	RunWithin(ctx context.Context, caller menu.Caller, path []string, args map[string]string, sink menu.Sink) (menu.Role, error)
	OpenWithin(caller menu.Caller, name string) (*os.File, error)
}

const (
	Suffix       = ".tar.gz" // of the files of reports
	makingSuffix = ".making" // of hidden files, until the report is whole
	keptReports  = 1000      // in the table

	// reportRoom is what a report leaves free of the disk. It is less than the reserve, because a
	// report is wanted most when things go wrong; copies of captures leave the reserve free.
	reportRoom = 64 << 20
)

// Options are what Reports need of the rooms around them.
type Options struct {
	Dir      string           // the data directory
	Files    *files.Directory // that reports are written into
	Product  string           // name and version, as reports say them
	Hostname func() string
	Tell     access.Teller      // of reports, by the names of their files
	SetAside func(store.Damage) // is told of a damaged file; nil: Open fails
	Log      *slog.Logger
}

// Reports are the table of what was made, and the making. Their methods may be called from any
// goroutine.
type Reports struct {
	o        Options
	boundary Boundary
	file     store.JSON[reportsFile]
	making   sync.Mutex    // held while one is made
	partTime time.Duration // that a part may take

	mu   sync.Mutex
	list []access.Report // the oldest first
	made []*maker        // that work now
}

// reportsFile is the content of reports.json.
type reportsFile struct {
	Reports []access.Report `json:"reports"`
}

// UnmarshalJSON reads version 0 too, which is the list alone.
func (f *reportsFile) UnmarshalJSON(data []byte) error {
	if bytes.HasPrefix(data, []byte("[")) {
		return json.Unmarshal(data, &f.Reports)
	}
	type plain reportsFile
	return json.Unmarshal(data, (*plain)(f))
}

// Open reads the table, removes what a crash left of reports that were being made, and registers
// the owner of the files.
func Open(o Options) (*Reports, error) {
	r := &Reports{o: o, file: store.JSON[reportsFile]{Path: filepath.Join(o.Dir, "reports.json"), Version: 1, SetAside: o.SetAside}, partTime: partTime}
	var file reportsFile
	if _, err := r.file.Load(&file); err != nil {
		return nil, err
	}
	r.list = file.Reports
	left, err := filepath.Glob(filepath.Join(o.Files.Path(), ".*"+makingSuffix))
	for _, path := range left {
		err = errors.Join(err, o.Files.Root().Remove(filepath.Base(path)))
	}
	o.Files.Register(filesOwner{r})
	return r, err
}

// ReportWith gives the boundary by which reports run commands. Called once, before anybody can ask
// for a report.
func (r *Reports) ReportWith(b Boundary) { r.boundary = b }

// of finds the report in a file.
func (r *Reports) of(file string) (access.Report, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.list, func(known access.Report) bool { return known.Name == file })
	if i < 0 {
		return access.Report{}, false
	}
	return r.list[i], true
}

// change makes and writes another table. If it cannot be written, the old one holds.
func (r *Reports) change(edit func([]access.Report) []access.Report) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := edit(slices.Clone(r.list))
	next = next[max(0, len(next)-keptReports):]
	if err := r.file.Store(reportsFile{next}); err != nil {
		return err
	}
	for _, list := range [][]access.Report{r.list, next} {
		for _, known := range list {
			if of(r.list, known.Name) != of(next, known.Name) {
				r.o.Tell.Changed(known.Name)
			}
		}
	}
	r.list = next
	return nil
}

// of reports whether a list has the report in a file.
func of(list []access.Report, file string) bool {
	return slices.ContainsFunc(list, func(known access.Report) bool { return known.Name == file })
}

func (r *Reports) forget(name string) error {
	return r.change(func(list []access.Report) []access.Report {
		return slices.DeleteFunc(list, func(known access.Report) bool { return known.Name == name })
	})
}

// Reports lists the reports whose files are there, the oldest first.
func (r *Reports) Reports() []access.Report {
	r.mu.Lock()
	list := slices.Clone(r.list)
	r.mu.Unlock()
	return slices.DeleteFunc(list, func(known access.Report) bool {
		_, err := r.o.Files.FileInfo(known.Name)
		return err != nil
	})
}

// Report returns the report in a file. It reports false if there is none.
func (r *Reports) Report(file string) (access.Report, bool) {
	known, ok := r.of(file)
	if !ok {
		return known, false
	}
	_, err := r.o.Files.FileInfo(file)
	return known, err == nil
}

// DeleteReport removes a report.
func (r *Reports) DeleteReport(caller menu.Caller, name string) error {
	if _, ok := r.of(name); !ok {
		return &menu.Error{Code: menu.NotFound, Argument: "name", Message: "There is no report " + menu.Quoted(name)}
	}
	return r.o.Files.RemoveFile(caller, name)
}

var errMaking = menu.Errorf(menu.State, "Another report is being made").WithHint("Try again when it is done")

// CreateReport makes a report. progress is told what is being done. Whatever happens, a report is
// there as a whole or not at all.
func (r *Reports) CreateReport(ctx context.Context, caller menu.Caller, request access.ReportRequest, progress func(string)) (access.Report, error) {
	if !r.making.TryLock() {
		return access.Report{}, errMaking
	}
	defer r.making.Unlock()
	m := &maker{r: r, dir: r.o.Files, ctx: ctx, caller: caller, request: request, progress: progress}
	m.report = access.Report{Time: time.Now().UTC().Truncate(time.Second), Owner: caller.User, Case: request.Case, Contact: request.Contact,
		Description: request.Description, Files: []access.File{}, Role: menu.Operator}
	m.folder = r.o.Hostname() + "-report-" + m.report.Time.Format("20060102-150405")
	for n := 2; r.o.Files.Exists(m.folder + Suffix); n++ {
		m.folder = fmt.Sprintf("%s-report-%s-%04d", r.o.Hostname(), m.report.Time.Format("20060102-150405"), n)
	}
	m.report.Name = m.folder + Suffix
	if err := m.make(); err != nil {
		return access.Report{}, menu.Failing("make the report", err)
	}
	return m.report, nil
}

// A filesOwner owns the files of the diagnostic directory that are reports.
type filesOwner struct{ r *Reports }

func (filesOwner) Kind() string { return "reports" }

// Describe implements files.Owner. What is not known of a report is taken for the worst.
func (o filesOwner) Describe() func(string) (files.Facts, bool) {
	return func(name string) (files.Facts, bool) {
		if !strings.HasSuffix(name, Suffix) && !pageName().MatchString(name) {
			return files.Facts{}, false
		}
		r, ok := o.r.of(name)
		switch {
		case !ok:
			return files.Facts{Payload: true, Role: menu.Administrator}, true
		case r.Role == menu.Administrator:
			return files.Facts{Payload: r.Payload, Role: r.Role}, true
		}
		return files.Facts{Payload: r.Payload}, true
	}
}

func (filesOwner) MayRemove(string) error { return nil }

// Removed implements files.Owner.
func (o filesOwner) Removed(names ...string) {
	for _, name := range names {
		if _, known := o.r.of(name); known {
			if err := o.r.forget(name); err != nil {
				o.r.o.Log.Error("the table of reports cannot be written", "error", err)
			}
		}
	}
}

// Expendable implements files.Owner. No report is expendable: a user made each on purpose.
func (filesOwner) Expendable() []files.Expendable { return nil }
