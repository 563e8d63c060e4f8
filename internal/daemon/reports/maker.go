package reports

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/daemon/files"
	"diagsh/internal/menu"
)

// A maker makes one report.
type maker struct {
	r        *Reports
	dir      *files.Directory
	ctx      context.Context
	caller   menu.Caller
	request  access.ReportRequest
	progress func(string)
	report   access.Report
	folder   string // in the archive
	archive  *tar.Writer
	bundle   *Bundle  // what it is made of, in the place of the request
	sums     []summed // of the members so far
	began    time.Time
}

// Making lists the reports that are being made.
func (r *Reports) Making() (list []access.Activity) {
	r.mu.Lock()
	working := slices.Clone(r.made)
	r.mu.Unlock()
	for _, m := range working {
		a := access.Activity{Name: m.folder + Suffix, Type: "report", Since: m.began, Owner: m.caller.User, State: "being made"}
		if info, err := m.dir.Root().Lstat(m.hidden()); err == nil {
			a.Bytes = info.Size()
		}
		list = append(list, a)
	}
	return list
}

// hidden is the name of the file until the report is whole.
func (m *maker) hidden() string { return "." + m.folder + Suffix + makingSuffix }

// working notes that the report is being made, until done is called.
func (m *maker) working() (done func()) {
	m.began = time.Now()
	m.r.mu.Lock()
	defer m.r.mu.Unlock()
	m.r.made = append(m.r.made, m)
	return func() {
		m.r.mu.Lock()
		defer m.r.mu.Unlock()
		m.r.made = slices.DeleteFunc(m.r.made, func(other *maker) bool { return other == m })
	}
}

// make writes the report under a hidden name and gives it its own when it is safe on the disk.
func (m *maker) make() (err error) {
	for _, name := range m.request.Files {
		if m.bundle != nil {
			break // it says what is missing in it
		}
		f, err := m.open(name)
		if err != nil {
			return err
		}
		f.Close()
	}
	if err := m.room(m.bytes(), m.dir.Reserve()); err != nil {
		return err
	}
	defer m.working()()
	hidden := m.hidden()
	file, err := m.dir.CreateFile(hidden)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			m.dir.Root().Remove(hidden)
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
	if m.dir.Exists(m.report.Name) {
		return fmt.Errorf("there is a file %s already", m.report.Name)
	}
	m.report.Bytes = info.Size()
	return m.r.publish(hidden, m.report)
}

// publish gives the file of a whole report its name. The table knows first who may read it.
func (r *Reports) publish(hidden string, made access.Report) error {
	if err := r.change(func(list []access.Report) []access.Report {
		// A death before the file had its name may have left one of this name.
		return append(slices.DeleteFunc(list, func(known access.Report) bool { return known.Name == made.Name }), made)
	}); err != nil {
		return err
	}
	err := r.o.Files.RenameFile(hidden, made.Name)
	if err != nil && !r.o.Files.Exists(made.Name) {
		err = errors.Join(err, r.forget(made.Name))
	}
	return err
}

// open opens a file for the report, if the caller may read it.
func (m *maker) open(name string) (*os.File, error) {
	f, err := m.r.boundary.OpenWithin(m.caller, name)
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
		if f, err := m.dir.StatFile(name); err == nil {
			total += f.Bytes
		}
	}
	return total
}

// room returns an error unless more further bytes leave enough of the disk free. A report without
// captures leaves little.
func (m *maker) room(more, reserve int64) error {
	if more == 0 {
		reserve = min(reserve, reportRoom)
	}
	return m.dir.Room(more, reserve)
}

// write writes the archive.
func (m *maker) write(file *os.File) error {
	buffered := bufio.NewWriterSize(file, 256<<10)
	packed, err := gzip.NewWriterLevel(buffered, gzip.BestSpeed) // captures are large and processors few
	if err != nil {
		return err
	}
	m.archive = tar.NewWriter(packed)
	if m.bundle != nil {
		err = m.writeBundle()
	} else {
		err = m.writeParts()
	}
	if err != nil {
		return err
	}
	return errors.Join(m.archive.Close(), packed.Close(), buffered.Flush())
}

// writeParts writes what the request asks for, and its index.
func (m *maker) writeParts() error {
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
	return m.manifest()
}

// add puts a file into the archive.
func (m *maker) add(name string, size int64, modified time.Time, content io.Reader) error {
	header := &tar.Header{Name: m.folder + "/" + name, Mode: 0o644, Size: size, ModTime: modified, Format: tar.FormatPAX}
	if err := m.archive.WriteHeader(header); err != nil {
		return err
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(m.archive, sum), &checkedReader{m, io.LimitReader(content, size), 0})
	if err == nil && n < size {
		err = fmt.Errorf("%s became shorter while it was read", name)
	}
	m.sums = append(m.sums, summed{name, size, hex.EncodeToString(sum.Sum(nil))})
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
	f, err := m.open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return m.put("captures/"+name, name, f)
}

// put writes a file of the diagnostic directory, as it is now. Who may read it may read the report.
func (m *maker) put(as, name string, f *os.File) error {
	known, err := m.dir.StatFile(name)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := m.add(as, info.Size(), info.ModTime(), f); err != nil {
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

// part runs a command and puts what it says into the archive: a page for people and JSON for
// programs. A part that fails is noted, and the report continues.
func (m *maker) part(number int, p access.ReportPart) error {
	s, err := m.newSpool(p)
	if err != nil {
		return err
	}
	defer s.close()
	began := time.Now()
	ctx, cancel := context.WithTimeout(m.ctx, m.r.partTime)
	defer cancel()
	required, err := m.r.boundary.RunWithin(ctx, m.caller, p.Path, p.Arguments, s)
	c := access.Content{Title: p.Title, Command: commandLine(p), Result: "ok", Seconds: time.Since(began).Round(time.Millisecond).Seconds()}
	switch known := menu.AsError(err); {
	case m.ctx.Err() != nil:
		return m.ctx.Err()
	case s.failed != nil:
		return s.failed
	case ctx.Err() != nil:
		c.Result, c.Reason = menu.Interrupted.String(), fmt.Sprintf("It took longer than %s", menu.FormatDuration(m.r.partTime))
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
	page := indexPage(m.report, m.r.o.Product, m.r.o.Hostname())
	if err := m.add("index.html", int64(len(page)), m.report.Time, strings.NewReader(page)); err != nil {
		return err
	}
	data, err := json.MarshalIndent(m.report, "", "  ")
	if err != nil {
		return err
	}
	return m.add("report.json", int64(len(data)), m.report.Time, strings.NewReader(string(data)))
}
