package daemon

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"diagsh/capture"
	"diagsh/capture/afpacket"
	"diagsh/capture/pcapfile"
	"diagsh/internal/access"
	"diagsh/internal/daemon/audit"
	"diagsh/internal/daemon/exports"
	"diagsh/internal/daemon/files"
	"diagsh/internal/daemon/settings"
	"diagsh/internal/daemon/store"
	"diagsh/internal/menu"
)

// A Table is the one table of captures, for all users and front ends.
type Table struct {
	*settings.Settings
	*audit.Log
	*files.Directory
	*exports.Queue

	product  string
	log      *slog.Logger
	lastSign time.Time // when the appliance that ran before was last seen to do something

	live    atomic.Int32 // who watches the network now
	checked checkedNames

	files    *os.Root
	path     string // of the diagnostic directory
	store    store.JSON[capturesFile]
	settings store.JSON[settingsFile]
	volume   *pcapfile.Volume
	rings    *afpacket.Spare

	tasks sync.WaitGroup // each capture that is reserved is one

	mu      sync.Mutex
	records []*entry // in the order of their starts
	closed  bool

	unhurried sync.Once // that threads are not urgent was said

	dirty   atomic.Bool // the table could not be written as it is
	storing sync.Mutex  // held while the table is written; taken before mu, which is not held meanwhile

	changing   sync.Mutex // held while the settings are changed, which can take a look-up of names; taken before settingsMu
	settingsMu sync.Mutex
	current    capture.Settings
}

// An entry is one capture, running or ended.
type entry struct {
	Status    capture.Status `json:"status"`             // as it ended; while it runs, as it was when the table was written
	Spec      capture.Spec   `json:"spec"`               // what it was begun with
	File      string         `json:"file"`               // the name that its file gets; those of several have numbers in it
	Payload   bool           `json:"payload"`            // the files hold more than headers
	Queued    map[string]int `json:"queued,omitempty"`   // by target that wants all: the number of the last file that was queued for it
	Unqueued  bool           `json:"unqueued,omitempty"` // its files are not queued yet for the targets that want all
	filter    *captureFilter // of its last run; nil if there was none since the appliance began
	job       *capture.Job   // nil: it does not run
	busy      bool           // somebody works on it: its job is being made, or its files are finished or removed
	cancelled chan struct{}  // closed when it is not to begin any more; nil unless it waits for its time
	memory    int64          // that it has
}

// status is the capture as it is now.
func (r *entry) status() capture.Status {
	s := r.Status
	if r.job != nil {
		s = r.statusOf(r.job)
	}
	s.Interfaces = slices.Clone(s.Interfaces)
	s.Files = slices.Clone(s.Files)
	if s.Files == nil {
		s.Files = []capture.FileInfo{}
	}
	return s
}

// statusOf is the status of the capture's job, with what the filter has left out.
func (r *entry) statusOf(job *capture.Job) capture.Status {
	s := job.Status()
	if r.filter != nil {
		s.InterfacesLeftOut = r.filter.leftOut()
	}
	return s
}

// statusOf is that of a record for who does not hold the table.
func (t *Table) statusOf(r *entry, job *capture.Job) capture.Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	return r.statusOf(job)
}

// filters notes by which filter a capture is about to run.
func (t *Table) filters(r *entry, f *captureFilter) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r.filter = f
}

// ended reports whether the capture needs its file no more.
func (r *entry) ended() bool { return r.job == nil && !r.busy }

// stopWait is how long StopCapture waits for a file to be finished, and startWait how long a filter's host names may take.
const (
	stopWait  = 30 * time.Second
	startWait = 10 * time.Second
)

// reserve takes a name and writes down that the capture is about to run, so that its file is known even if the appliance dies in
// the next moment. Whoever reserves ends the task that this adds.
func (t *Table) reserve(spec capture.Spec, caller menu.Caller, expression string, conf *settings.Settings, interfaces []capture.Interface) (*entry, error) {
	spec.Format = spec.FileFormat(len(interfaces))
	r := &entry{Payload: !spec.HeadersOnly, busy: true, Spec: spec, Status: spec.Status()}
	s := &r.Status
	s.State, s.EffectiveFilter, s.StartTime, s.Owner, s.Interfaces = capture.Running, expression, time.Now(), caller.User, nil
	for _, i := range interfaces {
		r.Status.Interfaces = append(r.Status.Interfaces, i.Name)
	}
	if err := t.add(r, conf); err != nil {
		return nil, err
	}
	if err := t.keep(); err != nil {
		t.drop(r)
		t.tasks.Done()
		return nil, err
	}
	return r, nil
}

// add puts a capture into the table, with a name and a name for its file.
func (t *Table) add(r *entry, conf *settings.Settings) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.room(conf); err != nil {
		return err
	}
	s := &r.Status
	if s.Name == "" {
		s.Name = t.nextName()
	} else if _, taken := t.find(s.Name); taken {
		return &menu.Error{Code: menu.State, Argument: "name", Message: "There is a capture " + s.Name + " already",
			Hint: "Choose another name, or delete that one"}
	}
	r.Spec.Name = s.Name
	r.File = t.freeFileName(conf.Hostname(), s.Name, s.StartTime, s.Format)
	t.records = append(t.records, r)
	t.tasks.Add(1)
	return nil
}

// room tells whether one more capture may run.
func (t *Table) room(conf *settings.Settings) error {
	if t.closed {
		return menu.Errorf(menu.State, "The appliance is stopping")
	}
	running := 0
	for _, other := range t.records {
		if !other.ended() {
			running++
		}
	}
	if running >= conf.CaptureRules().Running {
		return menu.Errorf(menu.State, "%d captures are running, which is the most", running).WithHint("Stop one of them first")
	}
	return nil
}

// drop takes a capture out of the table.
func (t *Table) drop(r *entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.records = slices.DeleteFunc(t.records, func(other *entry) bool { return other == r })
}

// nextName is capture-N with the number after the highest in the table.
func (t *Table) nextName() string {
	const prefix = "capture-"
	highest := 0
	for _, r := range t.records {
		if digits, ok := strings.CutPrefix(r.Status.Name, prefix); ok {
			if n, err := strconv.Atoi(digits); err == nil && n > highest && n < 1<<30 {
				highest = n
			}
		}
	}
	return prefix + strconv.Itoa(highest+1)
}

// freeFileName is HOST-NAME-YYYYMMDD-HHMMSS in UTC with its extension. A capture that follows another of its name within the
// second gets the next free second: a number behind that would say that it is a part of the other.
func (t *Table) freeFileName(host, name string, now time.Time, format capture.Format) string {
	for {
		file := host + "-" + name + "-" + now.UTC().Format("20060102-150405") + format.Extension()
		if !t.taken(file) {
			return file
		}
		now = now.Add(time.Second)
	}
}

func (t *Table) taken(file string) bool {
	for _, name := range []string{file, capture.NumberedName(file, 1)} {
		for _, name := range []string{name, capture.PartName(name)} {
			if _, err := t.files.Lstat(name); err == nil {
				return true
			}
		}
	}
	return slices.ContainsFunc(t.records, func(r *entry) bool { return r.File == file })
}

func (t *Table) find(name string) (*entry, bool) {
	i := slices.IndexFunc(t.records, func(r *entry) bool { return r.Status.Name == name })
	if i < 0 {
		return nil, false
	}
	return t.records[i], true
}

// began notes that the capture runs.
func (t *Table) began(r *entry, job *capture.Job) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r.job, r.busy = job, false
	r.Unqueued = true
	if t.closed { // The appliance began to stop meanwhile.
		job.Stop(capture.Shutdown)
	}
}

// await waits for the end of a capture and keeps it. An end that no user asked for goes into the audit log; the command of a user
// is there already.
func (t *Table) await(r *entry, job *capture.Job) {
	<-job.Done()
	s := t.statusOf(r, job)
	t.ended(r, job, s)
	t.exportCapture(r, s)
	t.saveCaptures()
	if err := job.Err(); err != nil {
		t.log.Error("a capture ended", "name", s.Name, "reason", s.StopReason, "error", err)
	}
	if s.StopReason != capture.StoppedByUser {
		t.recordEnd(s)
	}
	debug.FreeOSMemory() // a capture's end is rare, and an appliance that idles should be small
}

func (t *Table) recordEnd(s capture.Status) {
	t.SystemEvent(access.Event{Path: s.Name, Message: "The capture " + s.Name + " of " + s.Owner + " ended: " + s.StopReason.Text(),
		Arguments: map[string]string{"stopReason": string(s.StopReason), "packets": fmt.Sprint(s.PacketsWritten)}, Seconds: s.EndTime.Sub(s.StartTime).Seconds()})
}

// ended keeps how a capture ended. It is called by whoever notices first, and again by the others: then somebody may have gone on
// with the record.
func (t *Table) ended(r *entry, job *capture.Job, s capture.Status) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r.job == job {
		r.Status, r.job, r.memory = s, nil, 0
	}
}

// notBegun keeps that a capture, reserved before, could not begin.
func (t *Table) notBegun(r *entry, s capture.Status) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r.Status, r.busy, r.memory = s, false, 0
}

// saveCaptures writes the table. If that fails it is right in memory nevertheless, and what is running goes on.
func (t *Table) saveCaptures() {
	if err := t.keep(); err != nil {
		t.log.Error("the table of captures cannot be written", "error", err)
	}
}

// StopCapture ends a running capture and returns when its file is finished.
func (t *Table) StopCapture(_ menu.Caller, name string) (capture.Status, error) {
	if s, ok := t.cancel(name); ok {
		t.saveCaptures()
		return s, nil
	}
	r, job, err := t.runningJob(name)
	if err != nil {
		return capture.Status{}, err
	}
	job.Stop(capture.StoppedByUser)
	limit := time.NewTimer(stopWait)
	defer limit.Stop()
	select {
	case <-job.Done():
	case <-limit.C:
		return t.statusOf(r, job), menu.Errorf(menu.Failed, "The capture %s is stopping, but its file is not finished yet", name).WithHint("Its status will tell when it is")
	}
	// The table says so too before the caller is told, so that what comes next finds a capture that has ended.
	s := t.statusOf(r, job)
	t.ended(r, job, s)
	list := []capture.Status{s}
	t.countExports(list)
	return list[0], nil
}

// cancel ends a capture that waits for its time.
func (t *Table) cancel(name string) (capture.Status, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, ok := t.find(name)
	if !ok || r.Status.State != capture.NotStarted {
		return capture.Status{}, false
	}
	s := &r.Status
	s.State, s.StopReason, s.EndTime, r.busy = capture.Stopped, capture.StoppedByUser, time.Now(), false
	close(r.cancelled)
	return r.status(), true
}

// runningJob is the running capture of a name.
func (t *Table) runningJob(name string) (*entry, *capture.Job, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, ok := t.find(name)
	switch {
	case !ok:
		return nil, nil, t.noSuch(name)
	case r.job == nil && r.busy && r.Status.State == capture.Running:
		return nil, nil, &menu.Error{Code: menu.State, Argument: "name", Message: "The capture " + name + " is just beginning", Hint: "Try again in a moment"}
	case r.job == nil:
		return nil, nil, &menu.Error{Code: menu.State, Argument: "name", Message: "The capture " + name + " is not running"}
	}
	return r, r.job, nil
}

func (t *Table) noSuch(name string) error {
	e := &menu.Error{Code: menu.NotFound, Argument: "name", Message: "There is no capture " + menu.Quoted(name)}
	var names []string
	for _, r := range t.records {
		names = append(names, r.Status.Name)
	}
	if near := menu.Nearest(name, names); near != "" {
		return e.WithHint("Did you mean %s?", near)
	}
	return e
}

// Capture finds one capture, running or ended.
func (t *Table) Capture(name string) (capture.Status, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, ok := t.find(name)
	if !ok {
		return capture.Status{}, t.noSuch(name)
	}
	list := []capture.Status{r.status()}
	t.countExports(list)
	return list[0], nil
}

// Captures lists all captures: those that run first, each part the newest first.
func (t *Table) Captures() []capture.Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	running, ended := []capture.Status{}, []capture.Status{}
	for _, r := range slices.Backward(t.records) {
		if s := r.status(); s.State == capture.Running || s.State == capture.NotStarted {
			running = append(running, s)
		} else {
			ended = append(ended, s)
		}
	}
	list := append(running, ended...)
	t.countExports(list)
	return list
}

// DeleteCapture removes a capture that has ended, with its files.
func (t *Table) DeleteCapture(_ menu.Caller, name string) error {
	r, files, err := t.takeFiles(name)
	if err != nil {
		return err
	}
	for i, f := range files {
		if err := t.files.Remove(f.Name); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.putBack(r, files[i:])
			t.saveCaptures()
			return menu.Failing("delete the file", err)
		}
	}
	t.drop(r)
	t.saveCaptures()
	return nil
}

// takeFiles takes its files from a capture that has ended and keeps everybody else from it.
func (t *Table) takeFiles(name string) (*entry, []capture.FileInfo, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, ok := t.find(name)
	switch {
	case !ok:
		return nil, nil, t.noSuch(name)
	case r.Status.State == capture.NotStarted:
		return nil, nil, &menu.Error{Code: menu.State, Argument: "name", Message: "The capture " + name + " waits for its time", Hint: "Stop it first"}
	case r.job != nil || r.busy && r.Status.State == capture.Running:
		return nil, nil, &menu.Error{Code: menu.State, Argument: "name", Message: "The capture " + name + " is running", Hint: "Stop it first"}
	case r.busy:
		return nil, nil, &menu.Error{Code: menu.State, Argument: "name", Message: "The capture " + name + " is busy", Hint: "Try again in a moment"}
	}
	files := r.Status.Files
	r.Status.Files, r.busy = nil, true
	return r, files, nil
}

// putBack gives back the files that could not be removed.
func (t *Table) putBack(r *entry, files []capture.FileInfo) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r.Status.Files, r.busy = files, false
}

// writing reports whether a running capture will have this file.
func (t *Table) writing(file string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.ContainsFunc(t.records, func(r *entry) bool { return !r.ended() && r.has(file) })
}

// has tells whether a file is one of the capture, by its name.
func (r *entry) has(file string) bool {
	_, ok := capture.FileNumber(r.File, file)
	return ok
}

// removed notes that files are gone; their captures stay in the table.
func (t *Table) removed(names []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range t.records {
		r.Status.Files = slices.DeleteFunc(r.Status.Files, func(f capture.FileInfo) bool { return slices.Contains(names, f.Name) })
	}
}

// headersOnly lists the files that are known to hold no more than headers.
func (t *Table) headersOnly() map[string]bool {
	return t.filesOf(func(r *entry) bool { return !r.Payload })
}

// capturedFiles returns the names of the files of all captures of the table.
func (t *Table) capturedFiles() map[string]bool {
	return t.filesOf(func(*entry) bool { return true })
}

func (t *Table) filesOf(wanted func(*entry) bool) map[string]bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	files := make(map[string]bool)
	for _, r := range t.records {
		if !wanted(r) {
			continue
		}
		for _, f := range r.status().Files {
			files[f.Name] = true
		}
	}
	return files
}

// stop ends all captures and takes no more.
func (t *Table) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for _, r := range t.records {
		if r.job != nil {
			r.job.Stop(capture.Shutdown)
		}
		if r.cancelled != nil && r.Status.State == capture.NotStarted {
			close(r.cancelled) // The next start of the appliance waits on.
		}
	}
}
