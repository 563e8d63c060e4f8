package captures

import (
	"slices"

	"diagsh/capture"
	"diagsh/capture/pcapfile"
	"diagsh/internal/daemon/captures/machine"
	"diagsh/internal/menu"
)

// The space that captures take: memory while they run, and disk.

const (
	// The rings of a capture get a 64th of the memory that is free, within these bounds, unless its
	// request says how much. It is a multiple of ringStep, so that the rings of one capture can
	// serve the next.
	leastRing, mostRing, ringShare, ringStep = 8 << 20, 32 << 20, 64, 8 << 20

	// leastBuffers is the least that may wait for the disk.
	leastBuffers = 8 << 20

	// All captures together get this part of the machine's memory, unless the configuration says
	// how much.
	budgetShare = 4
)

// allocate gives a capture its memory, in bytes: for rings, and for what waits for the disk. asked
// is the size of the rings that the request names; 0 lets the table choose. If little is left of
// the budget, the capture gets less than usual. Memory that captures left which have ended is given
// back first if it exceeds the budget with the new one's.
func (t *Table) allocate(r *entry, budget, asked int64) (ring, buffers int64, err error) {
	total, free := machine.Memory()
	if budget == 0 {
		budget = total / budgetShare
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	left := budget
	for _, other := range t.entries {
		if other != r {
			left -= other.memory
		}
	}
	ring = min(max(free/ringShare&^(ringStep-1), leastRing), mostRing, max(left/2, leastRing))
	if asked > 0 {
		ring = asked
	}
	buffers = min(pcapfile.DefaultBuffers, max(left-ring, leastBuffers), max(free/ringShare*2, leastBuffers))
	if ring+buffers > left {
		e := menu.Errorf(menu.State, "Not enough capture memory: %s of %s free",
			menu.Size(max(left, 0)>>20<<20), menu.Size(budget>>20<<20))
		if asked > 0 {
			e.Argument = "ring"
		}
		return 0, 0, e.WithHint("Stop a capture, or give this one a smaller ring")
	}
	r.memory = ring + buffers
	if r.memory+t.rings.Bytes()+t.volume.Spare() > left {
		t.clearSpare()
	}
	return ring, buffers, nil
}

// clearSpare gives back the memory that captures left which have ended.
func (t *Table) clearSpare() {
	t.rings.Clear()
	t.volume.ClearSpare()
}

// expendable reports whether the files of a capture may be deleted without asking: it has ended, is
// not protected, and no target waits for its files. Called with the lock held.
func (t *Table) expendable(r *entry) bool {
	names := r.Status.FileNames()
	if slices.ContainsFunc(names, t.queue.Waiting) {
		return false
	}
	if r.Unqueued && len(t.targetsOf(r.Spec.Delivery)) > 0 {
		return false
	}
	return r.ended() && r.Status.State != capture.NotStarted && !r.Spec.Protect && len(names) > 0
}

// takeOut takes a file out of the status of its capture. Called with the lock held.
func (t *Table) takeOut(r *entry, f capture.FileInfo) {
	s := &r.Status
	s.Files = slices.DeleteFunc(slices.Clone(s.Files), func(other capture.FileInfo) bool {
		return other.Name == f.Name
	})
	s.FilesRemoved++
	s.PacketsRemoved += f.Packets
	s.BytesRemoved += f.Bytes
	t.tell.Changed(s.Name)
}

// trimRing deletes the files of a ring that has ended which are more than it keeps. They stayed
// only until they were copied.
func (t *Table) trimRing(r *entry) {
	deleted := false
	for {
		t.mu.Lock()
		s, keep := &r.Status, int(r.Spec.KeptFiles())
		if !r.ended() || r.Unqueued || keep == 0 || len(s.Files) <= keep || t.queue.Waiting(s.Files[0].Name) {
			t.mu.Unlock()
			break
		}
		name, oldest := s.Name, s.Files[0]
		t.takeOut(r, oldest)
		t.mu.Unlock()
		deleted = t.directory.Discard(oldest.Name, name, "as it is copied and its ring keeps newer ones") || deleted
	}
	if deleted {
		t.saveCaptures()
	}
}
