package captures

import (
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"diagsh/capture"
	"diagsh/internal/access"
	"diagsh/internal/daemon/captures/beside"
	"diagsh/internal/daemon/captures/programs"
)

// An entry is one capture, running or ended.
type entry struct {
	Status  capture.Status `json:"status"`  // as it ended; while it runs, as it was when the table was written
	Spec    capture.Spec   `json:"spec"`    // what it was begun with
	File    string         `json:"file"`    // the name of its file; where it has several, they have numbers in it
	Payload bool           `json:"payload"` // the files hold more than headers

	// Queued has the number of the last file that was queued, for each target that wants all.
	// Unqueued says that files are not queued yet for such a target.
	Queued   map[string]int `json:"queued,omitempty"`
	Unqueued bool           `json:"unqueued,omitempty"`

	// QueuedBeside are the targets for which the files beside it are queued.
	QueuedBeside []string `json:"queuedBeside,omitempty"`

	// Forgotten says that users deleted the capture and kept its files: no user finds it any more, and
	// its name is free. The entry stays as long as it has files, for what is known of these.
	Forgotten bool `json:"forgotten,omitempty"`

	// Manifests has the number of the last manifest, for each target that got one. Listed are the
	// targets for which that of the present end is queued.
	Manifests map[string]int `json:"manifests,omitempty"`
	Listed    []string       `json:"listed,omitempty"`

	beside    *beside.Set      // of the job; nil: it does not run
	filter    *programs.Filter // of its last run; nil if there was none since the appliance began
	job       *capture.Job     // nil: it does not run
	busy      bool             // its job is being made, or its files are being finished or deleted
	cancelled chan struct{}    // closed when it is not to begin any more; nil unless it waits for its time
	memory    int64            // that it has, in bytes
}

// status returns the capture as it is now. Called with the lock of the table held.
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

// statusOf returns the status of the capture's job, with the interfaces that the filter has left
// out. Called with the lock of the table held.
func (r *entry) statusOf(job *capture.Job) capture.Status {
	s := job.Status()
	if r.filter != nil {
		s.InterfacesLeftOut = r.filter.LeftOut()
	}
	s.FilesBeside = r.filesBeside()
	return s
}

// ended reports whether the capture does not run and nothing works on its files.
func (r *entry) ended() bool { return r.job == nil && !r.busy }

// has reports whether a file is one of the capture's, by its name.
func (r *entry) has(file string) bool {
	_, ok := capture.FileNumber(r.File, file)
	_, besides := beside.KindOf(r.File, file)
	return ok || besides
}

// number returns the number of a file of the capture.
func (r *entry) number(f capture.FileInfo) int {
	n, _ := capture.FileNumber(r.File, f.Name)
	return n
}

// What the goroutines that run a capture keep of it.

// statusOf returns the status of an entry's job. Called without the lock.
func (t *Table) statusOf(r *entry, job *capture.Job) capture.Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	return r.statusOf(job)
}

// setFilter notes by which filter a capture is about to run.
func (t *Table) setFilter(r *entry, f *programs.Filter) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r.filter = f
}

// began notes that the capture runs. If the appliance is being stopped by now, so is the capture.
func (t *Table) began(r *entry, job *capture.Job, files *beside.Set) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r.job, r.beside = job, files
	t.rest(r)
	t.tell.Changed(r.Status.Name)
	r.Unqueued, r.Listed = true, nil
	if t.closed { // The appliance began to stop meanwhile.
		job.Stop(capture.Shutdown)
	}
}

// awaitEnd waits for the end of a capture and keeps it. An end that no user asked for goes into the
// audit log: the command of a user is there already.
func (t *Table) awaitEnd(r *entry, job *capture.Job) {
	<-job.Done()
	t.closeBeside(r, job)
	s := t.statusOf(r, job)
	t.noteEnd(r, job, s)
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

// recordEnd writes into the audit log how a capture ended.
func (t *Table) recordEnd(s capture.Status) {
	t.audit.SystemEvent(access.Event{
		Path:      s.Name,
		Message:   "The capture " + s.Name + " of " + s.Owner + " ended: " + s.StopReason.Text(),
		Arguments: map[string]string{"stopReason": string(s.StopReason), "packets": fmt.Sprint(s.PacketsWritten)},
		Seconds:   s.EndTime.Sub(s.StartTime).Seconds(),
	})
}

// settle waits until nothing of the capture of a name is being begun, finished or deleted, at most
// for stopWait.
func (t *Table) settle(name string) {
	late := time.After(stopWait)
	for busy, rested := t.isBusy(name); busy; busy, rested = t.isBusy(name) {
		select {
		case <-rested:
		case <-late:
			return
		}
	}
}

// isBusy reports whether the capture of a name is busy. rested is closed when any capture is not any more.
func (t *Table) isBusy(name string) (busy bool, rested <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, ok := t.find(name)
	return ok && r.busy && r.Status.State != capture.NotStarted, t.rested
}

// rest notes that a capture is not busy any more, and wakes who waits. Called with the lock held.
func (t *Table) rest(r *entry) {
	r.busy = false
	close(t.rested)
	t.rested = make(chan struct{})
}

// noteEnd keeps how a job ended. It is called by the goroutine that notices first, and again by
// others. By then the entry may have another job, which it leaves alone.
func (t *Table) noteEnd(r *entry, job *capture.Job, s capture.Status) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r.job == job {
		r.Status, r.job, r.beside, r.memory = s, nil, nil, 0
		t.tell.Changed(s.Name)
	}
}

// notBegun keeps the status of a capture that was reserved and could not begin.
func (t *Table) notBegun(r *entry, s capture.Status) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r.Status, r.memory = s, 0
	t.rest(r)
	t.tell.Changed(s.Name)
}
