// Package portlog keeps the port log: which process opened, accepted, used and closed which socket,
// as files of the diagnostic directory.
//
// One log runs at a time, for all users. What the engine tells goes through a bounded queue to the
// goroutine of a run, which alone touches the disk: so a slow disk costs lines, which a gap counts,
// and never stalls the engine. The files are known by their names, so that no list beside them can
// be wrong after a death of the appliance.
package portlog

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"diagsh/diag/ports"
	"diagsh/diag/services"
	"diagsh/internal/access"
	"diagsh/internal/daemon/files"
	"diagsh/internal/daemon/portlog/reporter"
	"diagsh/internal/daemon/store"
)

// An engine tells what happens to sockets.
type engine interface {
	Watch(ctx context.Context, w ports.Watcher) (stop func(), err error)
	Status() (ports.Status, bool)
}

// Options are what a Log needs of the rooms around it.
type Options struct {
	Dir      string    // the data directory
	Product  string    // name and version, as the log's first line says them
	LastSign time.Time // when the appliance that ran before was last seen to do something
	Hostname func() string
	Files    *files.Directory
	Engine   engine
	Services func() (services.Catalogue, error) // that sets of Port Reporter name

	// System writes what the log does by itself into the audit log, and SystemFailed what it could
	// not do.
	System       func(path, message string, arguments map[string]string)
	SystemFailed func(path, message string)

	Tell     access.Teller      // that the log is in another state
	Settled  access.Teller      // that its settings changed
	SetAside func(store.Damage) // is told of a damaged file; nil: Open fails
	Log      *slog.Logger
}

// TopicName names the one thing of which Options.Tell and Options.Settled tell.
const TopicName = "portlog"

// A Log is the one port log of the appliance. Its methods may be called from any goroutine.
type Log struct {
	o        Options
	file     store.JSON[logFile]
	location *time.Location // whose midnight begins a new set
	changed  store.Notifier // that lines were written
	reporter *reporter.Reporter

	changing sync.Mutex // held while the log starts or stops, or its settings change; taken before mu

	mu      sync.Mutex
	current ports.LogOptions // the settings
	last    ports.LogStatus  // of the log that runs, or ran last
	run     *run             // nil: none runs
	writing present          // that it writes
	closed  bool
}

// logFile is the content of portlog.json. A log whose State is not LogStopped ran when the appliance
// ended, or died.
type logFile struct {
	Settings *ports.LogOptions `json:"settings,omitempty"` // nil: those of a new appliance
	Last     ports.LogStatus   `json:"last"`
}

// UnmarshalJSON refuses what no log of ours can have been: a bound of nothing would take away all files.
func (f *logFile) UnmarshalJSON(data []byte) error {
	type plain logFile
	if err := json.Unmarshal(data, (*plain)(f)); err != nil {
		return err
	}
	if f.Settings != nil {
		if err := f.Settings.Normal().Check(); err != nil {
			return err
		}
	}
	if f.Last.State == "" || f.Last.State == ports.LogNotStarted {
		return nil
	}
	return f.Last.Normal().Check()
}

// Open reads what the appliance that ran before left, and registers the owner of the files. Nothing
// runs before Start.
func Open(o Options) (*Log, error) {
	l := &Log{o: o, location: time.Local, current: ports.FirstLogOptions(),
		file: store.JSON[logFile]{Path: filepath.Join(o.Dir, "portlog.json"), Version: 1, SetAside: o.SetAside}}
	l.reporter = reporter.New(reporter.Options{
		Create: o.Files.CreateFile, Remove: o.Files.Root().Remove, Product: o.Product, Hostname: o.Hostname,
		Status: o.Engine.Status, Services: o.Services, Bytes: setBytes, Grew: l.grew, Zone: l.location, Log: o.Log,
	})
	var known logFile
	if _, err := l.file.Load(&known); err != nil {
		return nil, err
	}
	if known.Settings != nil {
		l.current = known.Settings.Normal()
	}
	l.last = known.Last
	if l.last.State == "" {
		l.last.State = ports.LogNotStarted
	}
	o.Files.Register(logFiles{l})
	return l, nil
}

// save writes the settings and the state of the log.
func (l *Log) save() error {
	l.mu.Lock()
	known := logFile{Last: l.last}
	if !sameOptions(l.current, ports.FirstLogOptions()) {
		known.Settings = &l.current
	}
	data, err := l.file.Encode(known)
	l.mu.Unlock()
	if err != nil {
		return err
	}
	return store.Replace(l.file.Path, data)
}

// Recover notes that a log ended with the appliance that ran before, and removes what its death left
// of lines that were being written.
func (l *Log) Recover() {
	l.mu.Lock()
	died, start := l.last.State == ports.LogRunning || l.last.State == ports.LogPaused, l.last.Start
	if died {
		l.last.State, l.last.StopReason, l.last.End = ports.LogStopped, ports.LogInterrupted, l.o.LastSign
	}
	l.mu.Unlock()
	if !died {
		return
	}
	if err := l.repair(start); err != nil {
		l.o.Log.Error("the files of the port log cannot be repaired", "error", err)
	}
	if err := l.save(); err != nil { // else a later start takes its own last sign for the log's end
		l.o.Log.Error("the state of the port log cannot be written", "error", err)
	}
}

// grew is told that the files of sets grow in the background. It waits until the run has looked at
// their bound, so that they do not pass it.
func (l *Log) grew() {
	l.mu.Lock()
	r := l.run
	l.mu.Unlock()
	if r == nil {
		return
	}
	select {
	case r.grown <- struct{}{}:
	case <-r.done:
	}
}

// Start goes on with a persistent log that the end of the appliance ended.
func (l *Log) Start() {
	l.changing.Lock()
	defer l.changing.Unlock()
	l.mu.Lock()
	last := l.last
	l.mu.Unlock()
	if !last.Persistent || last.StopReason != ports.LogInterrupted && last.StopReason != ports.LogShutdown {
		return
	}
	if err := l.begin(last.LogOptions, last.Owner, "it goes on after a restart", false); err != nil {
		l.o.Log.Error("the port log does not go on", "error", err)
		l.o.SystemFailed(TopicName, "The port log does not go on after the restart")
		return
	}
	l.o.System(TopicName, "The port log goes on after the restart", nil)
}

// Stop ends the log, and lets none begin any more. Close waits for its end.
func (l *Log) Stop() {
	l.mu.Lock()
	l.closed = true
	r := l.run
	l.mu.Unlock()
	if r != nil {
		r.stop(ports.LogShutdown)
	}
}

// Close waits until ctx ends for the last lines to be written.
func (l *Log) Close(ctx context.Context) error {
	l.mu.Lock()
	r := l.run
	l.mu.Unlock()
	late := errors.New("the port log has not finished its files; the next start does")
	if r != nil {
		select {
		case <-r.done:
		case <-ctx.Done():
			return late
		}
	}
	if l.reporter.Wait(ctx) != nil {
		return late
	}
	return nil
}

// Sweep begins a new set at midnight, and deletes sets that are older than they may be.
func (l *Log) Sweep(now time.Time) {
	l.mu.Lock()
	r := l.run
	l.mu.Unlock()
	if r != nil {
		r.sweep(now)
	}
}
