package people

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/daemon/audit"
	"diagsh/internal/daemon/settings"
	"diagsh/internal/menu"
	"diagsh/internal/test/roomtest"
)

// A bed is people with what they need of an appliance.
type bed struct {
	*settings.Settings
	*audit.Log
	*People
	stop     context.CancelFunc
	sweeping sync.WaitGroup
	closed   bool
}

// sweepEvery is how often a bed sweeps, as the appliance does.
const sweepEvery = 5 * time.Second

// open opens people and what they need. Their settings are those of config.yaml in the data
// directory.
func open(o Options) (*bed, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	var b bed
	var err error
	if b.Settings, err = settings.Open(settings.Options{Dir: o.Dir, Log: o.Log}); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, err
	}
	folder := filepath.Join(o.Dir, "audit")
	for _, sign := range []string{filepath.Join(folder, audit.FileName), filepath.Join(o.Dir, LoginsFile)} {
		if info, err := os.Stat(sign); err == nil && info.ModTime().After(o.LastSign) {
			o.LastSign = info.ModTime()
		}
	}
	if b.Log, err = audit.Open(audit.Options{Dir: folder, Log: o.Log}); err != nil {
		return nil, err
	}
	o.Settings, o.Audit = b.Settings, b.Log
	if b.People, err = Open(o); err != nil {
		b.Log.Close(context.Background())
		return nil, err
	}
	b.Begin(audit.Said{})
	ctx, stop := context.WithCancel(context.Background())
	b.stop = stop
	b.sweeping.Go(func() {
		ticks := time.NewTicker(sweepEvery)
		defer ticks.Stop()
		for {
			select {
			case <-ticks.C:
				b.People.Sweep(time.Now())
			case <-ctx.Done():
				return
			}
		}
	})
	return &b, nil
}

// Greeting returns the part of the greeting that is about the person.
func (b *bed) Greeting(caller menu.Caller) access.Greeting {
	g := b.Greet(caller)
	g.Notice = b.People.Notice(caller)
	return g
}

// Close ends all as an appliance does that is told to stop.
func (b *bed) Close(ctx context.Context) error {
	if b.closed {
		return nil
	}
	b.closed = true
	b.Stop()
	b.stop()
	b.sweeping.Wait()
	return errors.Join(b.People.Close(ctx), b.Log.Close(ctx))
}

// start opens people and closes them when the test ends.
func start(t testing.TB, o Options) *bed {
	t.Helper()
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	b, err := open(o)
	if err != nil {
		t.Fatal(err)
	}
	// A password for nobody costs a test as little as a password for somebody.
	b.hasher.decoy = roomtest.CheapHash("nobody's")
	t.Cleanup(func() {
		if err := b.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return b
}
