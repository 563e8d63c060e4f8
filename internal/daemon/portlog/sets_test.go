package portlog

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"diagsh/diag/ports"
	"diagsh/internal/daemon/files"
	"diagsh/internal/daemon/portlog/reporter"
	"diagsh/internal/test/await"
)

// serials returns the records of connections from one serial number to another, each a step later.
func serials(from, to uint64, at time.Time, step time.Duration) (list []ports.Record) {
	for n := from; n <= to; n++ {
		list = append(list, connect(at, n))
		at = at.Add(step)
	}
	return list
}

// wantSerials fails unless the records of connections are those from one number to another, each
// once and in order.
func wantSerials(t *testing.T, list []ports.Record, from, to uint64) {
	t.Helper()
	next := from
	for _, r := range list {
		if r.Event != ports.Connected {
			continue
		}
		if r.Socket != next {
			t.Fatalf("record %d stands where %d should", r.Socket, next)
		}
		next++
	}
	if next != to+1 {
		t.Errorf("the last record is %d, want %d", next-1, to)
	}
}

// A set begins at 5 MB. No record is in two of them, and each says how it was seen.
func TestNewSetAtSize(t *testing.T) {
	b := open(t, t.TempDir(), files.Options{})
	start(t, b, ports.LogOptions{})
	const many = 60_000
	now := time.Now()
	for n := uint64(1); n < many; n += 10_000 {
		b.tell(serials(n, n+9_999, now.Add(time.Duration(n)*time.Millisecond), time.Millisecond)...)
		b.written(t, n+9_999)
	}
	s := stop(t, b)
	names := b.names(t)
	if len(names) < 4 || s.Sets != len(names) || s.RecordsLost != 0 {
		t.Fatalf("%d files, %+v", len(names), s)
	}
	var bytes int64
	for i, name := range names {
		info, err := os.Stat(b.pathOf(name))
		if err != nil {
			t.Fatal(err)
		}
		bytes += info.Size()
		if info.Size() > 5<<20 || i < len(names)-1 && info.Size() < 5<<20-256<<10 {
			t.Errorf("%s has %d bytes", name, info.Size())
		}
		list := linesOf(t, b.pathOf(name))
		want := "start connect"
		if i == len(names)-1 {
			want = "start connect stop"
		}
		if got := events(list); got != want || !strings.Contains(list[0].Reason, "tier A") {
			t.Errorf("%s: %s, %q", name, got, list[0].Reason)
		}
	}
	if s.Bytes != bytes {
		t.Errorf("the status says %d bytes of %d", s.Bytes, bytes)
	}
	wantSerials(t, b.lines(t), 1, many)
}

// A set begins at midnight where the machine is, whether or not something happens then.
func TestNewSetAtMidnight(t *testing.T) {
	b := open(t, t.TempDir(), files.Options{})
	b.location = time.FixedZone("here", 9*3600)
	now := time.Now().In(b.location)
	midnight := time.Date(now.Year(), now.Month(), now.Day()+1, 0, 0, 0, 0, b.location)
	start(t, b, ports.LogOptions{})
	b.tell(connect(midnight.Add(-2), 1), connect(midnight.Add(-1), 2), connect(midnight, 3), connect(midnight.Add(1), 4))
	b.written(t, 4)
	b.Sweep(midnight.Add(23 * time.Hour))
	b.Sweep(midnight.Add(24*time.Hour + 3*time.Second))
	await.Until(t, "the third set", func() bool { return len(b.names(t)) == 3 })
	b.tell(connect(midnight.Add(24*time.Hour+4*time.Second), 5))
	stop(t, b)
	var got []string
	for _, name := range b.names(t) {
		for _, r := range linesOf(t, b.pathOf(name)) {
			if r.Event == ports.Connected {
				got = append(got, fmt.Sprint(r.Socket))
			}
		}
		got = append(got, "|")
	}
	if want := "1 2 | 3 4 | 5 |"; strings.Join(got, " ") != want {
		t.Errorf("%q, want %s", got, want)
	}
	if names := b.names(t); !strings.Contains(names[1], midnight.UTC().Format(linesStamp)) {
		t.Errorf("the files are %q", names)
	}
}

// While the files of one format cannot be opened the log is paused, and the set of the other one stays:
// no file without a line is left for each time that it is tried.
func TestOneFormatCannotBeOpened(t *testing.T) {
	b := open(t, t.TempDir(), files.Options{})
	var refusals atomic.Int32 // below 0: none are made
	refusals.Store(-1)
	b.reporter = reporter.New(reporter.Options{
		Create: func(name string) (*os.File, error) {
			if refusals.Load() >= 0 {
				refusals.Add(1)
				return nil, errors.New("refused")
			}
			return b.directory.CreateFile(name)
		},
		Remove: b.directory.Root().Remove, Hostname: b.o.Hostname, Status: b.o.Engine.Status, Services: b.o.Services,
		Bytes: setBytes, Grew: b.grew, Zone: b.location, Log: b.o.Log,
	})
	start(t, b, ports.LogOptions{Format: ports.BothFormats})
	b.tell(connect(time.Now(), 1))
	b.written(t, 1)
	refusals.Store(0)
	b.tell(connect(time.Now().Add(24*time.Hour), 2)) // the next day's set
	await.Until(t, "some tries", func() bool { return refusals.Load() >= 3 })
	if s := b.PortLogStatus(); s.State != ports.LogPaused {
		t.Errorf("%+v", s)
	}
	refusals.Store(-1)
	await.Until(t, "the log goes on", func() bool { return b.PortLogStatus().State == ports.LogRunning })
	stop(t, b)
	if names := b.names(t); len(names) != 2*4 {
		t.Errorf("the files are %q", names)
	}
}

// A clock that was wrong by years and is set right leaves no set open until the midnight that was
// meant then.
func TestMidnightAfterTheClockWasSetBack(t *testing.T) {
	b := open(t, t.TempDir(), files.Options{})
	b.location = time.UTC
	start(t, b, ports.LogOptions{})
	now := time.Now()
	ahead := now.AddDate(50, 0, 0)
	b.tell(connect(ahead, 1))
	b.written(t, 1)
	b.Sweep(now)
	await.Until(t, "the set of the right time", func() bool { return len(b.names(t)) == 3 })
	b.Sweep(now.Add(25 * time.Hour))
	await.Until(t, "the next day's set", func() bool { return len(b.names(t)) == 4 })
	stop(t, b)
}

// A day of load stays below the bound all the time, keeps the newest, and says how far back it
// reaches. In both formats the bound is that of all files.
func TestDayOfLoad(t *testing.T) {
	for _, format := range []ports.LogFormat{ports.NDJSON, ports.BothFormats} {
		b := open(t, t.TempDir(), files.Options{})
		b.location = time.UTC
		start(t, b, ports.LogOptions{SizeBytes: ports.LeastLogBytes, Format: format})
		begin := time.Now().Truncate(24 * time.Hour).Add(24 * time.Hour)
		const perHour = 18_000
		for hour := range uint64(24) {
			from := hour*perHour + 1
			b.tell(serials(from, from+perHour-1, begin.Add(time.Duration(hour)*time.Hour), time.Hour/perHour)...)
			b.written(t, from+perHour-1)
			if s := b.PortLogStatus(); s.Bytes > ports.LeastLogBytes || s.RecordsLost > 0 || s.State != ports.LogRunning {
				t.Fatalf("%s, hour %d: %+v", format, hour, s)
			}
		}
		s := stop(t, b)
		list := b.lines(t)
		first := slices.IndexFunc(list, func(r ports.Record) bool { return r.Event == ports.Connected })
		wantSerials(t, list, list[first].Socket, 24*perHour)
		// The first file is the one of its name: the status tells how far back the log reaches.
		if back := list[first].Time; s.Oldest.IsZero() || back.Before(s.Oldest) || back.Sub(s.Oldest) > time.Hour {
			t.Errorf("%s: it reaches back to %v, the status says %v", format, back, s.Oldest)
		}
		if s.Bytes < ports.LeastLogBytes*2/3 {
			t.Errorf("%s: only %d bytes are kept", format, s.Bytes)
		}
	}
}

// Sets whose last day is longer ago than the days of the log go.
func TestDays(t *testing.T) {
	b := open(t, t.TempDir(), files.Options{})
	b.location = time.UTC
	start(t, b, ports.LogOptions{Days: 2})
	noon := time.Now().Truncate(24 * time.Hour).Add(36 * time.Hour)
	for day := range uint64(6) {
		b.tell(connect(noon.Add(time.Duration(day)*24*time.Hour), day+1))
		b.written(t, day+1)
	}
	wantSerials(t, b.lines(t), 3, 6) // the day 3 ended two and a half days before the noon of the day 6
	b.Sweep(noon.Add(8*24*time.Hour - 11*time.Hour))
	await.Until(t, "the older sets are gone", func() bool { return len(b.names(t)) == 2 })
}

// Quota and retention of the directory may take sets that are finished, and none that grows.
func TestSetsAreExpendable(t *testing.T) {
	b := open(t, t.TempDir(), files.Options{})
	start(t, b, ports.LogOptions{})
	now := time.Now()
	b.tell(connect(now, 1), connect(now.Add(24*time.Hour), 2))
	b.written(t, 2)
	var may []string
	names := b.names(t)
	for _, e := range (logFiles{b.Log}).Expendable() {
		if e.Take() {
			may = append(may, e.Name)
		}
	}
	if !slices.Equal(may, names[:1]) || len(names) != 2 {
		t.Errorf("%q of %q may go", may, names)
	}
	if f, err := b.directory.StatFile(names[1]); err != nil || f.Payload {
		t.Errorf("%+v %v", f, err)
	}
	if kind := b.directory.Kinds()(names[0]); kind != "port logs" {
		t.Errorf("it is one of the %s", kind)
	}
	os.WriteFile(b.pathOf("mx1-portlog-20260101-000000.pcap"), nil, 0o600)
	if kind := b.directory.Kinds()("mx1-portlog-20260101-000000.pcap"); kind == "port logs" {
		t.Error("a capture is taken for a file of the log")
	}
}
