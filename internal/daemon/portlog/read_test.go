package portlog

import (
	"context"
	"testing"
	"time"

	"diagsh/diag/ports"
	"diagsh/diag/ports/records"
	"diagsh/internal/daemon/files"
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
