package audit

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
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/daemon/store"
	"diagsh/internal/menu"
)

// small makes the files of the audit log so small that it rotates all the time.
func small(a *Log) {
	a.fileBytes, a.files = 2<<10, 5
}

// A run is the log during one run of an appliance, and what the appliance's own log says of it.
type run struct {
	*Log
	own *ownLog
}

// An ownLog stands for the appliance's own log, which outlives runs.
type ownLog struct {
	t     testing.TB
	mu    sync.Mutex
	lines []access.LogLine
}

func (o *ownLog) Write(line []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var l struct {
		Msg, LastLine string
		OldestFile    int
	}
	if err := json.Unmarshal(line, &l); err != nil {
		o.t.Error(err)
	}
	o.lines = append(o.lines, access.LogLine{Message: l.Msg, Attributes: map[string]string{"lastLine": l.LastLine, "oldestFile": strconv.Itoa(l.OldestFile)}})
	return len(line), nil
}

func (o *ownLog) said() (s Said) {
	for _, l := range o.lines {
		s.Observe(l)
	}
	return s
}

// start opens the log of a folder and begins a run. It ends with the test if it did not before.
func start(t testing.TB, dir string, own *ownLog) *run {
	t.Helper()
	if own == nil {
		own = &ownLog{t: t}
	}
	a, err := Open(Options{Dir: dir, Log: slog.New(slog.NewJSONHandler(own, nil))})
	if err != nil {
		t.Fatal(err)
	}
	a.Begin(own.said())
	r := &run{a, own}
	t.Cleanup(func() { r.end(t) })
	return r
}

// end ends the run as an appliance that is told to stop does.
func (r *run) end(t testing.TB) *ownLog {
	t.Helper()
	if r.Log != nil {
		if err := r.Close(context.Background()); err != nil {
			t.Error(err)
		}
		r.Log = nil
	}
	return r.own
}

func events(t testing.TB, a *run, f access.EventFilter) []access.Event {
	t.Helper()
	var list []access.Event
	if err := a.Events(t.Context(), f, func(e access.Event) error { list = append(list, e); return nil }); err != nil {
		t.Fatal(err)
	}
	return list
}

func messages(list []access.Event) []string {
	var texts []string
	for _, e := range list {
		texts = append(texts, e.Message)
	}
	return texts
}

func TestRotates(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	d := start(t, dir, nil)
	small(d.Log)
	for n := range 200 {
		d.Record(access.Event{Act: access.ActCommand, User: "ops", Path: "x", Result: "ok", Message: fmt.Sprint(n)})
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 6 {
		t.Errorf("the log has %d files, %v; want 5 and the newest", len(entries), err)
	}
	for _, e := range entries {
		if info, _ := e.Info(); info.Mode().Perm() != 0o600 {
			t.Errorf("%s is %v", e.Name(), info.Mode())
		}
	}
	all := events(t, d, access.EventFilter{})
	if len(all) < 30 || all[len(all)-1].Message != "199" {
		t.Fatalf("%d lines are left, the last is %+v", len(all), all[len(all)-1])
	}
	for _, n := range []int{1, 7, len(all) - 1, len(all), 1_000_000} {
		newest := events(t, d, access.EventFilter{Newest: n})
		if want := all[max(0, len(all)-n):]; !slices.Equal(messages(newest), messages(want)) {
			t.Errorf("the newest %d are %d lines, %v to %v", n, len(newest), newest[0].Message, newest[len(newest)-1].Message)
		}
	}
	if r, err := d.VerifyAudit(t.Context()); err != nil || len(r.Faults) != 0 || r.Files != 6 || r.Lines != int64(len(all)) {
		t.Errorf("%+v, %v", r, err)
	}

	// The chain goes on over a restart.
	own := d.end(t)
	again := start(t, dir, own)
	if r, err := again.VerifyAudit(t.Context()); err != nil || len(r.Faults) != 0 {
		t.Errorf("after a restart: %+v, %v", r, err)
	}
	if got := messages(events(t, again, access.EventFilter{Newest: 2})); !slices.Equal(got, []string{"The appliance stopped", "The appliance started"}) {
		t.Errorf("the restart left %q", got)
	}
}

func TestFilter(t *testing.T) {
	d := start(t, t.TempDir(), nil)
	base := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	for i, e := range []access.Event{
		{Act: access.ActCommand, User: "ops", Path: "packetcapture/start"},
		{Act: access.ActCommand, User: "ops", Path: "diagnostic/network/tcpdump/start"},
		{Act: access.ActDownload, User: "view", Path: "mx1-smtp-20260301-101502.pcap"},
		{Act: access.ActCommand, User: "view", Path: "packetcapturesque"},
		{Act: access.ActRefused, User: "view", Path: "packetcapture/stop"},
	} {
		e.Time, e.Message = base.Add(time.Duration(i)*time.Minute), fmt.Sprint(i)
		d.Record(e)
	}
	for _, c := range []struct {
		filter access.EventFilter
		want   string
	}{
		{access.EventFilter{User: "view"}, "2 3 4"},
		{access.EventFilter{Path: "packetcapture"}, "0 4"},
		{access.EventFilter{Path: "packetcapture start"}, "0"},
		{access.EventFilter{Path: "diagnostic > network"}, "1"},
		{access.EventFilter{Path: "mx1-smtp-20260301-101502.pcap"}, "2"},
		{access.EventFilter{Act: access.ActRefused}, "4"},
		{access.EventFilter{Path: "packetcapture", User: "ops"}, "0"},
		{access.EventFilter{User: "view", From: base.Add(3 * time.Minute)}, "3 4"},
		{access.EventFilter{User: "ops", To: base}, "0"},
		{access.EventFilter{User: "view", Newest: 2}, "3 4"},
		{access.EventFilter{User: "nobody"}, ""},
	} {
		if got := strings.Join(messages(events(t, d, c.filter)), " "); got != c.want {
			t.Errorf("%+v chooses %q; want %q", c.filter, got, c.want)
		}
	}
}

func TestShowsChanges(t *testing.T) {
	for name, change := range map[string]func([]byte) []byte{
		"changed": func(b []byte) []byte { return bytes.Replace(b, []byte("line 3"), []byte("line 9"), 1) },
		"taken out": func(b []byte) []byte {
			lines := bytes.SplitAfter(b, []byte("\n"))
			return slices.Concat(slices.Delete(lines, 3, 4)...)
		},
		"exchanged": func(b []byte) []byte {
			lines := bytes.SplitAfter(b, []byte("\n"))
			lines[2], lines[3] = lines[3], lines[2]
			return slices.Concat(lines...)
		},
		"torn": func(b []byte) []byte { return slices.Concat(b[:300], b[310:]) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "audit")
			d := start(t, dir, nil)
			for n := range 8 {
				d.Record(access.Event{Act: access.ActCommand, User: "ops", Message: fmt.Sprint("line ", n)})
			}
			path := filepath.Join(dir, FileName)
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, change(before), 0o600); err != nil {
				t.Fatal(err)
			}
			if r, err := d.VerifyAudit(t.Context()); err != nil || len(r.Faults) == 0 {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

func TestAfterATornLine(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	d := start(t, dir, nil)
	d.Record(access.Event{Act: access.ActCommand, User: "ops", Message: "before"})
	own := d.end(t)
	path := filepath.Join(dir, FileName)
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString(`{"time":"2026-`)
	f.Close()
	again := start(t, dir, own)
	again.Record(access.Event{Act: access.ActCommand, User: "ops", Message: "after"})
	if got := strings.Join(messages(events(t, again, access.EventFilter{User: "ops"})), " "); got != "before after" {
		t.Errorf("the log has %q", got)
	}
	if r, err := again.VerifyAudit(t.Context()); err != nil || len(r.Faults) != 1 {
		t.Errorf("%+v, %v; want the torn line to be the one fault", r, err)
	}
}

func TestOnAFullDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	d := start(t, dir, nil)
	healthy := d.file
	full, err := store.OpenLines("/dev/full")
	if err != nil {
		t.Fatal(err)
	}
	d.file = full
	d.Record(access.Event{Act: access.ActCommand, User: "ops", Message: "lost"})
	d.System("", "lost too", nil)
	if s := d.AuditTrouble(); !strings.Contains(s, "cannot be written") {
		t.Errorf("the trouble is %q", s)
	}
	d.file = healthy
	full.Close()
	d.Record(access.Event{Act: access.ActCommand, User: "ops", Message: "kept"})
	if s := d.AuditTrouble(); !strings.Contains(s, "lacks 2 lines") {
		t.Errorf("afterwards the trouble is %q", s)
	}
	if got := messages(events(t, d, access.EventFilter{User: "ops"})); !slices.Equal(got, []string{"kept"}) {
		t.Errorf("the log has %q", got)
	}
	if r, err := d.VerifyAudit(t.Context()); err != nil || len(r.Faults) != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestPartialLines(t *testing.T) {
	// Each row is what of a line reached the file when the write failed.
	for _, parts := range [][]string{{"{"}, {""}, {"{\"a\"", ""}, {"{\"a\"", "\n"}, {"{\"a\"", "\n{\"b"}} {
		dir := t.TempDir()
		a, err := Open(Options{Dir: dir, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		a.write(access.Event{Act: access.ActCommand, Message: "before"})
		for _, p := range parts {
			if _, err := a.file.Append([]byte(p)); err != nil {
				t.Fatal(err)
			}
			a.notePartial([]byte(p))
		}
		a.write(access.Event{Act: access.ActCommand, Message: "after"})
		a.Close(t.Context())
		data, err := os.ReadFile(a.current())
		if err != nil {
			t.Fatal(err)
		}
		var r report
		if err := r.verify(t.Context(), "log", bytes.NewReader(data)); err != nil {
			t.Fatal(err)
		}
		for _, f := range r.Faults {
			if !strings.Contains(f, "is no event") {
				t.Errorf("%q: %s in\n%s", parts, f, data)
			}
		}
	}
}

func TestTextsAreBounded(t *testing.T) {
	d := start(t, t.TempDir(), nil)
	long := strings.Repeat("ä", 1<<20)
	d.Record(access.Event{Act: access.ActRefused, User: long, Path: long, Arguments: map[string]string{"x": long, "bad": "\xff\n"}, Message: "m"})
	list := events(t, d, access.EventFilter{Act: access.ActRefused})
	if len(list) != 1 || len(list[0].User) > maxText+3 || len(list[0].Arguments["x"]) > maxText+3 || list[0].Arguments["bad"] != "\uFFFD\n" {
		t.Errorf("the line is %d long", len(list[0].User))
	}
}

func TestEventsStops(t *testing.T) {
	d := start(t, t.TempDir(), nil)
	for range 10 {
		d.Record(access.Event{Act: access.ActCommand})
	}
	mine := errors.New("nobody listens")
	for _, newest := range []int{0, 5} {
		if err := d.Events(t.Context(), access.EventFilter{Newest: newest}, func(access.Event) error { return mine }); err != mine {
			t.Errorf("%v", err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Events(ctx, access.EventFilter{}, func(access.Event) error { return nil }); menu.AsError(err).Code != menu.Interrupted {
		t.Errorf("what was interrupted is %v", err)
	}
}

func TestWhileItIsRead(t *testing.T) {
	d := start(t, t.TempDir(), nil)
	small(d.Log)
	var writers sync.WaitGroup
	for range 4 {
		writers.Go(func() {
			for range 100 {
				d.Record(access.Event{Act: access.ActCommand, User: "ops", Result: "ok"})
			}
		})
	}
	for range 20 {
		events(t, d, access.EventFilter{Newest: 20})
		if r, err := d.VerifyAudit(t.Context()); err != nil || len(r.Faults) != 0 {
			t.Errorf("%+v, %v", r, err)
		}
	}
	writers.Wait()
}

// Follow yields the newest lines, then what is written from then on, and returns the error of yield
// as it is.
func TestFollow(t *testing.T) {
	a := start(t, t.TempDir(), nil)
	small(a.Log)
	record := func(n int) { a.Record(access.Event{Act: access.ActCommand, User: "ops", Message: fmt.Sprint(n)}) }
	for n := range 3 {
		record(n)
	}
	got, mine := make(chan string), errors.New("mine")
	ended := make(chan error)
	go func() {
		ended <- a.Follow(t.Context(), 2, true, func(e access.Event) error {
			got <- e.Message
			if e.Message == "30" {
				return mine
			}
			return nil
		})
	}()
	for n := 1; n <= 30; n++ {
		if n > 2 {
			record(n)
		}
		if m := <-got; m != fmt.Sprint(n) {
			t.Fatalf("line %s, want %d", m, n)
		}
	}
	if err := <-ended; err != mine {
		t.Errorf("%v", err)
	}
}

// Each line says its version. A log that a newer build wrote is refused, and one of the builds before
// continues.
func TestVersionOfTheLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, FileName)
	open := func() (*Log, error) { return Open(Options{Dir: dir, Log: slog.New(slog.DiscardHandler)}) }
	former := `{"time":"2026-11-20T10:15:02Z","act":"system","user":"system","source":"local","result":"ok","previous":""}`
	os.WriteFile(path, []byte(former+"\n"), 0o600)
	a, err := open()
	if err != nil {
		t.Fatal(err)
	}
	a.write(access.Event{Act: access.ActSystem, Message: "new"})
	if r, err := a.VerifyAudit(t.Context()); err != nil || len(r.Faults) != 0 || r.Lines != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	a.Close(t.Context())
	lines := linesOf(t, path)
	if last := lines[len(lines)-1]; !strings.HasPrefix(string(last), `{"version":1,`) {
		t.Errorf("the line is %s", last)
	}
	f, _ := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	f.WriteString(`{"version":2,"act":"system"}` + "\n")
	f.Close()
	if _, err := open(); err == nil || !strings.Contains(err.Error(), path+" was written by a newer diagsh") {
		t.Errorf("a newer log: %v", err)
	}
}

// FuzzAuditReader reads any bytes as an audit log: nothing may crash it, the newest are the end of
// all, and verifying ends.
func FuzzAuditReader(f *testing.F) {
	line, _ := json.Marshal(chained{Event: access.Event{Act: access.ActLogin, User: "ops"}, Previous: "x"})
	f.Add(slices.Concat(line, []byte("\n"), line, []byte("\n{\"time\":\n\n\x00\xff\n"), line), uint8(2))
	f.Add([]byte("null\n[]\n1\n{}\n"), uint8(1))
	f.Fuzz(func(t *testing.T, data []byte, n uint8) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "audit.jsonl"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		a, err := Open(Options{Dir: dir, Log: slog.New(slog.DiscardHandler)})
		if err != nil && strings.Contains(err.Error(), "newer diagsh") {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		a.write(access.Event{Act: access.ActSystem, Message: "the last"})
		d := &run{Log: a}
		all := events(t, d, access.EventFilter{})
		if len(all) == 0 || all[len(all)-1].Message != "the last" {
			t.Fatalf("a line behind %q is lost", data)
		}
		newest := events(t, d, access.EventFilter{Newest: int(n) + 1})
		if want := all[max(0, len(all)-int(n)-1):]; len(newest) != len(want) {
			t.Errorf("the newest %d are %d", int(n)+1, len(newest))
		}
		if _, err := d.VerifyAudit(t.Context()); err != nil {
			t.Error(err)
		}
		a.Close(t.Context())
	})
}
