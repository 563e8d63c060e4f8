package exports

import (
	"cmp"
	"slices"
	"time"

	"diagsh/capture"
	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// finished reports whether nothing is done for a copy any more, unless a user asks for it.
func finished(e *capture.Export) bool {
	return e.State == capture.ExportDone || e.State == capture.ExportFailed || e.State == capture.ExportCancelled
}

// holds reports whether a copy keeps its file from being deleted.
func holds(e *capture.Export) bool { return !finished(e) || e.Held }

// Add adds copies of files to a target, and returns when the disk has them. of is the capture of
// the files, or "". A file that waits for the target already waits once. If a user asks for it, its
// turn comes at once; access.System is the owner of copies that the target's own setting asks for.
// If the disk cannot have them, copies that a user asks for are not added. Those of access.System
// stay: their files may not be deleted, and the next time that the queue is written has them.
func (q *Queue) Add(of string, files []string, target, owner string) ([]capture.Export, error) {
	var copies []capture.Export
	for _, f := range files {
		copies = append(copies, capture.Export{File: f, Capture: of})
	}
	return q.AddCopies(copies, target, owner)
}

// AddCopies adds copies as Add does, of which all is given that says what they are copies of.
func (q *Queue) AddCopies(copies []capture.Export, target, owner string) ([]capture.Export, error) {
	var added []capture.Export
	var fresh []*capture.Export
	q.mu.Lock()
	if owner != access.System {
		delete(q.resting, target)
	}
	for _, c := range copies {
		i := slices.IndexFunc(q.queue, func(e *capture.Export) bool {
			return e.File == c.File && e.Source == c.Source && e.Target == target && !finished(e)
		})
		if i < 0 {
			i = len(q.queue)
			fresh = append(fresh, q.fresh(c, target, owner))
			q.queue = append(q.queue, fresh[len(fresh)-1])
		}
		if owner != access.System {
			q.queue[i].NextTry = time.Time{}
		}
		added = append(added, q.shown(q.queue[i]))
		q.o.Tell.Changed(copyName(q.queue[i]))
	}
	q.mu.Unlock()
	if err := q.saveQueue(); err != nil {
		if owner != access.System {
			q.takeBack(fresh)
		}
		return nil, menu.Failing("keep the queue of copies", err)
	}
	q.changed()
	return added, nil
}

// fresh returns a copy that waits. Called with mu held.
func (q *Queue) fresh(c capture.Export, target, owner string) *capture.Export {
	e := &capture.Export{File: c.File, Source: c.Source, Path: c.Path, Capture: c.Capture, Target: target, State: capture.ExportWaiting,
		Queued: time.Now(), Owner: owner, Packets: c.Packets, CaseNumber: c.CaseNumber, CaptureStart: c.CaptureStart, Manifest: c.Manifest}
	if t, is := q.target(target); is && e.Path == "" && t.Template != "" {
		e.Path = placeOf(t.Template, q.o.Hostname(), e)
	}
	return e
}

// target returns a target by its name. Called with mu held.
func (q *Queue) target(name string) (storedTarget, bool) {
	i := slices.IndexFunc(q.targets, isTarget(name))
	if i < 0 {
		return storedTarget{}, false
	}
	return q.targets[i], true
}

// takeBack removes copies that the disk does not have, but for one that is under way.
func (q *Queue) takeBack(copies []*capture.Export) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.queue = slices.DeleteFunc(q.queue, func(e *capture.Export) bool {
		goes := slices.Contains(copies, e) && e.State == capture.ExportWaiting
		if goes {
			q.o.Tell.Changed(copyName(e))
		}
		return goes
	})
}

// Waiting reports whether a file is still to be copied, or the disk does not know yet that it was.
// Until then only a user may delete it.
func (q *Queue) Waiting(file string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.ContainsFunc(q.queue, func(e *capture.Export) bool { return source(e) == file && (holds(e) || q.ending[e]) })
}

// Unbegun reports whether a copy of a file to a target is still to be made, and nothing of it may be at
// the target yet.
func (q *Queue) Unbegun(file, target string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.ContainsFunc(q.queue, func(e *capture.Export) bool {
		return e.File == file && e.Target == target && !finished(e) && e.State != capture.ExportSending && e.SHA256 == ""
	})
}

// FilesGone ends the copies of files that were deleted, at once: those that wait for a target that rests
// too. One that is under way has its file still. It is called without a lock of the rooms above.
func (q *Queue) FilesGone(names ...string) {
	var over []capture.Export
	q.mu.Lock()
	for _, e := range q.queue {
		if e.State == capture.ExportSending || !holds(e) || e.Manifest || !slices.Contains(names, source(e)) {
			continue
		}
		e.State, e.Held, e.Error, e.Finished = capture.ExportFailed, false, "There is no file "+source(e)+" any more", time.Now()
		e.NextTry, e.Failing = time.Time{}, time.Time{}
		over = append(over, *e)
		q.o.Tell.Changed(copyName(e))
	}
	q.mu.Unlock()
	if len(over) == 0 {
		return
	}
	if err := q.saveQueue(); err != nil {
		q.o.Log.Error("the queue of copies cannot be written", "error", err)
	}
	for _, e := range over {
		q.tellEnd(e)
	}
	q.changed() // The lists of their captures need not wait for them.
}

// source returns the file of the diagnostic directory that a copy needs.
func source(e *capture.Export) string { return cmp.Or(e.Source, e.File) }

// A Standing is what became of the copies of a file.
type Standing struct {
	Waits  bool   // one is still to be made
	Failed bool   // one failed for good, and was not made since
	Error  string // why one failed, or why its last try did
}

// Standing returns what became of the copies of all files that the queue knows.
func (q *Queue) Standing() map[string]Standing {
	q.mu.Lock()
	defer q.mu.Unlock()
	newest := make(map[string]bool)
	files := make(map[string]Standing)
	for _, e := range slices.Backward(q.queue) {
		if key := source(e) + "/" + copyName(e); newest[key] {
			continue
		} else {
			newest[key] = true
		}
		is := files[source(e)]
		failed := e.State == capture.ExportFailed
		if e.Error != "" && (is.Error == "" || failed) {
			is.Error = e.Error
		}
		is.Waits, is.Failed = is.Waits || !finished(e), is.Failed || failed
		files[source(e)] = is
	}
	return files
}

// Exports lists the copies, the newest first.
func (q *Queue) Exports() []capture.Export {
	q.mu.Lock()
	defer q.mu.Unlock()
	list := []capture.Export{}
	for _, e := range slices.Backward(q.queue) {
		list = append(list, q.shown(e))
	}
	return list
}

// shown returns a copy with what is known of it now. Called with mu held.
func (q *Queue) shown(e *capture.Export) capture.Export {
	now := *e
	if finished(e) {
		return now
	}
	now.BytesLeft = max(0, e.Bytes-e.Sent)
	if q.running[e] == nil {
		now.NextTry = q.nextTry(e)
	} else {
		now.NextTry = time.Time{} // it is tried now
	}
	if t, _ := q.target(e.Target); t.Paused && q.running[e] == nil {
		now.State = capture.ExportPaused
	}
	if r := q.running[e]; r != nil {
		now.Checked = r.checked
		if now.BytesPerSecond = r.meter.rate(time.Now()); now.BytesPerSecond > 0 {
			left := max(0, now.BytesLeft-(r.passed-r.safe)) // what is on its way is not safe yet
			if r.checked > 0 {
				left = e.Bytes - r.checked
			}
			now.SecondsLeft = new((left + now.BytesPerSecond - 1) / now.BytesPerSecond)
		}
	}
	return now
}

// copyName names a copy for those who listen. Neither of its parts has a slash.
func copyName(e *capture.Export) string { return e.File + "/" + e.Target }

// Copy returns the newest copy that copyName gives this name. It reports false if there is none.
func (q *Queue) Copy(name string) (capture.Export, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, e := range slices.Backward(q.queue) {
		if copyName(e) == name {
			return q.shown(e), true
		}
	}
	return capture.Export{}, false
}

// Sending returns the names of the copies that are under way.
func (q *Queue) Sending() (names []string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, e := range q.queue {
		if q.running[e] != nil {
			names = append(names, copyName(e))
		}
	}
	return names
}

// nextTry returns when a copy that waits is tried: not before its target. Called with mu held.
func (q *Queue) nextTry(e *capture.Export) time.Time {
	if rest := q.resting[e.Target]; rest.After(e.NextTry) {
		return rest
	}
	return e.NextTry
}

// Hurry makes every copy that waits be tried at once.
func (q *Queue) Hurry() {
	q.mu.Lock()
	for _, e := range q.queue {
		e.NextTry = time.Time{}
	}
	clear(q.resting)
	q.mu.Unlock()
	q.changed()
}

func (q *Queue) changed() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}
