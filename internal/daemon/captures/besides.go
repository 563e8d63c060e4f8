package captures

import (
	"errors"
	"io/fs"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"diagsh/capture"
	"diagsh/internal/access"
	"diagsh/internal/daemon/captures/beside"
	"diagsh/internal/daemon/captures/deliveries"
)

// The files beside captures: they begin, end, go and are copied with those of packets.

// mostBeside is how many bytes each file beside a capture may have.
const mostBeside = 128 << 20

// beginBeside begins the files that a capture wants beside its own. before is the status of the
// capture that goes on in those that are there, nil for a new one.
func (t *Table) beginBeside(r *entry, interfaces []capture.Interface, before *capture.Status) (*beside.Set, error) {
	filter := ""
	if r.filter != nil {
		filter = r.filter.Expression
	}
	return beside.Begin(beside.Options{
		Dir: t.root, File: r.File, Recorders: t.recorders, MostBytes: mostBeside, Before: before,
		Room: func() error { return t.roomBeside(r.Spec) }, Oldest: func() time.Time { return t.oldestPacket(r) },
	}, beside.Capture{Name: r.Spec.Name, Options: r.Spec.Options, Filter: filter, Interfaces: interfaces})
}

// oldestPacket returns the time of the oldest packet that a capture still has. It is zero if none went,
// or that is not known.
func (t *Table) oldestPacket(r *entry) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := r.status(); s.FilesRemoved > 0 && len(s.Files) > 0 {
		return s.Files[0].First
	}
	return time.Time{}
}

// roomBeside returns an error for users when files beside a capture may not grow on. They leave the
// capture's reserve of the disk free, and what the capture may write before it looks itself.
func (t *Table) roomBeside(spec capture.Spec) error {
	if err := t.directory.Allowance(); err != nil {
		return err
	}
	var s unix.Statfs_t
	if err := unix.Statfs(t.path, &s); err != nil {
		return nil
	}
	return spec.CheckReserve(int64(s.Bavail) * s.Bsize)
}

// closeBeside ends the files beside a capture whose job has ended.
func (t *Table) closeBeside(r *entry, job *capture.Job) {
	t.mu.Lock()
	files := r.beside
	if r.job != job {
		files = nil // another goroutine was first
	}
	t.mu.Unlock()
	if files == nil {
		return
	}
	if err := files.Close(); err != nil {
		t.log.Error("a file beside a capture could not be finished", "name", r.Spec.Name, "error", err)
	}
}

// filesBeside returns the files beside a capture as they are now. Called with the lock of the table
// held.
func (r *entry) filesBeside() []capture.FileBeside {
	if r.beside != nil {
		return r.beside.Files()
	}
	return slices.Clone(r.Status.FilesBeside)
}

// forgetBeside takes files that are gone out of the status. Called with the lock of the table held.
func (r *entry) forgetBeside(names []string) (found bool) {
	before := len(r.Status.FilesBeside)
	r.Status.FilesBeside = slices.DeleteFunc(slices.Clone(r.Status.FilesBeside), func(f capture.FileBeside) bool {
		return slices.Contains(names, f.Name)
	})
	return len(r.Status.FilesBeside) < before
}

// deleteBeside deletes the files beside a capture that is being deleted.
func (t *Table) deleteBeside(r *entry) error {
	for _, f := range r.Status.FilesBeside {
		if err := t.root.Remove(f.Name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// takeBeside takes an expendable file out of its capture. It reports false if the file went, or
// became needed, since it was listed.
func (t *Table) takeBeside(r *entry, name string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.expendable(r) || !r.forgetBeside([]string{name}) {
		return false
	}
	t.tell.Changed(r.Status.Name)
	return true
}

// recoverBeside finishes the files beside a capture that ran when the appliance died.
func (t *Table) recoverBeside(r *entry) {
	list, err := beside.Recover(t.root, t.path, r.File, r.Status.FilesBeside)
	if err != nil {
		t.log.Error("a file beside an interrupted capture cannot be finished", "file", r.File, "error", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	r.Status.FilesBeside = list
}

// enqueueBeside queues the files beside a capture that has ended for a target that wants all. It
// reports whether the disk knows that they are queued.
func (t *Table) enqueueBeside(r *entry, s capture.Status, target string) bool {
	t.mu.Lock()
	done := slices.Contains(r.QueuedBeside, target)
	t.mu.Unlock()
	if done || len(s.FilesBeside) == 0 {
		return true
	}
	var names []string
	for _, f := range s.FilesBeside {
		names = append(names, f.Name)
	}
	if _, err := t.queue.AddCopies(deliveries.Copies(r.File, s, target, names), target, access.System); err != nil {
		t.log.Error("the files beside a capture cannot be queued for their target",
			"name", s.Name, "target", target, "error", err)
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	r.QueuedBeside = append(r.QueuedBeside, target)
	return true
}

// flowFiles returns the names of the tables of flows beside all captures. They hold no contents of
// packets.
func (t *Table) flowFiles() map[string]bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	names := make(map[string]bool)
	for _, r := range t.entries {
		names[beside.Name(r.File, beside.Flows)] = true
	}
	return names
}
