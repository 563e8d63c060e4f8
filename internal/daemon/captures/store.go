package captures

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"diagsh/capture"
	"diagsh/capture/pcapfile"
	"diagsh/internal/daemon/captures/beside"
	"diagsh/internal/daemon/store"
)

// keptCaptures is how many captures the table has; the oldest that have ended go first. Their files
// stay and count as holding packet contents, because nothing is known of them any more.
const keptCaptures = 1000

// recoverWait is how long Recover waits for the files that a crash left. Larger ones are finished
// while the appliance runs.
const recoverWait = 10 * time.Second

// capturesFile is the content of captures.json.
type capturesFile struct {
	Captures []*entry `json:"captures"`
}

// save writes the table as it is now, and returns when that is safe on the disk.
func (t *Table) save() error {
	t.storing.Lock()
	defer t.storing.Unlock()
	data, err := t.marshal()
	if err == nil {
		err = store.Replace(t.capturesFile.Path, data)
	}
	t.dirty.Store(err != nil)
	return err
}

// saveCaptures writes the table. If that fails, an error is logged and Sweep tries again: the table
// in memory holds, and what runs is not touched.
func (t *Table) saveCaptures() {
	if err := t.save(); err != nil {
		t.log.Error("the table of captures cannot be written", "error", err)
	}
}

// saveIfDirty retries a failed write of the table, usually after a full disk.
func (t *Table) saveIfDirty() {
	if t.dirty.Load() {
		t.save()
	}
}

// marshal encodes the table, after dropping what is more than keptCaptures, and what was forgotten and
// has no file any more.
func (t *Table) marshal() ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	extra := len(t.entries) - keptCaptures
	t.entries = slices.DeleteFunc(t.entries, func(r *entry) bool {
		extra--
		goes := r.ended() && (extra >= 0 || r.Forgotten && len(r.Status.FileNames()) == 0)
		if goes && !r.Forgotten {
			t.tell.Changed(r.Status.Name)
		}
		return goes
	})
	file := capturesFile{make([]*entry, len(t.entries))}
	for i, r := range t.entries {
		// What runs is written as it is now, so that after a crash its finished files are known.
		now := *r
		now.Status = r.status()
		file.Captures[i] = &now
	}
	return t.capturesFile.Encode(file)
}

// Recover finishes what a crash left: captures that ran become Stopped for the reason Interrupted, those
// that were about to begin become Error for the reason StartFailed, and their files, trimmed to the last
// whole packet, get their names. So do files of which nothing is known. Then captures that persist are
// resumed, and those that were planned wait for their time. It is called once, before files are copied.
func (t *Table) Recover() {
	done := make(chan struct{})
	entries := t.interrupted()
	t.tasks.Go(func() {
		defer close(done)
		for _, r := range entries {
			if r.busy {
				t.recoverEntry(r)
			}
		}
		t.recoverStrays()
		t.exportUnqueued()
		for _, r := range entries {
			t.resume(r)
		}
	})
	select {
	case <-done:
	case <-time.After(recoverWait):
		t.log.Info("files of captures that were interrupted are still being finished")
	}
}

// interrupted marks the captures that ran when the appliance died, and returns all that there are.
func (t *Table) interrupted() []*entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range t.entries {
		if r.Status.State == capture.Running || t.hadBegun(r) {
			if r.Status.State == capture.NotStarted {
				r.Status.StartTime = r.Spec.Start
			}
			r.Status.State, r.Status.StopReason = capture.Stopped, capture.Interrupted
			if t.neverBegan(r) {
				r.Status.State, r.Status.StopReason = capture.Error, capture.StartFailed
				r.Status.Error = "The appliance ended before the capture began"
			}
			r.Unqueued = true
			r.busy = true // It is not deleted before its files are finished.
		}
	}
	return slices.Clone(t.entries)
}

// hadBegun reports whether a capture that was planned, or was to be resumed, had begun when the
// appliance died. The table does not say so yet, but it has a file that is still being written.
func (t *Table) hadBegun(r *entry) bool {
	persists := r.Spec.Persistent && endedWithAppliance(r.Status.StopReason)
	if r.Status.State != capture.NotStarted && !persists {
		return false
	}
	files, err := t.numbers(r)
	return err == nil && slices.ContainsFunc(files, func(f numbered) bool {
		_, err := t.root.Lstat(capture.PartName(f.name))
		return err == nil
	})
}

// neverBegan reports whether the appliance died between taking the name of a capture and its beginning, for
// which its first file is made. One that persists begins now.
func (t *Table) neverBegan(r *entry) bool {
	if r.Spec.Persistent || len(r.Status.Files) > 0 || r.Status.FilesRemoved > 0 {
		return false
	}
	files, err := t.numbers(r)
	return err == nil && len(files) == 0
}

// recoverEntry finishes the files of a capture that ran when the appliance died, and keeps what
// they hold.
func (t *Table) recoverEntry(r *entry) {
	low := t.lowDisk(r.Spec)
	files, closed, err := t.finishFiles(r)
	if err != nil {
		t.log.Error("the files of an interrupted capture cannot be finished", "file", r.File, "error", err)
	}
	t.recoverBeside(r)
	status := t.recovered(r, files, err, t.lastSign)
	if low != nil {
		status = t.ranOut(r, closed, low)
	}
	t.exportCapture(r, status)
	t.saveCaptures()
	t.recordEnd(status)
}

// lowDisk returns why a capture cannot write now for want of disk space, or nil.
func (t *Table) lowDisk(spec capture.Spec) error {
	var s unix.Statfs_t
	if err := unix.Statfs(t.path, &s); err != nil {
		return nil
	}
	return spec.CheckReserve(int64(s.Bavail) * s.Bsize)
}

// ranOut notes that a capture of an appliance that died is found on a disk that is low. If all its
// files were closed, it had ended for that reason, and the disk had no room for a table that says
// so. If not, the order is unknown, and the status has both.
func (t *Table) ranOut(r *entry, closed bool, low error) capture.Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := &r.Status
	if closed {
		s.StopReason = capture.DiskLow
	}
	if s.Error == "" {
		s.Error = "found when the appliance started again: " + low.Error()
	}
	return r.status()
}

// finishFiles finishes the files of a capture that was interrupted, and returns them in the order
// of their numbers. What is known of files that were finished before is kept. closed reports that
// all were finished, so that the capture had ended.
func (t *Table) finishFiles(r *entry) (files []capture.FileInfo, closed bool, err error) {
	numbers, err := t.numbers(r)
	if err != nil {
		return nil, false, err
	}
	var first error
	closed = len(numbers) > 0
	for _, n := range numbers {
		name := n.name
		if _, err := t.root.Lstat(capture.PartName(name)); err == nil {
			closed = false
		}
		known := slices.IndexFunc(r.Status.Files, func(f capture.FileInfo) bool { return f.Name == name })
		if info, err := t.root.Lstat(name); err == nil && known >= 0 && info.Size() == r.Status.Files[known].Bytes {
			files = append(files, r.Status.Files[known])
			continue
		}
		info, err := t.finishFile(name)
		switch {
		case err != nil:
			first = cmp.Or(first, err)
		case info.Name != "" && (info.Packets > 0 || len(numbers) == 1):
			t.recount(r, &info)
			files = append(files, info)
		case info.Name != "":
			t.root.Remove(info.Name) // it was begun, and nothing more
		}
	}
	return files, closed, first
}

// A numbered is a file of a capture with its number.
type numbered struct {
	number int
	name   string
}

// numbers lists the files of a capture that are there, finished or not, in the order of their
// numbers. It knows them by their names, so no second list can be wrong after a death.
func (t *Table) numbers(r *entry) ([]numbered, error) {
	dir, err := t.root.Open(".")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var list []numbered
	for _, name := range names {
		if final, ok := capture.FinalName(name); ok {
			name = final
		}
		if n, ok := capture.FileNumber(r.File, name); ok {
			list = append(list, numbered{n, name})
		}
	}
	slices.SortFunc(list, func(a, b numbered) int {
		return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.name, b.name))
	})
	return slices.Compact(list), nil
}

// nextNumber returns the number after those of all files that a capture has, or had.
func (t *Table) nextNumber(r *entry) int {
	next := 1
	if list, err := t.numbers(r); err == nil && len(list) > 0 {
		next = list[len(list)-1].number + 1
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range r.Status.Files {
		if n, ok := capture.FileNumber(r.File, f.Name); ok {
			next = max(next, n+1)
		}
	}
	return next
}

// recovered keeps what a capture that was interrupted has left. lastSign is when its appliance was
// last known to live.
func (t *Table) recovered(r *entry, files []capture.FileInfo, err error, lastSign time.Time) capture.Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := &r.Status
	removed := s.RemovedCounts()
	for _, f := range s.Files {
		// In a ring the oldest files may have been deleted after the table was written. Files that
		// are missing after those that exist never reached the disk: they are lost.
		if r.Spec.Rotates() && len(files) > 0 && r.number(f) < r.number(files[0]) {
			s.FilesRemoved++
			s.PacketsRemoved += f.Packets
			s.BytesRemoved += f.Bytes
			removed = removed.Plus(f.FilterPackets)
		}
	}
	s.EndTime = s.StartTime
	s.Files, s.FilterPackets = files, capture.CountsOf(files, removed)
	s.PacketsWritten, s.BytesWritten = uint64(s.PacketsRemoved), s.BytesRemoved
	for _, f := range files {
		s.PacketsWritten += uint64(f.Packets)
		s.BytesWritten += f.Bytes
		if f.Last.After(s.EndTime) {
			s.EndTime = f.Last
		}
	}
	if lastSign.After(s.EndTime) {
		s.EndTime = lastSign
	}
	// What the ring and the buffers held is not known any more.
	s.PacketsReceived = s.PacketsWritten + s.PacketsDiscarded + s.PacketsBehindLimit
	s.PacketsMatched, s.PacketsDropped, s.PacketsSeen = nil, nil, nil
	if err != nil {
		s.Error = "the file cannot be finished"
	}
	t.rest(r)
	t.tell.Changed(s.Name)
	return r.status()
}

// recoverStrays finishes the files of captures that are not in the table.
func (t *Table) recoverStrays() {
	names, err := t.partNames()
	if err != nil {
		t.log.Error("the diagnostic directory cannot be read", "error", err)
	}
	for _, name := range names {
		besides, err := beside.FinishStray(t.root, t.path, name)
		if !besides {
			_, err = t.finishFile(name)
		}
		if err != nil {
			t.log.Error("the file of an interrupted capture cannot be finished", "file", name, "error", err)
			continue
		}
		t.audit.System(name, "A file of an interrupted capture was finished", nil)
	}
}

// partNames returns the final names of files that were being written and belong to no capture that
// runs.
func (t *Table) partNames() ([]string, error) {
	dir, err := t.root.Open(".")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	entries, err := dir.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if final, ok := capture.FinalName(e.Name()); ok && e.Type().IsRegular() && !t.writing(final) {
			names = append(names, final)
		}
	}
	return names, nil
}

// finishFile trims a file that was being written and gives it its final name. A file without a
// whole header holds nothing and is deleted. The FileInfo is empty then, and if there is no file at
// all.
func (t *Table) finishFile(final string) (capture.FileInfo, error) {
	part := capture.PartName(final)
	info, err := pcapfile.Repair(filepath.Join(t.path, part))
	switch {
	case errors.Is(err, os.ErrNotExist):
		// It had its name already when the appliance died, or was never made.
		info, err = pcapfile.Repair(filepath.Join(t.path, final))
		if errors.Is(err, os.ErrNotExist) {
			return capture.FileInfo{}, nil
		}
		return info, err
	case errors.Is(err, pcapfile.ErrNoCapture):
		return capture.FileInfo{}, t.root.Remove(part)
	case err != nil:
		return capture.FileInfo{}, err
	}
	if _, err := t.root.Lstat(final); err == nil {
		return capture.FileInfo{}, fmt.Errorf("there is a file %s already", final)
	}
	if err := t.root.Rename(part, final); err != nil {
		return capture.FileInfo{}, err
	}
	info.Name = final
	return info, store.SyncDirectory(t.path)
}
