package daemon

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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

// A Boundary is what a report needs of package api: its parts are commands and files that the caller may run and read.
type Boundary interface {
	RunWithin(ctx context.Context, caller menu.Caller, path []string, args map[string]string, sink menu.Sink) (menu.Role, error)
	OpenWithin(caller menu.Caller, name string) (*os.File, error)
}

const (
	reportSuffix = ".tar.gz"
	makingSuffix = ".making" // of hidden files, until the report is whole
	keptReports  = 1000      // in the table

	// reportRoom is what a report leaves free of the disk. It is less than the reserve, because a report is wanted most when things go
	// wrong; copies of captures leave the reserve free.
	reportRoom = 64 << 20
)

// reports is the table of the reports that were made.
type reports struct {
	boundary Boundary
	file     store.JSON[reportsFile]
	making   sync.Mutex    // held while one is made
	partTime time.Duration // that a part may take

	mu   sync.Mutex
	list []access.Report // the oldest first
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

// openReports reads the table, and removes what a crash left of reports that were being made.
func openReports(dir string, files *os.Root) (*reports, error) {
	r := &reports{file: store.JSON[reportsFile]{Path: filepath.Join(dir, "reports.json"), Version: 1}, partTime: partTime}
	var file reportsFile
	if _, err := r.file.Load(&file); err != nil {
		return nil, err
	}
	r.list = file.Reports
	left, err := filepath.Glob(filepath.Join(dir, "diagnostic", ".*"+makingSuffix))
	for _, path := range left {
		err = errors.Join(err, files.Remove(filepath.Base(path)))
	}
	return r, err
}

// ReportWith gives the appliance the boundary by which reports run commands. Called once, before anybody can ask for a report.
func (d *Daemon) ReportWith(b Boundary) { d.reports.boundary = b }

// of finds the report in a file.
func (r *reports) of(file string) (access.Report, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.list, func(known access.Report) bool { return known.Name == file })
	if i < 0 {
		return access.Report{}, false
	}
	return r.list[i], true
}

// change makes and writes another table. If it cannot be written, the old one holds.
func (r *reports) change(edit func([]access.Report) []access.Report) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := edit(slices.Clone(r.list))
	next = next[max(0, len(next)-keptReports):]
	if err := r.file.Store(reportsFile{next}); err != nil {
		return err
	}
	r.list = next
	return nil
}

func (r *reports) forget(name string) error {
	return r.change(func(list []access.Report) []access.Report {
		return slices.DeleteFunc(list, func(known access.Report) bool { return known.Name == name })
	})
}

// Reports lists the reports whose files are there, the oldest first.
func (d *Daemon) Reports() []access.Report {
	d.reports.mu.Lock()
	list := slices.Clone(d.reports.list)
	d.reports.mu.Unlock()
	return slices.DeleteFunc(list, func(r access.Report) bool {
		_, err := d.FileInfo(r.Name)
		return err != nil
	})
}

// DeleteReport removes a report.
func (d *Daemon) DeleteReport(caller menu.Caller, name string) error {
	if _, ok := d.reports.of(name); !ok {
		return &menu.Error{Code: menu.NotFound, Argument: "name", Message: "There is no report " + menu.Quoted(name)}
	}
	return d.RemoveFile(caller, name)
}

// CreateReport makes a report. progress is told what is being done. Whatever happens, a report is there as a whole or not at all.
func (d *Daemon) CreateReport(ctx context.Context, caller menu.Caller, request access.ReportRequest, progress func(string)) (access.Report, error) {
	if !d.reports.making.TryLock() {
		return access.Report{}, menu.Errorf(menu.State, "Another report is being made").WithHint("Try again when it is done")
	}
	defer d.reports.making.Unlock()
	m := &maker{d: d, ctx: ctx, caller: caller, request: request, progress: progress}
	m.report = access.Report{Time: time.Now().UTC().Truncate(time.Second), Owner: caller.User, Case: request.Case, Contact: request.Contact,
		Description: request.Description, Files: []access.File{}, Role: menu.Operator}
	m.folder = d.Hostname() + "-report-" + m.report.Time.Format("20060102-150405")
	for n := 2; d.Exists(m.folder + reportSuffix); n++ {
		m.folder = fmt.Sprintf("%s-report-%s-%04d", d.Hostname(), m.report.Time.Format("20060102-150405"), n)
	}
	m.report.Name = m.folder + reportSuffix
	if err := m.make(); err != nil {
		return access.Report{}, menu.Failing("make the report", err)
	}
	return m.report, nil
}

// A maker makes one report.
type maker struct {
	d        *Daemon
	ctx      context.Context
	caller   menu.Caller
	request  access.ReportRequest
	progress func(string)
	report   access.Report
	folder   string // in the archive
	archive  *tar.Writer
}

// make writes the report under a hidden name and gives it its own when it is safe on the disk.
func (m *maker) make() (err error) {
	for _, name := range m.request.Files {
		f, err := m.open(name)
		if err != nil {
			return err
		}
		f.Close()
	}
	if err := m.room(m.bytes(), m.d.Reserve()); err != nil {
		return err
	}
	hidden := "." + m.report.Name + makingSuffix
	file, err := m.d.CreateFile(hidden)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			m.d.Root().Remove(hidden)
		}
	}()
	err = m.write(file)
	if err == nil {
		err = m.room(0, reportRoom)
	}
	if err == nil {
		err = file.Sync()
	}
	info, statErr := file.Stat()
	if err = errors.Join(err, statErr, file.Close()); err != nil {
		return err
	}
	if m.d.Exists(m.report.Name) {
		return fmt.Errorf("there is a file %s already", m.report.Name)
	}
	// The table knows first who may read it.
	m.report.Bytes = info.Size()
	if err := m.d.reports.change(func(list []access.Report) []access.Report { return append(list, m.report) }); err != nil {
		return err
	}
	err = m.d.RenameFile(hidden, m.report.Name)
	if err != nil && !m.d.Exists(m.report.Name) {
		err = errors.Join(err, m.d.reports.forget(m.report.Name))
	}
	return err
}

// open opens a file for the report, if the caller may read it.
func (m *maker) open(name string) (*os.File, error) {
	f, err := m.d.reports.boundary.OpenWithin(m.caller, name)
	var known *menu.Error
	if errors.As(err, &known) {
		blamed := *known
		blamed.Argument = "files"
		if known.Code == menu.Denied {
			blamed.Message = name + ": " + known.Message
		}
		return nil, &blamed
	}
	return f, err
}

// bytes is what the files take that go into the report.
func (m *maker) bytes() (total int64) {
	for _, name := range m.request.Files {
		if f, err := m.d.StatFile(name); err == nil {
			total += f.Bytes
		}
	}
	return total
}

// room makes sure that so many bytes more leave enough of the disk free. A report without captures leaves little.
func (m *maker) room(more, reserve int64) error {
	if more == 0 {
		reserve = min(reserve, reportRoom)
	}
	return m.d.Room(more, reserve)
}

// write writes the archive.
func (m *maker) write(file *os.File) error {
	buffered := bufio.NewWriterSize(file, 256<<10)
	packed, err := gzip.NewWriterLevel(buffered, gzip.BestSpeed) // captures are large and processors few
	if err != nil {
		return err
	}
	m.archive = tar.NewWriter(packed)
	for i, p := range m.request.Parts {
		if err := m.ctx.Err(); err != nil {
			return err
		}
		m.progress(fmt.Sprintf("Part %d of %d: %s", i+1, len(m.request.Parts)+len(m.request.Files), p.Title))
		if err := m.part(i+1, p); err != nil {
			return err
		}
	}
	for i, name := range m.request.Files {
		m.progress(fmt.Sprintf("Part %d of %d: %s", len(m.request.Parts)+i+1, len(m.request.Parts)+len(m.request.Files), name))
		if err := m.copy(name); err != nil {
			return err
		}
	}
	if err := m.index(); err != nil {
		return err
	}
	return errors.Join(m.archive.Close(), packed.Close(), buffered.Flush())
}

// add puts a file into the archive.
func (m *maker) add(name string, size int64, modified time.Time, content io.Reader) error {
	header := &tar.Header{Name: m.folder + "/" + name, Mode: 0o644, Size: size, ModTime: modified, Format: tar.FormatPAX}
	if err := m.archive.WriteHeader(header); err != nil {
		return err
	}
	n, err := io.Copy(m.archive, &checkedReader{m, io.LimitReader(content, size), 0})
	if err == nil && n < size {
		err = fmt.Errorf("%s became shorter while it was read", name)
	}
	return err
}

// A checkedReader ends when the caller interrupts, or when the disk gets full.
type checkedReader struct {
	m    *maker
	from io.Reader
	read int
}

// checkEvery is how much is read between two looks at the disk.
const checkEvery = 8 << 20

func (r *checkedReader) Read(b []byte) (int, error) {
	if err := r.m.ctx.Err(); err != nil {
		return 0, err
	}
	if r.read > checkEvery {
		r.read = 0
		if err := r.m.room(0, reportRoom); err != nil {
			return 0, err
		}
	}
	n, err := r.from.Read(b)
	r.read += n
	return n, err
}

// copy puts a file of the diagnostic directory into the archive.
func (m *maker) copy(name string) error {
	known, err := m.d.StatFile(name)
	if err != nil {
		return err
	}
	f, err := m.open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := m.add("captures/"+name, info.Size(), info.ModTime(), f); err != nil {
		return err
	}
	known.Bytes = info.Size()
	m.report.Files = append(m.report.Files, known)
	m.report.Payload = m.report.Payload || known.Payload
	m.require(known.Role)
	return nil
}

// require notes that reading the report takes a role.
func (m *maker) require(role menu.Role) {
	if role == menu.Administrator {
		m.report.Role = role
	}
}

// partTime is how long a part may take.
const partTime = 30 * time.Second

// part runs a command and puts what it says into the archive: a page for people and JSON for programs. A part that fails is noted, and
// the report goes on.
func (m *maker) part(number int, p access.ReportPart) error {
	s, err := m.newSpool(p)
	if err != nil {
		return err
	}
	defer s.close()
	began := time.Now()
	ctx, cancel := context.WithTimeout(m.ctx, m.d.reports.partTime)
	defer cancel()
	required, err := m.d.reports.boundary.RunWithin(ctx, m.caller, p.Path, p.Arguments, s)
	c := access.Content{Title: p.Title, Command: commandLine(p), Result: "ok", Seconds: time.Since(began).Round(time.Millisecond).Seconds()}
	switch known := menu.AsError(err); {
	case m.ctx.Err() != nil:
		return m.ctx.Err()
	case s.failed != nil:
		return s.failed
	case ctx.Err() != nil:
		c.Result, c.Reason = menu.Interrupted.String(), fmt.Sprintf("It took longer than %s", menu.FormatDuration(m.d.reports.partTime))
	case s.full():
		c.Reason = fmt.Sprintf("It is larger than %s; the rest is left out", menu.Size(partBytes))
	case err != nil:
		c.Result, c.Reason = known.Code.String(), known.Error()
	}
	c.Records = s.records
	if s.wrote() {
		m.require(required)
		name := fmt.Sprintf("%02d-%s", number, strings.Join(p.Path, "-"))
		c.Page = "pages/" + name + ".html"
		if err := s.page.finish(m, c.Page, began, pageEnd(c)); err != nil {
			return err
		}
		if s.records > 0 {
			c.Data = "data/" + name + ".json"
			if err := s.data.finish(m, c.Data, began, s.dataEnd()); err != nil {
				return err
			}
		}
	}
	m.report.Contents = append(m.report.Contents, c)
	return nil
}

// commandLine is the command as it can be typed.
func commandLine(p access.ReportPart) string {
	words := slices.Clone(p.Path)
	names := make([]string, 0, len(p.Arguments))
	for name := range p.Arguments {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		words = append(words, name, menu.Quote(p.Arguments[name]))
	}
	return strings.Join(words, " ")
}

// index writes what is found where: index.html for people, report.json for programs.
func (m *maker) index() error {
	page := indexPage(m.report, m.d.product, m.d.Hostname())
	if err := m.add("index.html", int64(len(page)), m.report.Time, strings.NewReader(page)); err != nil {
		return err
	}
	data, err := json.MarshalIndent(m.report, "", "  ")
	if err != nil {
		return err
	}
	return m.add("report.json", int64(len(data)), m.report.Time, strings.NewReader(string(data)))
}

// reportFiles owns the files of the diagnostic directory that are reports.
type reportFiles struct{ d *Daemon }

func (reportFiles) Kind() string { return "reports" }

// Describe implements files.Owner. What is not known of a report is taken for the worst.
func (o reportFiles) Describe() func(string) (files.Facts, bool) {
	return func(name string) (files.Facts, bool) {
		if !strings.HasSuffix(name, reportSuffix) {
			return files.Facts{}, false
		}
		r, ok := o.d.reports.of(name)
		switch {
		case !ok:
			return files.Facts{Payload: true, Role: menu.Administrator}, true
		case r.Role == menu.Administrator:
			return files.Facts{Payload: r.Payload, Role: r.Role}, true
		}
		return files.Facts{Payload: r.Payload}, true
	}
}

func (reportFiles) MayRemove(string) error { return nil }

// Removed implements files.Owner.
func (o reportFiles) Removed(names ...string) {
	for _, name := range names {
		if _, known := o.d.reports.of(name); known {
			if err := o.d.reports.forget(name); err != nil {
				o.d.log.Error("the table of reports cannot be written", "error", err)
			}
		}
	}
}

// Expendable implements files.Owner: somebody made a report on purpose.
func (reportFiles) Expendable() []files.Expendable { return nil }
