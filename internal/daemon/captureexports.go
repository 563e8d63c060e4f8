package daemon

import (
	"slices"

	"diagsh/capture"
	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// The copies of what captures write: what is queued, and what may go when it is copied.

// ExportPackets queues the files of a capture that has ended, or a file.
func (d *Daemon) ExportPackets(caller menu.Caller, name, target string) ([]capture.Export, error) {
	if err := d.CheckTarget(target); err != nil {
		return nil, err
	}
	var files []string
	of := ""
	if _, err := d.FileInfo(name); err == nil {
		files = []string{name}
	} else {
		status, err := d.Capture(name)
		switch {
		case err != nil:
			return nil, err
		case status.State == capture.Running:
			return nil, &menu.Error{Code: menu.State, Argument: "name", Message: "The capture " + name + " is running", Hint: "Stop it first"}
		case len(status.Files) == 0:
			return nil, &menu.Error{Code: menu.State, Argument: "name", Message: "The capture " + name + " has no file any more"}
		}
		of = name
		for _, f := range status.Files {
			files = append(files, f.Name)
		}
	}
	return d.Queue.Add(of, files, target, caller.User)
}

// exportFile queues a file that a running capture has just closed, for the targets that want all.
func (d *Daemon) exportFile(r *record, name, file string) {
	for _, target := range d.Auto() {
		d.enqueueAuto(r, name, []string{file}, target)
	}
}

// exportCapture queues the files of a capture that has just ended, for the targets that want all,
// unless that was done as they closed. If somebody goes on with the capture already, its next end
// is time enough. The table is to be written after it: as long as the disk does not know that the
// files are queued, the table on it says that they are not.
func (d *Daemon) exportCapture(r *record, s capture.Status) {
	queued := true
	for _, target := range d.Auto() {
		queued = d.enqueueAuto(r, s.Name, d.captures.unqueuedFor(r, target, s.Files), target) && queued
	}
	d.captures.mu.Lock()
	if r.ended() && queued {
		r.Unqueued = false
	}
	d.captures.mu.Unlock()
	d.trimRing(r)
}

// exportUnqueued queues the files of captures that ended while that was not possible.
func (d *Daemon) exportUnqueued() {
	unqueued := d.captures.unqueued()
	for r, status := range unqueued {
		d.exportCapture(r, status)
	}
	if len(unqueued) > 0 {
		d.keepCaptures()
	}
}

// enqueueAuto reports whether the disk knows that the files are queued.
func (d *Daemon) enqueueAuto(r *record, name string, files []string, target string) bool {
	if len(files) == 0 {
		return true
	}
	if _, err := d.Queue.Add(name, files, target, access.System); err != nil {
		d.log.Error("the files of a capture cannot be queued for their target", "name", name, "target", target, "error", err)
		return false
	}
	d.captures.wasQueued(r, target, files[len(files)-1])
	return true
}

// countExports says in statuses how many of their files still have to be copied.
func (d *Daemon) countExports(list []capture.Status) {
	pending := d.Pending()
	for i := range list {
		list[i].FilesAwaitingExport = 0
		for _, f := range list[i].Files {
			if pending[f.Name] {
				list[i].FilesAwaitingExport++
			}
		}
	}
}

// released tells the ring of a file that the file is held no more.
func (d *Daemon) released(file string) {
	c := d.captures
	c.mu.Lock()
	i := slices.IndexFunc(c.records, func(r *record) bool { return r.has(file) })
	if i < 0 {
		c.mu.Unlock()
		return
	}
	r, job := c.records[i], c.records[i].job
	c.mu.Unlock()
	if job != nil {
		job.Prune() // if it ends meanwhile, its end looks too
		return
	}
	d.trimRing(r)
}

// targetGone notes that a target was deleted. The disk knows it before another one of the name can
// be added.
func (d *Daemon) targetGone(name string) {
	d.captures.forgetTarget(name)
	d.keepCaptures()
}
