package captures

import (
	"context"
	"os"
	"slices"
	"time"

	"diagsh/capture"
	"diagsh/internal/access"
	"diagsh/internal/daemon/captures/deliveries"
	"diagsh/internal/menu"
)

// The copies of what captures write: what is queued, and what may go when it is copied.

// ExportPackets queues the files of a capture that has ended, or a file. With processes it queues
// copies of the files of packets that say them.
func (t *Table) ExportPackets(caller menu.Caller, name, target string, processes bool) ([]capture.Export, error) {
	if err := t.queue.CheckTarget(target); err != nil {
		return nil, err
	}
	var files []string
	of := ""
	if _, err := t.directory.FileInfo(name); err == nil {
		files = []string{name}
	} else {
		status, err := t.Capture(name)
		switch {
		case err != nil:
			return nil, err
		case status.State == capture.Running:
			return nil, wrongState(name, "is running", "Stop it first")
		case len(status.Files) == 0:
			return nil, wrongState(name, "has no file any more", "")
		}
		of = name
		files = status.FileNames()
		if processes {
			files = slices.DeleteFunc(files, func(f string) bool {
				return slices.ContainsFunc(status.FilesBeside, func(b capture.FileBeside) bool { return b.Name == f })
			})
		}
	}
	if processes {
		copies, err := t.outgoing.Copies(of, files)
		if err != nil {
			return nil, err
		}
		return t.queue.AddCopies(copies, target, caller.User)
	}
	return t.queue.Add(of, files, target, caller.User)
}

// OpenJoined writes a copy of a file of packets that says their processes, and opens it. It has no
// name, so that nothing is left of it when it is closed.
func (t *Table) OpenJoined(ctx context.Context, name string) (*os.File, error) {
	return t.outgoing.OpenJoined(ctx, t.root, name, func() error {
		t.mu.Lock()
		i := slices.IndexFunc(t.entries, func(r *entry) bool { return r.has(name) })
		if i < 0 {
			t.mu.Unlock()
			return t.directory.Allowance()
		}
		spec := t.entries[i].Spec
		t.mu.Unlock()
		return t.roomBeside(spec)
	})
}

// targetsOf returns the targets that get every file of a capture: those that want all, and its own.
func (t *Table) targetsOf(d capture.Delivery) []string {
	targets := t.queue.Auto()
	if d.Target != "" && !slices.Contains(targets, d.Target) {
		targets = append(targets, d.Target)
	}
	return targets
}

// exportFile queues a file that a running capture has just closed, for its targets.
func (t *Table) exportFile(r *entry, spec capture.Spec, file string) {
	for _, target := range t.targetsOf(spec.Delivery) {
		t.enqueueAuto(r, spec.Name, spec.Delivery, []string{file}, target)
	}
}

// exportCapture queues the files of a capture that has just ended for its targets, unless that was done as they closed. If the capture runs again by now, its next end is time
// enough. The caller writes the table afterwards: until the disk knows that the files are queued,
// the table on it says that they are not.
func (t *Table) exportCapture(r *entry, s capture.Status) {
	queued := true
	for _, target := range t.targetsOf(s.Delivery) {
		queued = t.enqueueAuto(r, s.Name, s.Delivery, t.unqueuedFor(r, target, s.Files), target) && queued
		queued = t.enqueueBeside(r, s, target) && queued
	}
	t.mu.Lock()
	if r.ended() && queued {
		r.Unqueued = false
	}
	t.mu.Unlock()
	t.trimRing(r)
}

// Sweep does again what was not possible: the disk was full, and may have room now.
func (t *Table) Sweep(time.Time) {
	t.exportUnqueued()
	t.saveIfDirty()
	t.sweepNotes()
}

// exportUnqueued queues the files of captures that ended while that was not possible.
func (t *Table) exportUnqueued() {
	unqueued := t.unqueued()
	for r, status := range unqueued {
		t.exportCapture(r, status)
	}
	if len(unqueued) > 0 {
		t.saveCaptures()
	}
}

// enqueueAuto reports whether the disk knows that the files are queued.
func (t *Table) enqueueAuto(r *entry, name string, d capture.Delivery, files []string, target string) bool {
	if len(files) == 0 {
		return true
	}
	var copies []capture.Export
	for _, f := range files {
		copies = append(copies, capture.Export{File: f, Path: deliveries.Place(r.File, d, target, f), Capture: name})
	}
	if _, err := t.queue.AddCopies(copies, target, access.System); err != nil {
		t.log.Error("the files of a capture cannot be queued for their target",
			"name", name, "target", target, "error", err)
		return false
	}
	t.noteQueued(r, target, files[len(files)-1])
	return true
}

// countExports sets in each status what became of the copies of its files.
func (t *Table) countExports(list []capture.Status) { deliveries.Count(list, t.queue.Standing()) }

// Released notes that a file waits for no copy any more: its ring may delete it. It is called
// without a lock of the queue.
func (t *Table) Released(file string) {
	t.mu.Lock()
	i := slices.IndexFunc(t.entries, func(r *entry) bool { return r.has(file) })
	if i < 0 {
		t.mu.Unlock()
		return
	}
	r, job := t.entries[i], t.entries[i].job
	t.mu.Unlock()
	if job != nil {
		job.Prune() // if it ends meanwhile, its end looks too
		return
	}
	t.trimRing(r)
}

// TargetGone notes that a target was deleted. The disk knows it before another one of the name can
// be added. It is called without a lock of the queue.
func (t *Table) TargetGone(name string) {
	t.forgetTarget(name)
	t.saveCaptures()
}
