package captures

import (
	"slices"

	"diagsh/capture"
)

// What of a capture was queued for the targets that want all. Files are queued as they close, in
// the order of their numbers. So one number for each target says it, also after a restart, and when
// the queue has forgotten its oldest copies.

// noteQueued notes that a file is in the queue for a target, and safe on the disk there.
func (t *Table) noteQueued(r *entry, target, file string) {
	number, ok := capture.FileNumber(r.File, file)
	if !ok {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if r.Queued == nil {
		r.Queued = make(map[string]int)
	}
	r.Queued[target] = number
}

// unqueuedFor returns those of an ended capture's files that were never queued for a target.
func (t *Table) unqueuedFor(r *entry, target string, files []capture.FileInfo) (names []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !r.ended() {
		return nil
	}
	for _, f := range files {
		if number, ok := capture.FileNumber(r.File, f.Name); !ok || number > r.Queued[target] {
			names = append(names, f.Name)
		}
	}
	return names
}

// unqueued returns the captures that have ended and whose files are not queued yet, with their
// status now.
func (t *Table) unqueued() map[*entry]capture.Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	found := map[*entry]capture.Status{}
	for _, r := range t.entries {
		if r.Unqueued && r.ended() {
			found[r] = r.status()
		}
	}
	return found
}

// lastGrows notes that the last file of a capture is appended to, so that it has to be copied
// again.
func (t *Table) lastGrows(r *entry, before capture.Status) {
	if len(before.Files) == 0 {
		return
	}
	last, ok := capture.FileNumber(r.File, before.Files[len(before.Files)-1].Name)
	if !ok {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	r.QueuedBeside = nil
	for target, n := range r.Queued {
		r.Queued[target] = min(n, last-1)
	}
}

// forgetTarget notes that a target is gone. Another one of its name has no file yet.
func (t *Table) forgetTarget(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range t.entries {
		delete(r.Queued, name)
		delete(r.Manifests, name)
		r.Listed = slices.DeleteFunc(slices.Clone(r.Listed), func(t string) bool { return t == name })
		r.QueuedBeside = slices.DeleteFunc(slices.Clone(r.QueuedBeside), func(t string) bool { return t == name })
	}
}
