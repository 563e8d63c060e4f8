// Package captures is the table of captures: it starts them on the packet engine, ends them, and
// keeps what they have written, until it is deleted.
//
// A Table knows each capture from the moment that its name is taken, so that after the death of the
// appliance its files are found, finished and, where that was asked for, continued. Its files are
// in the diagnostic directory, whose owner of packets it is. Files that close are handed to the
// queue of copies. Live views take packets from the network or from a running capture, and leave no
// file.
//
// One lock guards the table. Nothing is written to the disk while it is held: a capture that is
// being started, finished or deleted is busy meanwhile.
package captures

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"diagsh/capture"
	"diagsh/capture/afpacket"
	"diagsh/capture/index"
	"diagsh/capture/owners"
	"diagsh/capture/pcapfile"
	"diagsh/internal/access"
	"diagsh/internal/daemon/audit"
	"diagsh/internal/daemon/captures/beside"
	"diagsh/internal/daemon/captures/machine"
	"diagsh/internal/daemon/captures/notes"
	"diagsh/internal/daemon/captures/outgoing"
	"diagsh/internal/daemon/captures/savedfilters"
	"diagsh/internal/daemon/exports"
	"diagsh/internal/daemon/files"
	"diagsh/internal/daemon/settings"
	"diagsh/internal/daemon/store"
	"diagsh/internal/menu"
)

// Options are what a Table needs of the rooms around it.
type Options struct {
	Dir      string    // the data directory
	Product  string    // name and version, as capture files say them
	LastSign time.Time // when the appliance that ran before was last seen to do something
	Settings *settings.Settings
	Audit    *audit.Log
	Files    *files.Directory   // that captures are written into
	Exports  *exports.Queue     // which tells the Table by Released and TargetGone
	Tell     access.Teller      // of captures, by name
	Settled  access.Teller      // that the settings changed
	Noted    access.Teller      // of notes at packets, by the names of the files
	SetAside func(store.Damage) // is told of damaged files; nil: Open fails
	Beside   []beside.Recorder  // of files that captures may have beside theirs

	// LiveOwners begins a table of who has conversations.
	LiveOwners func() (table *owners.Table, stop func(), err error)
	Log        *slog.Logger
}

// A Table is the one table of captures, for all users and front ends.
type Table struct {
	*savedfilters.Book

	settings   *settings.Settings
	audit      *audit.Log
	directory  *files.Directory
	queue      *exports.Queue
	recorders  []beside.Recorder
	flowReader beside.Reader

	liveOwners func() (*owners.Table, func(), error)

	product  string
	tell     access.Teller
	settled  access.Teller
	log      *slog.Logger
	lastSign time.Time

	live    atomic.Int32 // users who watch the network now
	checked checkedNames

	indexes *index.Library // of the files that users look at

	root         *os.Root // of the diagnostic directory, and its name
	path         string
	capturesFile store.JSON[capturesFile]
	settingsFile store.JSON[settingsFile]
	notes        *notes.Book
	outgoing     *outgoing.Writer
	volume       *pcapfile.Volume
	rings        *afpacket.Spare

	tasks sync.WaitGroup // recovering, and each capture that is reserved

	mu      sync.Mutex
	entries []*entry      // in the order of their starts
	rested  chan struct{} // closed, and another, when a capture is not busy any more
	closed  bool

	notUrgentSaid sync.Once // that threads are not urgent was said

	dirty   atomic.Bool // the table could not be written as it is
	storing sync.Mutex  // held while the table is written; taken before mu, which is not held meanwhile

	changing   sync.Mutex // held while the settings are changed and names looked up; taken before settingsMu
	settingsMu sync.Mutex
	current    capture.Settings
}

// Open reads the table as it was when the appliance ended, and registers the owner of the
// files. Nothing runs before Recover.
func Open(o Options) (*Table, error) {
	keep := o.Settings.CaptureRules().KeepMemory // of a capture that ends
	t := &Table{
		settings: o.Settings, audit: o.Audit, directory: o.Files, queue: o.Exports, recorders: o.Beside, liveOwners: o.LiveOwners,
		product: o.Product, tell: o.Tell, settled: o.Settled, log: o.Log, lastSign: o.LastSign,
		indexes: index.NewLibrary(indexBytes), rested: make(chan struct{}),
		root: o.Files.Root(), path: o.Files.Path(), volume: pcapfile.NewVolume(keep), rings: afpacket.NewSpare(keep),
		capturesFile: store.JSON[capturesFile]{Path: filepath.Join(o.Dir, "captures.json"), Version: 2, SetAside: o.SetAside},
		settingsFile: store.JSON[settingsFile]{Path: filepath.Join(o.Dir, "settings.json"), Version: 2, SetAside: o.SetAside},
	}
	var file capturesFile
	if _, err := t.capturesFile.Load(&file); err != nil {
		return nil, err
	}
	t.entries = slices.DeleteFunc(file.Captures, func(r *entry) bool { return r == nil })
	var err error
	if t.Book, err = savedfilters.Open(filepath.Join(o.Dir, "filters.json"), o.SetAside, o.Log); err != nil {
		return nil, err
	}
	if t.notes, err = notes.Open(filepath.Join(o.Dir, "notes.json"), o.Noted, o.SetAside); err != nil {
		return nil, err
	}
	host, system := machine.Names()
	t.outgoing = outgoing.New(outgoing.Options{Open: t.directory.OpenFile, Notes: t.notes, Owners: t.Owners, Revision: t.flowsRevision,
		Drops:  t.dropsOf,
		Header: capture.FileHeader{Machine: host, System: system, Application: t.product}})
	stored := settingsFile{firstSettings()}
	known, err := t.settingsFile.Load(&stored)
	if err != nil {
		return nil, err
	}
	if t.current = firstSettings(); known {
		t.current = stored.Settings
	}
	o.Files.Register(captureFiles{t})
	return t, nil
}

// Stop ends all captures and lets none begin any more. Close waits for their ends.
func (t *Table) Stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for _, r := range t.entries {
		if r.job != nil {
			r.job.Stop(capture.Shutdown)
		}
		if r.cancelled != nil && r.Status.State == capture.NotStarted {
			close(r.cancelled) // The next start of the appliance waits on.
		}
	}
}

// Close waits until ctx ends for captures to finish their files, and gives back the memory that is
// kept for others. Files that are not finished then are finished by the next start.
func (t *Table) Close(ctx context.Context) error {
	defer t.clearSpare()
	t.indexes.Close()
	finished := make(chan struct{})
	go func() {
		t.tasks.Wait()
		close(finished)
	}()
	select {
	case <-finished:
		return nil
	case <-ctx.Done():
		return errors.New("some captures have not finished their files; the next start does")
	}
}

// stopWait is how long StopCapture waits for a file to be finished. startWait is how long the host
// names of a filter may take.
const (
	stopWait  = 30 * time.Second
	startWait = 10 * time.Second
)

// StopCapture ends a running capture, or cancels one that waits for its time. It returns when the
// file is finished and the table on the disk says so, at most after stopWait. One that is just
// beginning is waited for.
func (t *Table) StopCapture(_ menu.Caller, name string) (capture.Status, error) {
	t.settle(name)
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
		return t.statusOf(r, job), menu.Errorf(menu.Failed,
			"The capture %s is stopping, but its file is not finished yet", name).
			WithHint("Its status will tell when it is")
	}
	// The table says so before the caller is told, so that the caller's next act finds a capture
	// that has ended, even if the appliance dies in between.
	t.closeBeside(r, job)
	s := t.statusOf(r, job)
	t.noteEnd(r, job, s)
	t.saveCaptures()
	list := []capture.Status{s}
	t.countExports(list)
	return list[0], nil
}

// cancel ends a capture that waits for its time. It reports false if there is none of the name.
func (t *Table) cancel(name string) (capture.Status, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, ok := t.find(name)
	if !ok || r.Status.State != capture.NotStarted {
		return capture.Status{}, false
	}
	s := &r.Status
	s.State, s.StopReason, s.EndTime = capture.Stopped, capture.StoppedByUser, time.Now()
	t.rest(r)
	close(r.cancelled)
	t.tell.Changed(s.Name)
	return r.status(), true
}

// find returns the capture of a name. Called with the lock held.
func (t *Table) find(name string) (*entry, bool) {
	i := slices.IndexFunc(t.entries, func(r *entry) bool { return r.Status.Name == name && !r.Forgotten })
	if i < 0 {
		return nil, false
	}
	return t.entries[i], true
}

// runningJob returns the running capture of a name.
func (t *Table) runningJob(name string) (*entry, *capture.Job, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, ok := t.find(name)
	switch {
	case !ok:
		return nil, nil, t.noSuch(name)
	case r.job == nil && r.busy && r.Status.State == capture.Running:
		return nil, nil, wrongState(name, "is just beginning", "Try again in a moment")
	case r.job == nil:
		return nil, nil, wrongState(name, "is not running", "")
	}
	return r, r.job, nil
}

// noSuch returns the error for a name that no capture has. Called with the lock held.
func (t *Table) noSuch(name string) error {
	e := &menu.Error{Code: menu.NotFound, Argument: "name", Message: "There is no capture " + menu.Quoted(name)}
	var names []string
	for _, r := range t.entries {
		if !r.Forgotten {
			names = append(names, r.Status.Name)
		}
	}
	if near := menu.Nearest(name, names); near != "" {
		return e.WithHint("Did you mean %s?", near)
	}
	return e
}

// Capture returns the status of a capture, whether it runs or has ended.
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

// Captures returns the status of all captures: first those that run or wait for their time, then
// those that have ended, the newest first in each part.
func (t *Table) Captures() []capture.Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	running, ended := []capture.Status{}, []capture.Status{}
	for _, r := range slices.Backward(t.entries) {
		if r.Forgotten {
			continue
		}
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

// DeleteCapture deletes a capture that has ended, with its files.
func (t *Table) DeleteCapture(_ menu.Caller, name string) error {
	r, files, err := t.takeFiles(name)
	if err != nil {
		return err
	}
	var gone []string
	for _, f := range r.Status.FilesBeside {
		gone = append(gone, f.Name)
	}
	for i, f := range files {
		gone = append(gone, f.Name)
		if err := t.root.Remove(f.Name); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.putBack(r, files[i:])
			t.saveCaptures()
			return menu.Failing("delete the file", err)
		}
		t.forgetNotes(f.Name)
	}
	if err := t.deleteBeside(r); err != nil {
		t.putBack(r, nil)
		t.saveCaptures()
		return menu.Failing("delete the file", err)
	}
	t.drop(r)
	t.saveCaptures()
	t.queue.FilesGone(gone...)
	return nil
}

// DeleteCaptures deletes all captures with their files. It ends those that run or wait for their
// time.
func (t *Table) DeleteCaptures(caller menu.Caller) error {
	for _, s := range t.Captures() {
		if s.State == capture.Running || s.State == capture.NotStarted {
			if _, err := t.StopCapture(caller, s.Name); err != nil {
				return err
			}
		}
		if err := t.DeleteCapture(caller, s.Name); err != nil {
			return err
		}
	}
	return nil
}

// takeFiles takes its files from a capture that has ended and makes it busy, so that nothing else
// touches it.
func (t *Table) takeFiles(name string) (*entry, []capture.FileInfo, error) {
	t.settle(name)
	t.mu.Lock()
	defer t.mu.Unlock()
	r, err := t.findEnded(name)
	if err != nil {
		return nil, nil, err
	}
	files := r.Status.Files
	r.Status.Files, r.busy = nil, true
	t.tell.Changed(name)
	return r, files, nil
}

// findEnded returns the capture of a name, if it has ended. Called with the lock held.
func (t *Table) findEnded(name string) (*entry, error) {
	r, ok := t.find(name)
	switch {
	case !ok:
		return nil, t.noSuch(name)
	case r.Status.State == capture.NotStarted:
		return nil, wrongState(name, "waits for its time", "Stop it first")
	case r.job != nil || r.busy && r.Status.State == capture.Running:
		return nil, wrongState(name, "is running", "Stop it first")
	case r.busy:
		return nil, wrongState(name, "is busy", "Try again in a moment")
	}
	return r, nil
}

// ForgetCapture takes a capture that has ended from the table, and keeps its files: they are copied,
// protected and deleted to make room as before.
func (t *Table) ForgetCapture(_ menu.Caller, name string) error {
	t.settle(name)
	t.mu.Lock()
	r, err := t.findEnded(name)
	if err != nil {
		t.mu.Unlock()
		return err
	}
	persistent := r.Spec.Persistent
	r.Forgotten, r.Spec.Persistent = true, false // it does not begin again
	t.mu.Unlock()
	if err := t.save(); err != nil {
		t.mu.Lock()
		r.Forgotten, r.Spec.Persistent = false, persistent
		t.mu.Unlock()
		return menu.Failing("delete the capture", err)
	}
	t.tell.Changed(name)
	return nil
}

// putBack gives back the files that could not be deleted.
func (t *Table) putBack(r *entry, files []capture.FileInfo) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r.Status.Files = files
	t.rest(r)
	t.tell.Changed(r.Status.Name)
}

// writing reports whether a capture that has not ended has this file, or will have it.
func (t *Table) writing(file string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.ContainsFunc(t.entries, func(r *entry) bool { return !r.ended() && r.has(file) })
}

// removed notes that files are gone. Their captures stay in the table.
func (t *Table) removed(names []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range t.entries {
		before := len(r.Status.Files)
		r.Status.Files = slices.DeleteFunc(r.Status.Files, func(f capture.FileInfo) bool {
			return slices.Contains(names, f.Name)
		})
		if r.forgetBeside(names) || len(r.Status.Files) < before {
			t.tell.Changed(r.Status.Name)
		}
	}
}

// headersOnly returns the files that are known to hold headers only.
func (t *Table) headersOnly() map[string]bool {
	return t.filesOf(func(r *entry) bool { return !r.Payload })
}

// capturedFiles returns the names of the files of all captures of the table.
func (t *Table) capturedFiles() map[string]bool {
	return t.filesOf(func(*entry) bool { return true })
}

// filesOf returns the names of the files of the captures that are wanted.
func (t *Table) filesOf(wanted func(*entry) bool) map[string]bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	files := make(map[string]bool)
	for _, r := range t.entries {
		if !wanted(r) {
			continue
		}
		for _, name := range r.status().FileNames() {
			files[name] = true
		}
	}
	return files
}
