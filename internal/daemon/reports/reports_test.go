package daemon

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// A boundary of the tests: commands are functions, by the first word of their path.
type boundary struct {
	d        *Daemon
	commands map[string]func(ctx context.Context, sink menu.Sink) error
}

func (b boundary) RunWithin(ctx context.Context, _ menu.Caller, path []string, _ map[string]string, sink menu.Sink) (menu.Role, error) {
	return menu.ReadOnly, b.commands[path[0]](ctx, sink)
}

func (b boundary) OpenWithin(_ menu.Caller, name string) (*os.File, error) { return b.d.OpenFile(name) }

func withCommands(t *testing.T, conf string, commands map[string]func(context.Context, menu.Sink) error) (*Daemon, func(context.Context) (access.Report, error)) {
	d := start(t, Options{Dir: configured(t, prepare(t), conf)})
	d.ReportWith(boundary{d, commands})
	var request access.ReportRequest
	for _, name := range []string{"endless", "last"} {
		if commands[name] != nil {
			request.Parts = append(request.Parts, access.ReportPart{Title: name, Path: []string{name}})
		}
	}
	return d, func(ctx context.Context) (access.Report, error) {
		return d.CreateReport(ctx, adminCaller, request, func(string) {})
	}
}

func last(_ context.Context, sink menu.Sink) error {
	return errors.Join(sink.Record(map[string]int{"n": 1}, menu.Object), sink.Text([]byte("one\n")))
}

// A part that never ends is cut where it is too large: its data is whole, what follows is there, and memory is not where it went. It measures
// the memory of the process, so no other test runs beside it.
func TestReportIsBounded(t *testing.T) {
	row := map[string]string{"text": strings.Repeat("<&>", 20<<10)}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	d, create := withCommands(t, "", map[string]func(context.Context, menu.Sink) error{"last": last, "endless": func(_ context.Context, sink menu.Sink) error {
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
	d, create := withCommands(t, "", map[string]func(context.Context, menu.Sink) error{"endless": func(ctx context.Context, _ menu.Sink) error {
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
	d, create := withCommands(t, "", map[string]func(context.Context, menu.Sink) error{"last": last})
	first, err := create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	second, err := create(t.Context())
	if err != nil || second.Name == first.Name {
		t.Fatal(second.Name, err)
	}
	if err := d.RemoveFile(adminCaller, first.Name); err != nil {
		t.Fatal(err)
	}
	if list := d.Reports(); len(list) != 1 || list[0].Name != second.Name {
		t.Errorf("%+v", list)
	}
	wantKind(t, d.DeleteReport(adminCaller, first.Name), menu.NotFound)
	if err := d.DeleteReport(adminCaller, second.Name); err != nil || len(d.Reports()) > 0 {
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
	d, create := withCommands(t, "", map[string]func(context.Context, menu.Sink) error{"last": last, "endless": func(ctx context.Context, sink menu.Sink) error {
		if err := sink.Text([]byte("the beginning\n")); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	}})
	d.reports.partTime = time.Second
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

// A report that does not fit into the quota of the diagnostic directory is not made, whether that is known before it begins or when it is
// written; what was written of it is gone.
func TestReportStaysWithinTheQuota(t *testing.T) {
	const quota = 16 << 20
	d, create := withCommands(t, "captures: {quota: 16MB}", map[string]func(context.Context, menu.Sink) error{"last": last})
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
func fileOf(t *testing.T, d *Daemon, name string) string {
	t.Helper()
	path := filepath.Join(d.Path(), name)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	return path
}

// Factory values that cannot be reached in one go: the step is named, everybody can still come in, and the second try succeeds.
func TestReloadFailsMidway(t *testing.T) {
	d := start(t, Options{Dir: prepare(t)})
	file := fileOf(t, d, "kept.pcap")
	obstacle := filepath.Join(d.captures.settings.Path, "obstacle")
	if err := os.MkdirAll(obstacle, 0o700); err != nil { // a folder that is not empty cannot be removed as a file is
		t.Fatal(err)
	}
	before := d.Accounts()
	_, err := d.Reload(adminCaller, true)
	wantKind(t, err, menu.Failed)
	if err == nil || !strings.Contains(err.Error(), "reset the settings of captures") || !strings.Contains(err.Error(), "reload again") {
		t.Errorf("%v", err)
	}
	if now := d.Accounts(); len(now) != len(before) {
		t.Errorf("%d accounts, there were %d", len(now), len(before))
	}
	if _, err := os.Stat(file); err != nil {
		t.Errorf("a step behind the one that failed was done: %v", err)
	}
	if err := os.RemoveAll(d.captures.settings.Path); err != nil {
		t.Fatal(err)
	}
	done, err := d.Reload(adminCaller, true)
	if err != nil || done.Password == "" || len(d.Accounts()) != 1 {
		t.Errorf("%v, %d accounts", err, len(d.Accounts()))
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("the files are still there")
	}
}
