// Package scenarios begins captures by a scenario, a named bundle of options, reads the tables that
// it names when a capture begins and when it has ended, and makes one archive of all that belongs to
// a capture: a report.
//
// A Room learns from the table of captures that one began or ended, however that came, also while
// the appliance was down. What it has to do for a capture is a job, which is on the disk before it is
// done: after the death of the appliance it is done again. The tables of a few captures are read at a
// time, and one report is made; nothing of it is on the way of a packet.
package scenarios

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"diagsh/capture"
	"diagsh/internal/access"
	"diagsh/internal/daemon/files"
	"diagsh/internal/daemon/reports"
	"diagsh/internal/daemon/store"
	"diagsh/internal/menu"
)

// Captures is the table of captures.
type Captures interface {
	StartCapture(caller menu.Caller, request capture.Request) (capture.Status, error)
	StopCapture(caller menu.Caller, name string) (capture.Status, error)
	Capture(name string) (capture.Status, error)
	Captures() []capture.Status
	CaptureSettings() capture.Settings
}

// A PortLog is the one port log, which others begin and end too.
type PortLog interface {
	// LogRuns returns since when the port log runs. It reports false if it does not; since is when it
	// ran last then.
	LogRuns() (since time.Time, runs bool)
	BeginLog(caller menu.Caller, persistent bool) error
	EndLog(caller menu.Caller) error
}

// A Boundary runs the lines of tables for the owner of a capture.
type Boundary interface {
	RunLineWithin(ctx context.Context, caller menu.Caller, line string, sink menu.Sink) (menu.Role, error)
	OpenWithin(caller menu.Caller, name string) (*os.File, error)
}

// Options are what a Room needs of the rooms around it.
type Options struct {
	Dir      string // the data directory
	Own      fs.FS  // the appliance's own scenarios
	Folder   string // of a vendor's
	Captures Captures
	Files    *files.Directory
	Reports  *reports.Reports

	PortLog PortLog

	// CallerOf returns who a caller of before is now, with the present role; an error for users if
	// the account is gone.
	CallerOf func(before menu.Caller) (menu.Caller, error)

	System   func(path, message string, arguments map[string]string) // writes into the audit log
	Tell     access.Teller                                           // of captures, whose reports got further
	SetAside func(store.Damage)
	Log      *slog.Logger
}

// A Room has the scenarios and the jobs. Its methods may be called from any goroutine.
type Room struct {
	o        Options
	own      []access.Scenario
	file     store.JSON[jobsFile]
	boundary Boundary
	root     *os.Root // of what tables said, a folder a job

	stop   context.CancelFunc
	ctx    context.Context
	tasks  sync.WaitGroup
	read   chan struct{} // wakes the reader of tables
	make   chan struct{} // wakes the maker of reports
	making chan struct{} // has one element while a report is made
	slots  chan struct{} // has one element for each capture whose tables are being read

	storing sync.Mutex // held while the jobs are written; taken before mu
	mu      sync.Mutex
	jobs    []*job
	busy    map[*job]bool // their tables are being read

	logBegun   time.Time    // as in the file
	logWasOurs bool         // before this start of the appliance
	beginning  atomic.Int32 // captures that have no job yet, and for which the port log may have begun already
	holding    sync.Mutex   // held while the port log is begun or ended; taken before mu

	changed store.Notifier // of jobs
}

// Open reads the scenarios and the jobs.
func Open(o Options) (*Room, error) {
	folder := filepath.Join(o.Dir, "tables")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, err
	}
	r := &Room{o: o, root: root, read: make(chan struct{}, 1), make: make(chan struct{}, 1), making: make(chan struct{}, 1),
		slots: make(chan struct{}, atOnce), busy: map[*job]bool{},
		file: store.JSON[jobsFile]{Path: filepath.Join(o.Dir, "scenarios.json"), Version: 1, SetAside: o.SetAside}}
	r.ctx, r.stop = context.WithCancel(context.Background())
	if r.own, err = readFolder(o.Own); err != nil {
		return nil, err
	}
	var file jobsFile
	if _, err := r.file.Load(&file); err != nil {
		return nil, err
	}
	r.logBegun = file.LogBegun
	if since, _ := o.PortLog.LogRuns(); !since.IsZero() {
		r.logWasOurs = since.Equal(r.logBegun)
	}
	r.jobs = slices.DeleteFunc(file.Jobs, func(j *job) bool { return j == nil })
	o.Files.Spare(r.needed)
	return r, nil
}

// ReadWith gives the boundary by which tables are read. Called once, before captures begin; jobs that
// were left wait for it.
func (r *Room) ReadWith(b Boundary) {
	r.mu.Lock()
	r.boundary = b
	r.mu.Unlock()
	r.wake()
}

// Start begins with what is to be done.
func (r *Room) Start() {
	r.removeStrays()
	r.keepLog()
	r.tasks.Go(func() { r.loop(r.read, r.readTables) })
	r.tasks.Go(func() { r.loop(r.make, r.makeReports) })
	r.wake()
}

// Stop interrupts what is being done; the next start does it again.
func (r *Room) Stop() { r.stop() }

// Close waits until ctx ends for what was interrupted.
func (r *Room) Close(ctx context.Context) error {
	r.stop()
	ended := make(chan struct{})
	go func() {
		r.tasks.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return r.root.Close()
	case <-ctx.Done():
		return errors.New("a report is still being made")
	}
}

// Captured is told that captures began, changed or ended. It returns at once.
func (r *Room) Captured(...string) { r.wake() }

func (r *Room) wake() {
	for _, c := range []chan struct{}{r.read, r.make} {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// loop does what is due each time that it is woken.
func (r *Room) loop(woken <-chan struct{}, do func()) {
	for {
		select {
		case <-woken:
			do()
		case <-r.ctx.Done():
			return
		}
	}
}

// StartCapture begins a capture. The options of its scenario are those that the request does not
// give. Of them, what the machine cannot do is left out, which the capture's status tells.
func (r *Room) StartCapture(caller menu.Caller, request capture.Request) (capture.Status, error) {
	if !request.Gives("scenario") && !request.Defaults {
		request.Scenario = r.o.Captures.CaptureSettings().Scenario
	}
	request.Scenario = named(request.Scenario)
	request.Given = append(slices.Clone(request.Given), "scenario")
	j := &job{Caller: ownerOf(caller)}
	var bundle access.Scenario
	if request.Scenario != "" {
		var err error
		if bundle, err = r.Scenario(request.Scenario); err != nil {
			return capture.Status{}, err
		}
		j.of(bundle)
	}
	r.beginning.Add(1)
	defer func() {
		r.beginning.Add(-1)
		r.wake()
	}()
	if !request.Start.After(time.Now()) { // else when the capture begins
		r.beginLog(j, caller, request.Persistent)
	}
	status, err := r.startFitting(caller, request, bundle, j)
	if err != nil || status.Scenario == "" && !status.Report {
		return status, err
	}
	if status.Scenario == "" {
		j.Tables = r.allTables()
	}
	j.Capture, j.Begun = status.Name, status.StartTime
	if err := r.begin(j, status); err != nil {
		r.o.Log.Error("the jobs of captures cannot be written", "error", err)
	}
	return r.described(status), nil
}

// dispensable are the options that a scenario's capture begins without, also where another option of
// the user rules them out, as the format pcap does.
var dispensable = []string{"processes", "drops"}

// startFitting begins a capture with what a scenario adds to its request. An option that the scenario
// alone gives, and that this machine cannot do, is left out with a remark.
func (r *Room) startFitting(caller menu.Caller, request capture.Request, s access.Scenario, j *job) (capture.Status, error) {
	s.Options = maps.Clone(s.Options)
	for {
		given, err := partial(s)
		if err != nil {
			return capture.Status{}, menu.Errorf(menu.Failed, "The scenario %s is not right: %s", s.Name, menu.Clean(err.Error()))
		}
		fitted := request
		fitted.Partial = request.Partial.Under(given)
		status, err := r.o.Captures.StartCapture(caller, fitted)
		var known *menu.Error
		if !errors.As(err, &known) || known.Code != menu.Unsupported && !slices.Contains(dispensable, known.Argument) {
			return status, err
		}
		i := slices.IndexFunc(given.Given, func(name string) bool { return strings.EqualFold(name, known.Argument) })
		if i < 0 || request.Partial.Gives(known.Argument) {
			return status, err
		}
		delete(s.Options, given.Given[i])
		j.Remarks = append(j.Remarks, known.Message)
	}
}

// allTables are the tables of a report on a capture without a scenario: those of the scenario all.
func (r *Room) allTables() []access.Table {
	if s, err := r.Scenario(allName); err == nil {
		return s.Tables
	}
	return nil
}

// allName is the scenario that has all tables.
const allName = "all"

// named returns the name of a scenario, "" for access.NoScenario.
func named(name string) string {
	if strings.EqualFold(name, access.NoScenario) {
		return ""
	}
	return name
}

// Captures returns the status of all captures, with what is known of their reports.
func (r *Room) Captures() []capture.Status {
	list := r.o.Captures.Captures()
	for i := range list {
		list[i] = r.described(list[i])
	}
	return list
}

// Capture returns the status of a capture, with what is known of its report.
func (r *Room) Capture(name string) (capture.Status, error) {
	s, err := r.o.Captures.Capture(name)
	return r.described(s), err
}

// StopCapture ends a capture.
func (r *Room) StopCapture(caller menu.Caller, name string) (capture.Status, error) {
	s, err := r.o.Captures.StopCapture(caller, name)
	return r.described(s), err
}

// described adds to a status what is known of its report.
func (r *Room) described(s capture.Status) capture.Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	if j := r.find(s.Name); j != nil {
		s.ReportState, s.ReportFile, s.ReportError = j.Report, j.ReportFile, j.ReportError
		s.Remarks = slices.Concat(s.Remarks, j.Remarks)
	}
	return s
}

// now is the time that is noted.
func now() time.Time { return time.Now().UTC().Round(0) }
