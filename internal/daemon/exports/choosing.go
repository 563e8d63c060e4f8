package exports

import (
	"errors"
	"slices"
	"time"

	"diagsh/capture"
	"diagsh/internal/menu"
)

// What users do to copies: to one, to those of a capture, or to all of a target.

// PauseCopies keeps copies from going on until they are resumed. Of a target, those to come too. It
// returns them when the disk knows it.
func (q *Queue) PauseCopies(_ menu.Caller, c capture.Copies) ([]capture.Export, error) {
	if c.File == "" {
		return q.pauseTarget(c.Target, true)
	}
	return q.change(c, "waits or is under way", func(e *capture.Export) bool { return !finished(e) && e.State != capture.ExportPaused },
		func(e *capture.Export) { e.State = capture.ExportPaused })
}

// ResumeCopies has copies that were paused go on.
func (q *Queue) ResumeCopies(_ menu.Caller, c capture.Copies) ([]capture.Export, error) {
	if c.File == "" {
		return q.pauseTarget(c.Target, false)
	}
	list, err := q.change(c, "is paused", func(e *capture.Export) bool { return e.State == capture.ExportPaused }, again)
	q.mu.Lock()
	t, _ := q.target(c.Target)
	q.mu.Unlock()
	if e := menu.AsError(err); e != nil && e.Code == menu.State && t.Paused {
		return nil, e.WithHint("Their target is paused: packetcapture copies resume %s", c.Target)
	}
	return list, err
}

// CancelCopies ends copies for good. Their files may be deleted then.
func (q *Queue) CancelCopies(_ menu.Caller, c capture.Copies) ([]capture.Export, error) {
	return q.change(c, "waits or is under way", holds, func(e *capture.Export) {
		e.State, e.Held, e.Finished, e.Failing = capture.ExportCancelled, false, time.Now(), time.Time{}
	})
}

// RetryCopies begins copies anew that failed or were cancelled, and has those that wait for their
// next try not wait.
func (q *Queue) RetryCopies(caller menu.Caller, c capture.Copies) ([]capture.Export, error) {
	if err := q.CheckTarget(c.Target); err != nil {
		return nil, err
	}
	q.mu.Lock()
	delete(q.resting, c.Target)
	q.mu.Unlock()
	anew := make(map[string]capture.Export) // one of each capture whose copies were over
	list, err := q.change(c, "failed or waits", func(e *capture.Export) bool {
		return e.State == capture.ExportFailed || e.State == capture.ExportCancelled || e.State == capture.ExportWaiting
	}, func(e *capture.Export) {
		if finished(e) && !e.Manifest {
			anew[e.Capture] = *e
		}
		again(e)
	})
	if err != nil {
		return nil, err
	}
	for _, e := range anew {
		q.o.OnAgain(e, caller.User)
	}
	return list, nil
}

// again makes a copy wait for its turn, as a new one does.
func again(e *capture.Export) {
	e.State, e.Held, e.Tries, e.Error = capture.ExportWaiting, false, 0, ""
	e.NextTry, e.Finished, e.Failing = time.Time{}, time.Time{}, time.Time{}
}

// pauseTarget pauses a target, or resumes it with the copies to it that were paused by themselves.
func (q *Queue) pauseTarget(name string, paused bool) ([]capture.Export, error) {
	if err := q.CheckTarget(name); err != nil {
		return nil, err
	}
	err := q.changeTargets(func(targets []storedTarget) ([]storedTarget, error) {
		i := slices.IndexFunc(targets, isTarget(name))
		if i < 0 { // it was deleted meanwhile
			return nil, noTarget(name, nil)
		}
		targets[i].Paused = paused
		return targets, nil
	})
	if err != nil {
		return nil, err
	}
	q.o.TellTargets.Changed(name)
	if paused {
		q.interrupt(func(e *capture.Export) bool { return e.Target == name })
	} else if _, err := q.change(capture.Copies{Target: name}, "", func(e *capture.Export) bool { return e.State == capture.ExportPaused }, again); err != nil && menu.AsError(err).Code != menu.State {
		return nil, err
	}
	var list []capture.Export
	for _, e := range q.Exports() {
		if e.Target == name && !finished(&e) {
			list = append(list, e)
		}
	}
	q.changed()
	return list, nil
}

// change changes the newest copies of their files that are chosen and in the right state, and
// returns them when the disk knows it; if it cannot, they stay as they were. is says of a copy in
// words that it is in that state.
func (q *Queue) change(c capture.Copies, is string, right func(*capture.Export) bool, edit func(*capture.Export)) ([]capture.Export, error) {
	q.mu.Lock()
	chosen := q.chosen(c)
	before := make(map[*capture.Export]capture.Export)
	for _, e := range chosen {
		if !right(e) {
			continue
		}
		before[e] = *e
		edit(e)
		if over := finished(e); over {
			q.ending[e] = true
		}
		q.o.Tell.Changed(copyName(e))
	}
	q.mu.Unlock()
	switch {
	case len(chosen) == 0 && c.File == "" && q.CheckTarget(c.Target) != nil:
		return nil, q.CheckTarget(c.Target)
	case len(chosen) == 0:
		return nil, &menu.Error{Code: menu.NotFound, Argument: argumentOf(c), Message: "There is no copy of " + menu.Quoted(c.File) + " to " + menu.Quoted(c.Target),
			Hint: "packetcapture exports lists the copies"}
	case len(before) == 0:
		return nil, &menu.Error{Code: menu.State, Argument: argumentOf(c), Message: "None of these copies " + is}
	}
	q.interrupt(func(e *capture.Export) bool { _, is := before[e]; return is })
	err := q.saveQueue()
	return q.changedAs(before, err)
}

func argumentOf(c capture.Copies) string {
	if c.File == "" {
		return "target"
	}
	return "file"
}

// changedAs ends change: with the copies, or as they were before if they could not be written.
func (q *Queue) changedAs(before map[*capture.Export]capture.Export, err error) (list []capture.Export, _ error) {
	var over []capture.Export
	q.mu.Lock()
	for _, e := range slices.Backward(q.queue) {
		was, is := before[e]
		if !is {
			continue
		}
		delete(q.ending, e)
		if err != nil {
			*e = was
			q.o.Tell.Changed(copyName(e))
			continue
		}
		if finished(e) {
			over = append(over, *e)
		}
		list = append(list, q.shown(e))
	}
	q.mu.Unlock()
	q.changed()
	if err != nil {
		return nil, menu.Failing("keep the queue of copies", err)
	}
	for _, e := range over {
		q.o.OnDone(source(&e))
	}
	return list, nil
}

// chosen returns the newest copy of each file that a user names. Called with mu held.
func (q *Queue) chosen(c capture.Copies) (list []*capture.Export) {
	newest := make(map[string]bool)
	for _, e := range slices.Backward(q.queue) {
		if e.Target != c.Target || newest[e.File] || c.File != "" && e.File != c.File && e.Capture != c.File {
			continue
		}
		newest[e.File] = true
		list = append(list, e)
	}
	return list
}

// errInterrupted ends a try that a user does not want any more.
var errInterrupted = errors.New("a user ended it")

// interrupt ends the tries of copies that are under way. They are no failure.
func (q *Queue) interrupt(which func(*capture.Export) bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for e, r := range q.running {
		if which(e) {
			r.end(errInterrupted)
		}
	}
}
