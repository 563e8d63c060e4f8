package captures

import (
	"diagsh/capture"
)

// What of a capture has been queued for the targets that want all. Files are queued as they close, in the order of their numbers, so
// that one number a target says it, also after a restart and when the queue has forgotten its oldest copies.

// wasQueued notes that a file is in the queue for a target, which is safe on the disk.
func (t *Table) wasQueued(r *entry, target, file string) {
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

// unqueuedFor are those of an ended capture's files that were never queued for a target.
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

// unqueued are the captures that have ended and whose files are not queued yet, as they are now.
func (t *Table) unqueued() map[*entry]capture.Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	found := map[*entry]capture.Status{}
	for _, r := range t.records {
		if r.Unqueued && r.ended() {
			found[r] = r.status()
		}
	}
	return found
}

// lastGrows notes that the last file of a capture gets more packets, so that it has to be copied anew.
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
	for target, n := range r.Queued {
		r.Queued[target] = min(n, last-1)
	}
}

// forgetTarget notes that a target is no more: another one of its name has nothing yet.
func (t *Table) forgetTarget(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range t.records {
		delete(r.Queued, name)
	}
}
