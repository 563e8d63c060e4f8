package reports

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/daemon/files"
	"diagsh/internal/menu"
)

// A boundary of the tests: commands are functions, by the first word of their path.
type boundary struct {
	files    *files.Directory
	commands map[string]func(ctx context.Context, sink menu.Sink) error
}

func (b boundary) RunWithin(ctx context.Context, _ menu.Caller, path []string, _ map[string]string, sink menu.Sink) (menu.Role, error) {
	return menu.ReadOnly, b.commands[path[0]](ctx, sink)
}

func (b boundary) OpenWithin(_ menu.Caller, name string) (*os.File, error) {
	return b.files.OpenFile(name)
}

// A rig is Reports with their directory.
type rig struct {
	*room
	*files.Directory
}

type room = Reports // so that its method of that name is not hidden

var admin = menu.Caller{User: "admin", Role: menu.Administrator}

func open(t *testing.T, dir string, quota int64) rig {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	directory, err := files.Open(files.Options{Path: filepath.Join(dir, "diagnostic"), Log: log, QuotaBytes: quota, ReserveBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { directory.Close(context.Background()) })
	r, err := Open(Options{Dir: dir, Files: directory, Product: "diagsh", Hostname: func() string { return "mx1" }, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	return rig{r, directory}
}

func withCommands(t *testing.T, quota int64, commands map[string]func(context.Context, menu.Sink) error) (rig, func(context.Context) (access.Report, error)) {
	d := open(t, t.TempDir(), quota)
	d.ReportWith(boundary{d.Directory, commands})
	var request access.ReportRequest
	for _, name := range []string{"endless", "last"} {
		if commands[name] != nil {
			request.Parts = append(request.Parts, access.ReportPart{Title: name, Path: []string{name}})
		}
	}
	return d, func(ctx context.Context) (access.Report, error) {
		return d.CreateReport(ctx, admin, request, func(string) {})
	}
}

func last(_ context.Context, sink menu.Sink) error {
	return errors.Join(sink.Record(map[string]int{"n": 1}, menu.Object), sink.Text([]byte("one\n")))
}

// A part that never ends is cut where it is too large: its data is whole, what follows is there,
// and memory is not where it went. It measures the memory of the process, so no other test runs
// beside it.
func TestReportIsBounded(t *testing.T) {
	row := map[string]string{"text": strings.Repeat("<&>", 20<<10)}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	d, create := withCommands(t, 0, map[string]func(context.Context, menu.Sink) error{"last": last, "endless": func(_ context.Context, sink menu.Sink) error {
		for {
			if err := sink.Record(row, menu.Table); err != nil {
				return err
			}
			if err := sink.Text([]byte("row\n")); err != nil {
				return err
			}
		}
	}})
	report, err := create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 16<<20 {
		t.Errorf("%d bytes of memory for a report", grown)
	}
	if c := report.Contents[0]; !strings.Contains(c.Reason, "left out") || report.Contents[1].Result != "ok" || report.Contents[1].Records != 1 {
		t.Errorf("%+v", report.Contents)
	}
	f, err := d.OpenFile(report.Name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err != nil {
			t.Fatalf("the data is not there: %v", err)
		}
		if h.Size > partBytes+1<<20 {
			t.Errorf("%s has %d bytes", h.Name, h.Size)
		}
		if !strings.HasSuffix(h.Name, report.Contents[0].Data) {
			continue
		}
		var rows []map[string]string
		if err := json.NewDecoder(r).Decode(&rows); err != nil || len(rows) != report.Contents[0].Records || rows[0]["text"] != row["text"] {
			t.Errorf("%d rows of %d, %v", len(rows), report.Contents[0].Records, err)
		}
		return
	}
}

// One at a time, and an interrupt leaves nothing.
func TestReportOneAtATime(t *testing.T) {
	began := make(chan struct{})
	d, create := withCommands(t, 0, map[string]func(context.Context, menu.Sink) error{"endless": func(ctx context.Context, _ menu.Sink) error {
		close(began)
		<-ctx.Done()
		return ctx.Err()
	}})
	ctx, interrupt := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := create(ctx)
		ended <- err
	}()
	<-began
	_, err := create(t.Context())
	wantKind(t, err, menu.State)
	interrupt()
	wantKind(t, <-ended, menu.Interrupted)
	if list := d.Reports(); len(list) > 0 {
		t.Errorf("%+v", list)
	}
	if left, _ := filepath.Glob(filepath.Join(d.Path(), ".*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// A report whose file somebody deletes by SFTP is no report any more.
func TestReportDeletedAsFile(t *testing.T) {
	d, create := withCommands(t, 0, map[string]func(context.Context, menu.Sink) error{"last": last})
	first, err := create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	second, err := create(t.Context())
	if err != nil || second.Name == first.Name {
		t.Fatal(second.Name, err)
	}
	if err := d.RemoveFile(admin, first.Name); err != nil {
		t.Fatal(err)
	}
	if list := d.Reports(); len(list) != 1 || list[0].Name != second.Name {
		t.Errorf("%+v", list)
	}
	wantKind(t, d.DeleteReport(admin, first.Name), menu.NotFound)
	if err := d.DeleteReport(admin, second.Name); err != nil || len(d.Reports()) > 0 {
		t.Error(err)
	}
}

// Whatever a command says stays text in a page.
func FuzzEscapeText(f *testing.F) {
	f.Add([]byte("<b>\x1b[2J\u202e&\r\n\tx</pre>"))
	f.Fuzz(func(t *testing.T, text []byte) {
		got := escapeText(text)
		if bytes.ContainsAny(got, "<>\"'\r\x1b\x00") {
			t.Errorf("%q became %q", text, got)
		}
		if bytes.Count(got, []byte("\n")) != bytes.Count(text, []byte("\n")) {
			t.Errorf("%q has other lines: %q", text, got)
		}
	})
}

// A part that takes too long is given up and named with the reason; the others are there.
func TestReportPartTakesTooLong(t *testing.T) {
	t.Parallel()
	d, create := withCommands(t, 0, map[string]func(context.Context, menu.Sink) error{"last": last, "endless": func(ctx context.Context, sink menu.Sink) error {
		if err := sink.Text([]byte("the beginning\n")); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	}})
	d.partTime = time.Second
	report, err := create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if c := report.Contents[0]; c.Result != "interrupted" || c.Reason != "It took longer than 1s" || c.Page == "" {
		t.Errorf("%+v", c)
	}
	if c := report.Contents[1]; c.Result != "ok" || c.Records != 1 {
		t.Errorf("%+v", c)
	}
}

// A report that does not fit into the quota of the diagnostic directory is not made, whether that
// is known before it begins or when it is written; what was written of it is gone.
func TestReportStaysWithinTheQuota(t *testing.T) {
	const quota = 16 << 20
	d, create := withCommands(t, quota, map[string]func(context.Context, menu.Sink) error{"last": last})
	for _, free := range []int64{0, 10} {
		if err := os.Truncate(fileOf(t, d, "capture.pcap"), quota-free); err != nil {
			t.Fatal(err)
		}
		_, err := create(t.Context())
		wantKind(t, err, menu.State)
		if err == nil || !strings.Contains(err.Error(), "may have 16MB") {
			t.Errorf("%d bytes are free: %v", free, err)
		}
		if used, err := d.Used(); err != nil || used != quota-free || len(d.Reports()) > 0 {
			t.Errorf("%d bytes are used, %d reports, %v", used, len(d.Reports()), err)
		}
	}
	if err := os.Truncate(fileOf(t, d, "capture.pcap"), quota/2); err != nil {
		t.Fatal(err)
	}
	if _, err := create(t.Context()); err != nil {
		t.Error(err)
	}
}

// fileOf is the path of a file in the diagnostic directory, which is made if need be.
func fileOf(t *testing.T, d rig, name string) string {
	t.Helper()
	path := filepath.Join(d.Path(), name)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	return path
}

func wantKind(t *testing.T, err error, code menu.Code) {
	t.Helper()
	if err == nil || menu.AsError(err).Code != code {
		t.Errorf("the error is %v, and not of the kind %v", err, code)
	}
}

// What is in a report says who may read it, also after a restart. Of one that is not in the table
// the worst is taken. What a crash left of one that was being made goes.
func TestWhoMayReadAReport(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir, 0)
	d.ReportWith(boundary{d.Directory, map[string]func(context.Context, menu.Sink) error{"last": last}})
	fileOf(t, d, "a.pcap")
	request := access.ReportRequest{Parts: []access.ReportPart{{Title: "last", Path: []string{"last"}}}}
	plain, err := d.CreateReport(t.Context(), admin, request, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	request.Files = []string{"a.pcap"} // which nobody owns here, so it counts as packets
	packets, err := d.CreateReport(t.Context(), admin, request, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	fileOf(t, d, "stranger"+Suffix)
	hidden := fileOf(t, d, ".mx1-report-1"+Suffix+makingSuffix)
	for _, d := range []rig{d, open(t, dir, 0)} {
		for name, want := range map[string]access.File{
			plain.Name:          {},
			packets.Name:        {Payload: true},
			"stranger" + Suffix: {Payload: true, Role: menu.Administrator},
		} {
			f, err := d.StatFile(name)
			if err != nil || f.Payload != want.Payload || f.Role != want.Role {
				t.Errorf("%+v, %v", f, err)
			}
		}
		if list := d.Reports(); len(list) != 2 {
			t.Errorf("the reports are %+v", list)
		}
	}
	if _, err := os.Stat(hidden); err == nil {
		t.Error("what a crash left is still there")
	}
}

// A page is among the reports as any other, there as a whole or not at all, and is deleted as one.
func TestKeepPage(t *testing.T) {
	r := open(t, t.TempDir(), 0)
	about := access.ReportPage{Of: "portlog", Title: "Port log", Command: "portlog report", Records: 7}
	write := func(w io.Writer) error { _, err := io.WriteString(w, "<!doctype html>"); return err }
	made, err := r.KeepPage(admin, about, write)
	if err != nil {
		t.Fatal(err)
	}
	second, err := r.KeepPage(admin, about, write)
	if err != nil || second.Name == made.Name {
		t.Fatalf("%+v %v", second, err)
	}
	if !pageName().MatchString(made.Name) || !strings.HasPrefix(made.Name, "mx1-portlog-report-") || made.Bytes != 15 || made.Owner != "admin" ||
		len(made.Contents) != 1 || made.Contents[0].Records != 7 || made.Payload {
		t.Errorf("%+v", made)
	}
	f, err := r.StatFile(made.Name)
	if err != nil || f.Bytes != 15 || f.Payload || f.Role != "" {
		t.Errorf("%+v %v", f, err)
	}
	wrong := errors.New("wrong")
	if _, err := r.KeepPage(admin, about, func(w io.Writer) error { io.WriteString(w, "half"); return wrong }); err == nil {
		t.Error("a page that was not written is kept")
	}
	if entries, _ := os.ReadDir(r.Path()); len(entries) != 2 || len(r.Reports()) != 2 {
		t.Errorf("there are %v", entries)
	}
	if err := r.DeleteReport(admin, made.Name); err != nil || len(r.Reports()) != 1 {
		t.Errorf("%v", err)
	}
}
