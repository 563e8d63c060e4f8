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
	if _, err := t.directory.FileInfo(name); err == nil {
		if !processes {
			return t.queue.Add("", []string{name}, target, caller.User)
		}
		copies, err := t.outgoing.Copies("", []string{name})
		if err != nil {
			return nil, err
		}
		return t.queue.AddCopies(copies, target, caller.User)
	}
	return t.exportEnded(caller, name, target, processes)
}

// exportEnded queues the files of a capture that has ended.
func (t *Table) exportEnded(caller menu.Caller, name, target string, processes bool) ([]capture.Export, error) {
	status, err := t.Capture(name)
	switch {
	case err != nil:
		return nil, err
	case status.State == capture.Running:
		return nil, wrongState(name, "is running", "Stop it first")
	case len(status.Files) == 0:
		return nil, wrongState(name, "has no file any more", "")
	}
	t.mu.Lock()
	r, _ := t.find(name)
	t.mu.Unlock()
	if r == nil {
		return nil, wrongState(name, "was deleted meanwhile", "")
	}
	copies := deliveries.Copies(r.File, status, target, status.FileNames())
	if processes {
		var files []string
		for _, f := range status.Files {
			files = append(files, f.Name)
		}
		if copies, err = t.outgoing.Copies(name, files); err != nil {
			return nil, err
		}
		deliveries.Describe(status, copies)
	}
	list, err := t.queue.AddCopies(copies, target, caller.User)
	if err == nil && t.queue.WantsManifest(target) {
		var manifest []capture.Export
		manifest, err = t.enqueueManifest(r, status, target, caller.User)
		list = append(list, manifest...)
	}
	return list, err
}

// ListAgain queues another list of the files of a capture for a target, which a user began copies to
// anew: the list that is there tells that they were not copied. It is called without a lock of the queue.
func (t *Table) ListAgain(e capture.Export, user string) {
	t.mu.Lock()
	i := slices.IndexFunc(t.entries, func(r *entry) bool { return (r.has(e.File) || r.has(e.Source)) && r.Manifests[e.Target] > 0 })
	if i < 0 {
		t.mu.Unlock()
		return
	}
	r, s := t.entries[i], t.entries[i].status()
	t.mu.Unlock()
	if !t.queue.WantsManifest(e.Target) {
		return
	}
	if _, err := t.enqueueManifest(r, s, e.Target, user); err != nil {
		t.log.Error("the list of the files of a capture cannot be queued again for its target", "name", s.Name, "target", e.Target, "error", err)
	}
	t.saveCaptures()
}

// enqueueManifest queues the list of a capture's files for a target, after them. One that still
// waits there is not queued again: it is written when its turn comes.
func (t *Table) enqueueManifest(r *entry, s capture.Status, target, owner string) ([]capture.Export, error) {
	t.mu.Lock()
	number := r.Manifests[target]
	t.mu.Unlock()
	if number == 0 || !t.queue.Unbegun(deliveries.ManifestName(r.File, number), target) {
		number++
	}
	added, err := t.queue.AddCopies(deliveries.ManifestCopy(r.File, s, target, number), target, owner)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if r.Manifests == nil {
		r.Manifests = make(map[string]int)
	}
	r.Manifests[target] = number
	if !slices.Contains(r.Listed, target) {
		r.Listed = append(r.Listed, target)
	}
	return added, nil
}

// listEnded queues the list of the files of a capture that has ended for a target that wants it. It
// reports whether the disk knows that, or there is none to queue: a capture that goes on after the
// restart has it at its end.
func (t *Table) listEnded(r *entry, s capture.Status, target string) bool {
	t.mu.Lock()
	none := slices.Contains(r.Listed, target) || !r.ended() || s.Persistent && endedWithAppliance(s.StopReason)
	t.mu.Unlock()
	if none || !t.queue.WantsManifest(target) {
		return true
	}
	if _, err := t.enqueueManifest(r, s, target, access.System); err != nil {
		t.log.Error("the list of the files of a capture cannot be queued for its target", "name", s.Name, "target", target, "error", err)
		return false
	}
	return true
}

// OpenManifest opens the list of the files of a capture, of which copies are the newest to a target.
func (t *Table) OpenManifest(e capture.Export, copies []capture.Export) (*os.File, error) {
	t.mu.Lock()
	s := capture.Status{Name: e.Capture, StartTime: e.CaptureStart}
	s.CaseNumber = e.CaseNumber
	if i := slices.IndexFunc(t.entries, func(r *entry) bool { return deliveries.IsManifest(r.File, e.File) }); i >= 0 {
		r := t.entries[i]
		s = r.status()
		// Another capture of the name, before this one, had files of its own.
		copies = slices.DeleteFunc(copies, func(c capture.Export) bool { return !r.has(c.File) && !r.has(c.Source) })
	}
	t.mu.Unlock()
	return deliveries.List(t.settings.Hostname(), s, copies).Open()
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
func (t *Table) exportFile(r *entry, spec capture.Spec, file capture.FileInfo) {
	s := spec.Status()
	t.mu.Lock()
	s.StartTime = r.Status.StartTime
	t.mu.Unlock()
	s.Files = []capture.FileInfo{file}
	for _, target := range t.targetsOf(spec.Delivery) {
		t.enqueueAuto(r, s, []string{file.Name}, target)
	}
}

// exportCapture queues the files of a capture that has just ended for its targets, unless that was done as they closed. If the capture runs again by now, its next end is time
// enough. The caller writes the table afterwards: until the disk knows that the files are queued,
// the table on it says that they are not.
func (t *Table) exportCapture(r *entry, s capture.Status) {
	queued := true
	for _, target := range t.targetsOf(s.Delivery) {
		queued = t.enqueueAuto(r, s, t.unqueuedFor(r, target, s.Files), target) && queued
		queued = t.enqueueBeside(r, s, target) && queued
		queued = queued && t.listEnded(r, s, target)
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
func (t *Table) enqueueAuto(r *entry, s capture.Status, files []string, target string) bool {
	if len(files) == 0 {
		return true
	}
	if _, err := t.queue.AddCopies(deliveries.Copies(r.File, s, target, files), target, access.System); err != nil {
		t.log.Error("the files of a capture cannot be queued for their target",
			"name", s.Name, "target", target, "error", err)
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
