package scenarios

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/internal/access"
	"diagsh/internal/daemon/files"
	"diagsh/internal/daemon/reports"
	"diagsh/internal/menu"
	"diagsh/internal/test/await"
	"diagsh/internal/test/roomtest"
)

// A shelf has captures, each with a file of packets. It is Captures, and owns the files.
type shelf struct {
	mu   sync.Mutex
	list []capture.Status
}

func (s *shelf) StartCapture(_ menu.Caller, r capture.Request) (capture.Status, error) {
	one := capture.Status{Name: r.Name, State: capture.Running, Options: r.Options, StartTime: time.Now(), Files: []capture.FileInfo{{Name: "mx1-" + r.Name + ".pcap"}}}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, one)
	return one, nil
}

func (s *shelf) StopCapture(_ menu.Caller, name string) (capture.Status, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.list {
		if s.list[i].Name == name {
			s.list[i].State, s.list[i].EndTime = capture.Stopped, time.Now()
			return s.list[i], nil
		}
	}
	return capture.Status{}, menu.Errorf(menu.NotFound, "none")
}

func (s *shelf) Capture(name string) (capture.Status, error) {
	for _, one := range s.Captures() {
		if one.Name == name {
			return one, nil
		}
	}
	return capture.Status{}, menu.Errorf(menu.NotFound, "none")
}

func (s *shelf) Captures() []capture.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.list)
}

func (s *shelf) CaptureSettings() capture.Settings { return capture.Settings{} }

func (s *shelf) Kind() string { return "captures" }

func (s *shelf) Describe() func(string) (files.Facts, bool) {
	return func(name string) (files.Facts, bool) { return files.Facts{}, filepath.Ext(name) == ".pcap" }
}

func (s *shelf) MayRemove(string) error { return nil }

func (s *shelf) Removed(...string) {}

func (s *shelf) Expendable() (list []files.Expendable) {
	for _, one := range s.Captures() {
		if one.State != capture.Running {
			list = append(list, files.Expendable{Name: one.Files[0].Name, Since: one.EndTime, Take: func() bool { return true }})
		}
	}
	return list
}

// A reader runs the lines of tables. It is Boundary for the room, and for reports.
type reader struct {
	files *files.Directory
	line  func(ctx context.Context, line string) error
}

func (r reader) RunLineWithin(ctx context.Context, _ menu.Caller, line string, sink menu.Sink) (menu.Role, error) {
	if err := r.line(ctx, line); err != nil {
		return "", err
	}
	return menu.ReadOnly, sink.Text([]byte(line + "\n"))
}

func (r reader) RunWithin(context.Context, menu.Caller, []string, map[string]string, menu.Sink) (menu.Role, error) {
	return menu.ReadOnly, nil
}

func (r reader) OpenWithin(_ menu.Caller, name string) (*os.File, error) {
	return r.files.OpenFile(name)
}

// A noLog is a port log that does not run.
type noLog struct{}

func (noLog) LogRuns() (since time.Time, runs bool) { return time.Time{}, false }

func (noLog) BeginLog(menu.Caller, bool) error { return nil }

func (noLog) EndLog(menu.Caller) error { return nil }

// A bed is a Room with captures that are none, and the rooms that it needs.
type bed struct {
	*Room
	*shelf
	t       *testing.T
	dir     string
	files   *files.Directory
	reports *reports.Reports
	tables  []access.Table // of captures that begin
}

const quota = 50 << 20

// openBed opens the rooms in a folder; line runs the lines of tables.
func openBed(t *testing.T, dir string, s *shelf, line func(ctx context.Context, line string) error) *bed {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	b := &bed{shelf: s, t: t, dir: dir, tables: []access.Table{{Title: "one", Line: "table"}}}
	silent := func(string, string, map[string]string) {}
	var err error
	if b.files, err = files.Open(files.Options{Path: filepath.Join(dir, "diagnostic"), Log: log, System: silent, QuotaBytes: quota, DeleteOldest: true, ReserveBytes: 1}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.files.Close(context.Background()) })
	b.files.Register(s)
	if b.reports, err = reports.Open(reports.Options{Dir: dir, Files: b.files, Hostname: func() string { return "mx1" }, Log: log}); err != nil {
		t.Fatal(err)
	}
	b.Room, err = Open(Options{Dir: dir, Captures: s, Files: b.files, Reports: b.reports, PortLog: noLog{}, Log: log, System: silent,
		CallerOf: func(c menu.Caller) (menu.Caller, error) { return c, nil }})
	if err != nil {
		t.Fatal(err)
	}
	boundary := reader{b.files, line}
	b.reports.ReportWith(boundary)
	b.ReadWith(boundary)
	b.Room.Start()
	t.Cleanup(b.close)
	return b
}

func (b *bed) close() {
	if err := b.Room.Close(context.Background()); err != nil {
		b.t.Error(err)
	}
}

// begin begins a capture with tables, and has its file on the disk.
func (b *bed) begin(name string, bytes int64, report bool) {
	b.t.Helper()
	f, err := b.files.CreateFile("mx1-" + name + ".pcap")
	if err == nil {
		err = f.Truncate(bytes)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	f.Close()
	request := capture.Request{Name: name}
	request.Report = report
	s, err := b.shelf.StartCapture(roomtest.Admin, request)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := b.Room.begin(&job{Capture: name, Caller: ownerOf(roomtest.Admin), Begun: s.StartTime, Tables: b.tables}, s); err != nil {
		b.t.Fatal(err)
	}
	b.Captured(name)
}

// stop ends a capture.
func (b *bed) stop(name string) {
	b.t.Helper()
	if _, err := b.shelf.StopCapture(roomtest.Admin, name); err != nil {
		b.t.Fatal(err)
	}
	b.Captured(name)
}

// state returns how far the report of a capture is.
func (b *bed) state(name string) capture.ReportState {
	b.t.Helper()
	s, err := b.Room.Capture(name)
	if err != nil {
		b.t.Fatal(err)
	}
	return s.ReportState
}

// The tables of captures that begin together are read at the same time, of a few captures at once, and
// one whose table takes long holds up no other.
func TestTablesOfSeveralCaptures(t *testing.T) {
	inside, release := make(chan struct{}, 100), make(chan struct{})
	b := openBed(t, t.TempDir(), &shelf{}, func(ctx context.Context, _ string) error {
		inside <- struct{}{}
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		b.begin(name, 1, false)
	}
	for range atOnce {
		<-inside // together: none of them has ended
	}
	b.Room.mu.Lock()
	reading := len(b.busy)
	b.Room.mu.Unlock()
	if len(b.slots) != atOnce || len(inside) > 0 || reading < atOnce {
		t.Errorf("%d are read, and %d wait to be", len(b.slots), reading)
	}
	close(release)
	await.Until(t, "all tables", func() bool {
		b.Room.mu.Lock()
		defer b.Room.mu.Unlock()
		return !slices.ContainsFunc(b.jobs, func(j *job) bool { return len(j.Before) != 1 || j.Before[0].Result != "ok" })
	})
}

// A capture that is deleted while its tables are read leaves none of them, and no more are read: a
// table may ask servers.
func TestTablesOfADeletedCapture(t *testing.T) {
	for _, when := range []string{"before", "after"} {
		inside, release := make(chan struct{}, 100), make(chan struct{}, 100)
		b := openBed(t, t.TempDir(), &shelf{}, func(ctx context.Context, _ string) error {
			inside <- struct{}{}
			select {
			case <-release:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		b.tables = append(b.tables, access.Table{Title: "two", Line: "table"})
		b.begin("one", 1, false)
		b.Room.mu.Lock()
		j := b.jobs[0]
		b.Room.mu.Unlock()
		<-inside
		if when == "after" {
			release <- struct{}{}
			<-inside
			release <- struct{}{}
			await.Until(t, "the tables of the beginning", func() bool {
				b.Room.mu.Lock()
				defer b.Room.mu.Unlock()
				return len(j.Before) == 2
			})
			b.stop("one")
			<-inside
		}
		b.shelf.mu.Lock()
		b.shelf.list = nil
		b.shelf.mu.Unlock()
		b.Captured("one")
		await.Until(t, "the job to go", func() bool { return !b.has(j) })
		release <- struct{}{}
		await.Until(t, "the end of reading", func() bool {
			b.Room.mu.Lock()
			defer b.Room.mu.Unlock()
			return !b.busy[j]
		})
		if left, err := os.ReadDir(filepath.Join(b.dir, "tables")); err != nil || len(left) > 0 {
			t.Errorf("%s: left are %v, %v", when, left, err)
		}
		if len(inside) > 0 {
			t.Errorf("%s: another table was read", when)
		}
	}
}

// The files of a capture stay until its report is made, however full the directory is. Then they may
// go.
func TestFilesStayUntilTheReport(t *testing.T) {
	hold := make(chan struct{})
	b := openBed(t, t.TempDir(), &shelf{}, func(ctx context.Context, line string) error {
		if line == "packetcapture summary due" {
			<-hold // while the report is being made
		}
		return nil
	})
	b.begin("other", 20<<20, false)
	b.stop("other")
	b.begin("due", 20<<20, true)
	b.stop("due")
	await.Until(t, "the report to be begun", func() bool { return b.state("due") == capture.ReportMaking })
	if err := b.files.Room(25<<20, 0); err != nil || b.files.Exists("mx1-other.pcap") {
		t.Errorf("what nobody needs does not go: %v", err)
	}
	if err := b.files.Room(40<<20, 0); err == nil || !b.files.Exists("mx1-due.pcap") {
		t.Errorf("the file goes before its report: %v", err)
	}
	close(hold)
	await.Until(t, "the report", func() bool { return b.state("due") == capture.ReportMade })
	if err := b.files.Room(40<<20, 0); err != nil || b.files.Exists("mx1-due.pcap") {
		t.Errorf("the file stays after its report: %v", err)
	}
}

// A user who interrupts a report leaves what there was before: a report that was made, or none. Two
// who ask at once get a report each.
func TestReportInterruptedAndTwice(t *testing.T) {
	var once sync.Once
	inside := make(chan struct{})
	b := openBed(t, t.TempDir(), &shelf{}, func(ctx context.Context, line string) error {
		if line != "packetcapture summary looked" {
			return nil
		}
		first := false
		once.Do(func() { first = true })
		if first {
			close(inside)
			<-ctx.Done()
		}
		return ctx.Err()
	})
	b.begin("looked", 1<<20, false)
	b.stop("looked")
	ctx, interrupt := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := b.ReportCapture(ctx, roomtest.Admin, "looked", func(string) {})
		ended <- err
	}()
	<-inside
	waiting, leave := context.WithCancel(t.Context())
	leave()
	if _, err := b.ReportCapture(waiting, roomtest.Admin, "looked", func(string) {}); err == nil {
		t.Error("who left while another report is made got one")
	}
	interrupt()
	if err := <-ended; err == nil || b.state("looked") != "" {
		t.Errorf("interrupted it is %q, %v", b.state("looked"), err)
	}
	if list := b.reports.Reports(); len(list) != 0 {
		t.Errorf("there are %+v", list)
	}
	names := make(chan string, 2)
	for range 2 {
		go func() {
			report, err := b.ReportCapture(t.Context(), roomtest.Admin, "looked", func(string) {})
			if err != nil {
				t.Error(err)
			}
			names <- report.Name
		}()
	}
	if first, second := <-names, <-names; first == second || first == "" || second == "" {
		t.Errorf("the reports are %q and %q", first, second)
	}
	before, _ := b.Room.Capture("looked")
	if _, err := b.ReportCapture(waiting, roomtest.Admin, "looked", func(string) {}); err == nil {
		t.Error("an interrupted report is made")
	}
	if after, _ := b.Room.Capture("looked"); after.ReportState != capture.ReportMade || after.ReportFile != before.ReportFile {
		t.Errorf("an interrupt takes the report away: %+v", after)
	}
}

// A capture that is deleted while a user has its report made gets no other one.
func TestReportOfADeletedCapture(t *testing.T) {
	inside, release := make(chan struct{}), make(chan struct{})
	b := openBed(t, t.TempDir(), &shelf{}, func(_ context.Context, line string) error {
		if line == "packetcapture summary looked" {
			close(inside)
			<-release
		}
		return nil
	})
	b.begin("looked", 1<<20, false)
	b.stop("looked")
	s, err := b.shelf.Capture("looked")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() {
		_, err := b.ReportCapture(t.Context(), roomtest.Admin, "looked", func(string) {})
		ended <- err
	}()
	<-inside
	b.Room.mu.Lock()
	j := b.find("looked")
	b.Room.mu.Unlock()
	b.shelf.mu.Lock()
	b.shelf.list = nil
	b.shelf.mu.Unlock()
	b.Captured("looked")
	await.Until(t, "the job to go", func() bool { return !b.has(j) })
	close(release)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	b.makeIfDue(j, s) // as it waited for the user's
	if list := b.reports.Reports(); len(list) != 1 {
		t.Errorf("there are %+v", list)
	}
}

// A report that the stop of the appliance interrupts is made by the next start, once.
func TestReportAcrossAStop(t *testing.T) {
	dir, s, inside := t.TempDir(), &shelf{}, make(chan struct{}, 10)
	b := openBed(t, dir, s, func(ctx context.Context, line string) error {
		if line == "packetcapture summary looked" {
			inside <- struct{}{}
			<-ctx.Done()
		}
		return ctx.Err()
	})
	b.begin("looked", 1<<20, true)
	b.stop("looked")
	<-inside
	b.close()
	if list := b.reports.Reports(); len(list) != 0 {
		t.Errorf("there are %+v", list)
	}
	next := openBed(t, dir, s, func(context.Context, string) error { return nil })
	await.Until(t, "the report", func() bool { return next.state("looked") == capture.ReportMade })
	if list := next.reports.Reports(); len(list) != 1 {
		t.Errorf("there are %+v", list)
	}
	if left, _ := filepath.Glob(filepath.Join(next.files.Path(), ".*")); len(left) > 0 {
		t.Errorf("%q is left", left)
	}
}
