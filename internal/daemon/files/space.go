package files

import (
	"cmp"
	"errors"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"diagsh/capture"
	"diagsh/diag/disks"
	"diagsh/internal/menu"
)

const (
	// quotaStep is what a capture may write until it asks again, with what waits for the disk then.
	quotaStep = 8 << 20

	// quotaMargin is the part of the quota that is kept free when old files may be deleted.
	quotaMargin = 10
)

// Reserve returns how much of the disk captures leave free: as configured, else a tenth of it,
// within 1 and 10 GiB; of a disk so small that 1 GiB is more than a quarter, a quarter.
func (d *Directory) Reserve() int64 {
	if d.o.ReserveBytes > 0 {
		return d.o.ReserveBytes
	}
	var s unix.Statfs_t
	if err := unix.Statfs(d.o.Path, &s); err != nil {
		return 1 << 30
	}
	total := int64(s.Blocks) * s.Bsize
	return min(max(total/10, 1<<30), 10<<30, total/4)
}

// Free returns how many bytes of the disk can still be written.
func (d *Directory) Free() (int64, error) {
	disk, err := disks.Of(d.o.Path)
	return int64(disk.Available), err
}

// Room returns an error for users unless more further bytes leave reserve bytes of the disk free
// and stay within the quota. It deletes old files first where the settings allow that, as for a
// capture. Files that are being written count.
func (d *Directory) Room(more, reserve int64) error {
	free, err := d.Free()
	if err != nil {
		return menu.Failing("look at the disk", err)
	}
	if free-more < reserve {
		return menu.Errorf(menu.State, "The disk is low: %s are free and %s are kept in reserve", menu.Size(free>>20<<20), menu.Size(reserve>>20<<20)).
			WithHint("Delete files of the diagnostic directory first, or leave the captures out")
	}
	quota := d.o.QuotaBytes
	if quota == 0 {
		return nil
	}
	used, err := d.Used()
	if err != nil {
		return menu.Failing("look at the diagnostic directory", err)
	}
	if used+more <= quota || d.o.DeleteOldest && d.trim(quota-more) {
		return nil
	}
	return menu.Errorf(menu.State, "The diagnostic directory may have %s, and the report does not fit into what is left of it", menu.Size(quota)).
		WithHint("Delete files of it first, or leave the captures out")
}

// Allowance returns nil while captures may write on: the directory is below its quota, or gets
// there by deleting expendable files. Else it returns a *capture.QuotaError.
func (d *Directory) Allowance() error {
	quota := d.o.QuotaBytes
	if quota == 0 {
		return nil
	}
	used, err := d.Used()
	if err != nil {
		return nil // there is the reserve of the disk still
	}
	if d.o.DeleteOldest && used+quota/quotaMargin > quota && d.ahead.CompareAndSwap(false, true) {
		// Ahead of the need, because deleting takes time that a busy capture does not have.
		d.tasks.Go(func() {
			defer d.ahead.Store(false)
			d.trim(quota - quota/quotaMargin)
		})
	}
	if used+quotaStep <= quota || d.o.DeleteOldest && d.trim(quota-quotaStep) {
		return nil
	}
	return &capture.QuotaError{QuotaBytes: quota}
}

// Used returns the size of everything in the directory, files being written included.
func (d *Directory) Used() (int64, error) {
	dir, err := d.root.Open(".")
	if err != nil {
		return 0, err
	}
	defer dir.Close()
	entries, err := dir.ReadDir(-1)
	var sum int64
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			sum += info.Size()
		}
	}
	return sum, err
}

// trim deletes expendable files, the oldest first, until at most most bytes are left. It reports
// whether that was possible.
func (d *Directory) trim(most int64) bool {
	var deleted []string
	defer func() {
		if len(deleted) > 0 {
			d.removed(deleted...)
		}
	}()
	var candidates []Expendable
	for {
		if len(candidates) == 0 {
			candidates = d.expendable()
		}
		name, enough, ok := d.trimOne(most, &candidates)
		if name != "" {
			deleted = append(deleted, name)
		}
		if enough || !ok {
			return enough
		}
	}
}

// trimOne deletes the first of the candidates that may go still, unless there is room enough. ok is
// false if none may. One caller at a time: a file that another one took and did not delete yet is
// missed by both, here as a candidate and there as room.
func (d *Directory) trimOne(most int64, candidates *[]Expendable) (name string, enough, ok bool) {
	d.trimming.Lock()
	defer d.trimming.Unlock()
	if used, err := d.Used(); err != nil || used <= most {
		return "", true, true
	}
	for len(*candidates) > 0 {
		e := (*candidates)[0]
		*candidates = (*candidates)[1:]
		if d.take(e) {
			if d.Discard(e.Name, e.Of, "to stay below the quota") {
				return e.Name, false, true
			}
			return "", false, false
		}
	}
	return "", false, false
}

// take takes an expendable file out of its owner's hands. It reports false if the file may not go any
// more, or another room needs it by now.
func (d *Directory) take(e Expendable) bool { return !slices.Contains(d.needed(), e.Name) && e.Take() }

// needed returns the files that rooms need which do not own them.
func (d *Directory) needed() (names []string) {
	for _, needed := range d.needing {
		names = append(names, needed()...)
	}
	return names
}

// expendable returns what may go of all owners, the oldest first.
func (d *Directory) expendable() (list []Expendable) {
	for _, owner := range d.owners {
		list = append(list, owner.Expendable()...)
	}
	slices.SortStableFunc(list, func(a, b Expendable) int { return cmp.Compare(a.Since.UnixNano(), b.Since.UnixNano()) })
	return list
}

// Sweep deletes the expendable files that are older than files are kept.
func (d *Directory) Sweep(now time.Time) {
	if d.o.KeepFor == 0 {
		return
	}
	var deleted []string
	for _, e := range d.expendable() {
		if now.Sub(e.Since) > d.o.KeepFor && d.take(e) && d.Discard(e.Name, e.Of, "because it was older than files are kept") {
			deleted = append(deleted, e.Name)
		}
	}
	if len(deleted) > 0 {
		d.removed(deleted...)
	}
}

// Discard deletes a file that its owner has forgotten, and has the audit log say so. It reports
// false if the file is still there.
func (d *Directory) Discard(name, of, why string) bool {
	if err := d.root.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		d.o.Log.Error("a file that may go cannot be deleted", "file", name, "error", err)
		return false
	}
	d.o.System(of, "The file "+name+" was deleted "+why, nil)
	return true
}
