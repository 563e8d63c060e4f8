package daemon

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"diagsh/capture"
	"diagsh/capture/afpacket"
	"diagsh/capture/pcapfile"
	"diagsh/internal/daemon/store"
)

// keptCaptures is how many captures that ended are kept in the table. The files of older ones stay; nothing is known about them
// any more, so that they count as holding packet contents.
const keptCaptures = 1000

// recoverWait is how long a start waits for the files that a crash left. Larger ones are finished while the appliance runs.
const recoverWait = 10 * time.Second

// capturesFile is the content of captures.json.
type capturesFile struct {
	Captures []*record `json:"captures"`
}

// openCaptures reads the table as it was when the appliance ended. The memory of a capture that ends is kept for so long.
func openCaptures(dir string, files *os.Root, tasks *sync.WaitGroup, keep time.Duration) (*captures, error) {
	c := &captures{files: files, tasks: tasks, volume: pcapfile.NewVolume(keep), rings: afpacket.NewSpare(keep), path: filepath.Join(dir, "diagnostic"),
		store:    store.JSON[capturesFile]{Path: filepath.Join(dir, "captures.json"), Version: 2},
		settings: store.JSON[settingsFile]{Path: filepath.Join(dir, "settings.json"), Version: 2},
	}
	var file capturesFile
	if _, err := c.store.Load(&file); err != nil {
		return nil, err
	}
	c.records = slices.DeleteFunc(file.Captures, func(r *record) bool { return r == nil })
	stored := settingsFile{firstSettings()}
	if _, err := c.settings.Load(&stored); err != nil {
		return nil, err
	}
	c.current = stored.Settings
	return c, nil
}

// keep writes the table as it is now. It returns when that is safe on the disk.
func (c *captures) keep() error {
	c.storing.Lock()
	defer c.storing.Unlock()
	data, err := c.marshal()
	if err == nil {
		err = store.Replace(c.store.Path, data)
	}
	c.unkept.Store(err != nil)
	return err
}

// keepAgain writes the table when that was not possible before: the disk was full, and may have room now.
func (c *captures) keepAgain() {
	if c.unkept.Load() {
		c.keep()
	}
}

func (c *captures) marshal() ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if extra := len(c.records) - keptCaptures; extra > 0 {
		c.records = slices.DeleteFunc(c.records, func(r *record) bool {
			extra--
			return extra >= 0 && r.ended()
		})
	}
	file := capturesFile{make([]*record, len(c.records))}
	for i, r := range c.records {
		// What runs is written as it is now, so that after a crash its finished files are known.
		now := *r
		now.Status = r.status()
		file.Captures[i] = &now
	}
	return c.store.Encode(file)
}

// recover finishes what a crash left: captures that ran become Stopped for the reason Interrupted, and their files, trimmed to the
// last whole packet, get their names. So do files of which nothing is known. Captures that persist go on then, and those that were
// planned wait for their time.
func (d *Daemon) recover() {
	done := make(chan struct{})
	c := d.captures
	for _, r := range c.records {
		if r.Status.State == capture.Running {
			r.Status.State, r.Status.StopReason = capture.Stopped, capture.Interrupted
			r.Unqueued = true
			r.busy = true // Nobody deletes it before its files are finished.
		}
	}
	d.tasks.Go(func() {
		defer close(done)
		c.mu.Lock()
		records := slices.Clone(c.records)
		c.mu.Unlock()
		for _, r := range records {
			if r.busy {
				d.recoverRecord(r)
			}
		}
		d.recoverStrays()
		d.exportUnqueued()
		for _, r := range records {
			d.resume(r)
		}
	})
	select {
	case <-done:
	case <-time.After(recoverWait):
		d.log.Info("files of captures that were interrupted are still being finished")
	}
}

func (d *Daemon) recoverRecord(r *record) {
	low := d.captures.low(r.Spec)
	files, closed, err := d.captures.finishFiles(r)
	if err != nil {
		d.log.Error("the files of an interrupted capture cannot be finished", "file", r.File, "error", err)
	}
	status := d.captures.recovered(r, files, err, d.lastSign)
	if low != nil {
		status = d.captures.ranOut(r, closed, low)
	}
	d.exportCapture(r, status)
	d.keepCaptures()
	d.recordEnd(status)
}

// low is why a capture could not write now for want of disk, or nil.
func (c *captures) low(spec capture.Spec) error {
	var s unix.Statfs_t
	if err := unix.Statfs(c.path, &s); err != nil {
		return nil
	}
	return spec.CheckReserve(int64(s.Bavail) * s.Bsize)
}

// ranOut notes that a capture of an appliance that ended is found on a disk that is low. If all its files were closed it had ended
// before, and as the disk was low the table could not say so. If not, it is not known which was first, and both are said.
func (c *captures) ranOut(r *record, closed bool, low error) capture.Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &r.Status
	if closed {
		s.StopReason = capture.DiskLow
	}
	if s.Error == "" {
		s.Error = "found when the appliance started again: " + low.Error()
	}
	return r.status()
}

// finishFiles finishes the files of a capture that was interrupted, and says what they hold, in the order of their numbers. Those
// that were finished before are known. closed says that all were, so that the capture had ended.
func (c *captures) finishFiles(r *record) (files []capture.FileInfo, closed bool, err error) {
	numbers, err := c.numbers(r)
	if err != nil {
		return nil, false, err
	}
	var first error
	closed = len(numbers) > 0
	for _, n := range numbers {
		name := n.name
		if _, err := c.files.Lstat(capture.PartName(name)); err == nil {
			closed = false
		}
		known := slices.IndexFunc(r.Status.Files, func(f capture.FileInfo) bool { return f.Name == name })
		if info, err := c.files.Lstat(name); err == nil && known >= 0 && info.Size() == r.Status.Files[known].Bytes {
			files = append(files, r.Status.Files[known])
			continue
		}
		info, err := c.finishFile(name)
		switch {
		case err != nil:
			first = cmp.Or(first, err)
		case info.Name != "" && (info.Packets > 0 || len(numbers) == 1):
			files = append(files, info)
		case info.Name != "":
			c.files.Remove(info.Name) // it was begun, and nothing more
		}
	}
	return files, closed, first
}

// numbered is a file of a capture by its number.
type numbered struct {
	number int
	name   string
}

// numbers lists the files of a capture that are there, finished or not, in the order of their
// numbers. It knows them by their names, so no second list can be wrong after a death.
func (c *captures) numbers(r *record) ([]numbered, error) {
	dir, err := c.files.Open(".")
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
	slices.SortFunc(list, func(a, b numbered) int { return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.name, b.name)) })
	return slices.Compact(list), nil
}

// nextNumber is that of the file after all that a capture has, or had.
func (c *captures) nextNumber(r *record) int {
	next := 1
	if list, err := c.numbers(r); err == nil && len(list) > 0 {
		next = list[len(list)-1].number + 1
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range r.Status.Files {
		if n, ok := capture.FileNumber(r.File, f.Name); ok {
			next = max(next, n+1)
		}
	}
	return next
}

// number is that of a file of the capture.
func (r *record) number(f capture.FileInfo) int {
	n, _ := capture.FileNumber(r.File, f.Name)
	return n
}

// recovered notes what a capture that was interrupted has left; lastSign is when its appliance was last known to live.
func (c *captures) recovered(r *record, files []capture.FileInfo, err error, lastSign time.Time) capture.Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &r.Status
	for _, f := range s.Files {
		// In a ring the oldest files may have been deleted after the table was written. What is missing behind those that are there is
		// not written, but lost: it never reached the disk.
		if r.Spec.Rotates() && len(files) > 0 && r.number(f) < r.number(files[0]) {
			s.FilesRemoved++
			s.PacketsRemoved += f.Packets
			s.BytesRemoved += f.Bytes
		}
	}
	s.EndTime = s.StartTime
	s.Files = files
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
	r.busy = false
	return r.status()
}

// recoverStrays finishes the files of captures that are not in the table.
func (d *Daemon) recoverStrays() {
	names, err := d.captures.partNames()
	if err != nil {
		d.log.Error("the diagnostic directory cannot be read", "error", err)
	}
	for _, name := range names {
		if _, err := d.captures.finishFile(name); err != nil {
			d.log.Error("the file of an interrupted capture cannot be finished", "file", name, "error", err)
			continue
		}
		d.System(name, "A file of an interrupted capture was finished", nil)
	}
}

// partNames lists the final names of files that were being written and belong to no capture of the table that runs.
func (c *captures) partNames() ([]string, error) {
	dir, err := c.files.Open(".")
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
		if final, ok := capture.FinalName(e.Name()); ok && e.Type().IsRegular() && !c.writing(final) {
			names = append(names, final)
		}
	}
	return names, nil
}

// finishFile trims a file that was being written and gives it its final name. A file without a single whole header holds nothing
// and is removed: then, as when there is no file at all, the FileInfo is empty.
func (c *captures) finishFile(final string) (capture.FileInfo, error) {
	part := capture.PartName(final)
	info, err := pcapfile.Repair(filepath.Join(c.path, part))
	switch {
	case errors.Is(err, os.ErrNotExist):
		// It had its name already when the appliance died, or was never made.
		info, err = pcapfile.Repair(filepath.Join(c.path, final))
		if errors.Is(err, os.ErrNotExist) {
			return capture.FileInfo{}, nil
		}
		return info, err
	case errors.Is(err, pcapfile.ErrNoCapture):
		return capture.FileInfo{}, c.files.Remove(part)
	case err != nil:
		return capture.FileInfo{}, err
	}
	if _, err := c.files.Lstat(final); err == nil {
		return capture.FileInfo{}, fmt.Errorf("there is a file %s already", final)
	}
	if err := c.files.Rename(part, final); err != nil {
		return capture.FileInfo{}, err
	}
	info.Name = final
	return info, store.SyncDirectory(c.path)
}
