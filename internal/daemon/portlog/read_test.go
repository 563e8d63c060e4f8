package portlog

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"diagsh/diag/ports"
	"diagsh/diag/ports/records"
	"diagsh/internal/daemon/files"
	"diagsh/internal/daemon/portlog/reporter"
)

// Who follows the log gets every record once, in order, over every change of files, and ends without
// an error.
func TestFollowOverSets(t *testing.T) {
	b := open(t, t.TempDir(), files.Options{})
	start(t, b, ports.LogOptions{})
	got, there := make(chan uint64), make(chan bool)
	ctx, quit := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		ended <- records.Follow(ctx, b.PortLogFiles(), records.Query{}, func(records.Read) error {
			close(there)
			return nil
		}, func(r *ports.Record) error {
			if r.Event == ports.Connected {
				got <- r.Socket
			}
			return nil
		})
	}()
	<-there
	now := time.Now()
	for n := uint64(1); n <= 60; n++ {
		at := now
		if n > 30 {
			at = now.Add(24 * time.Hour) // the next day's set
		}
		b.tell(connect(at, n))
		if n%10 == 0 {
			for want := n - 9; want <= n; want++ {
				if s := <-got; s != want {
					t.Fatalf("record %d, want %d", s, want)
				}
			}
		}
	}
	if len(b.names(t)) != 2 {
		t.Errorf("the files are %q", b.names(t))
	}
	quit()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Who follows a log that begins is told so at once, and not with its first socket.
func TestFollowTheBeginning(t *testing.T) {
	b := open(t, t.TempDir(), files.Options{})
	ctx, quit := context.WithCancel(t.Context())
	got, there, ended := make(chan ports.Event), make(chan bool), make(chan error)
	go func() {
		ended <- records.Follow(ctx, b.PortLogFiles(), records.Query{}, func(records.Read) error {
			close(there)
			return nil
		}, func(r *ports.Record) error {
			select {
			case got <- r.Event:
			case <-ctx.Done():
			}
			return nil
		})
	}()
	<-there
	start(t, b, ports.LogOptions{})
	if e := <-got; e != ports.Began {
		t.Errorf("%s comes first", e)
	}
	quit()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// After the clock was set back, sets are there that begin later than the one that is written. That one
// is the newest all the same, for who reads and for who follows, and the others go first.
func TestClockSetBack(t *testing.T) {
	b := open(t, t.TempDir(), files.Options{})
	const late = "mx1-portlog-20991231-000000.ndjson"
	line := `{"time":"2099-12-31T00:00:00Z","event":"connect","pid":0,"uid":0,"socket":7}` + "\n"
	if err := os.WriteFile(b.pathOf(late), []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, b, ports.LogOptions{})
	b.tell(connect(time.Now(), 1))
	b.written(t, 1)
	ctx, quit := context.WithCancel(t.Context())
	got, ended := make(chan uint64), make(chan error)
	go func() {
		ended <- records.Follow(ctx, b.PortLogFiles(), records.Query{Newest: 1}, func(records.Read) error { return nil },
			func(r *ports.Record) error {
				select {
				case got <- r.Socket:
				case <-ctx.Done():
				}
				return nil
			})
	}()
	for n := uint64(1); n < 4; n++ {
		if s := <-got; s != n {
			t.Fatalf("record %d, want %d", s, n)
		}
		b.tell(connect(time.Now(), n+1))
	}
	quit()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	stop(t, b)
	if sets, err := b.stretches(); err != nil || len(sets) != 2 || sets[0].names[0] != late {
		t.Errorf("%+v, %v", sets, err)
	}
	if s := b.PortLogStatus(); s.Oldest.After(time.Now()) {
		t.Errorf("it reaches back to %v", s.Oldest)
	}
}

// In autumn an hour of local time is there twice. The files that are written are one set all the same,
// and none of them may go.
func TestHourThatIsThereTwice(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for hour := range 2 {
		b := open(t, t.TempDir(), files.Options{})
		b.location = zone
		b.reporter = reporter.New(reporter.Options{
			Create: b.directory.CreateFile, Remove: b.directory.Root().Remove, Hostname: b.o.Hostname, Status: b.o.Engine.Status,
			Services: b.o.Services, Bytes: setBytes, Grew: b.grew, Zone: zone, Log: b.o.Log,
		})
		start(t, b, ports.LogOptions{Format: ports.BothFormats})
		b.tell(connect(time.Now(), 1), connect(time.Date(2099, 10, 25, hour, 30, 0, 0, time.UTC), 2)) // 02:30 in Berlin
		b.written(t, 2)
		sets, err := b.stretches()
		if err != nil || len(sets) != 2 || len(sets[1].names) != 4 {
			t.Errorf("the sets are %+v, %v", sets, err)
		}
		for _, e := range (logFiles{b.Log}).Expendable() {
			if e.Take() && strings.Contains(e.Name, "2099") {
				t.Errorf("%s is being written, and may go", e.Name)
			}
		}
		stop(t, b)
	}
}
