package exports

import (
	"cmp"
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"diagsh/capture"
	"diagsh/internal/daemon/exports/sending"
	"diagsh/internal/menu"
)

// A copy that failed is tried again after firstRetry, then after twice as long each time, up to
// lastRetry.
const (
	firstRetry = 5 * time.Second
	lastRetry  = 10 * time.Minute
)

// retryAfter returns how long a copy waits after it has failed tries times.
func retryAfter(tries int) time.Duration {
	wait := firstRetry
	for ; tries > 1 && wait < lastRetry; tries-- {
		wait *= 2
	}
	return min(wait, lastRetry)
}

// run copies, one file at a time, until ctx ends.
func (q *Queue) run(ctx context.Context) {
	for ctx.Err() == nil {
		e, wait := q.due(time.Now())
		if e == nil {
			timer := time.NewTimer(wait)
			select {
			case <-ctx.Done():
			case <-q.wake:
			case <-timer.C:
			}
			timer.Stop()
			continue
		}
		copying, giveUp := context.WithCancel(ctx)
		q.copies(e.Target, giveUp)
		q.try(copying, e)
		q.copies("", nil)
		giveUp()
	}
}

// copies notes which target a file is being copied to, and how that is ended.
func (q *Queue) copies(target string, giveUp context.CancelFunc) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sending, q.giveUp = target, giveUp
}

// try makes one try.
func (q *Queue) try(ctx context.Context, e *capture.Export) {
	err := q.send(ctx, e)
	if ctx.Err() != nil {
		return // The next start resumes it, or its target was deleted.
	}
	now := q.tried(e, err)
	if err := q.saveQueue(); err != nil {
		q.o.Log.Error("the queue of copies cannot be written", "error", err)
	}
	q.mu.Lock()
	q.ending = nil
	q.mu.Unlock()
	if err != nil {
		q.o.Log.Warn("a file was not copied", "file", now.File, "target", now.Target, "try", now.Tries, "error", err, "cause", errors.Unwrap(err))
	}
	if !finished(&now) {
		return
	}
	message := "The file was copied to the target " + now.Target
	if now.State == capture.ExportFailed {
		message = "The file was not copied to the target " + now.Target + ": " + now.Error
	}
	q.o.System(now.File, message, map[string]string{"target": now.Target, "sha256": now.SHA256, "owner": now.Owner})
	q.o.OnDone(source(&now))
}

// tried notes how a try went. The copy is the ending one until the disk knows it too.
func (q *Queue) tried(e *capture.Export, err error) capture.Export {
	q.mu.Lock()
	defer q.mu.Unlock()
	e.Tries++
	var gone *menu.Error
	switch {
	case err == nil:
		e.State, e.Error, e.Finished, e.Sent = capture.ExportDone, "", time.Now(), e.Bytes
		delete(q.resting, e.Target)
	case errors.As(err, &gone) && gone.Code == menu.NotFound:
		e.State, e.Error, e.Finished = capture.ExportFailed, gone.Message, time.Now()
	default:
		e.State, e.Error, e.NextTry = capture.ExportWaiting, menu.Sentence(textOf(err)), time.Now().Add(retryAfter(e.Tries))
		if sending.IsUnreachable(err) {
			// Other files for it wait too, so that those for other targets need not wait for them
			// all.
			q.resting[e.Target] = e.NextTry
		}
	}
	q.ending = e
	q.o.Tell.Changed(copyName(e))
	return *e
}

// textOf returns the text of a failed try for users.
func textOf(err error) string {
	var known *sending.Error
	var key *sending.HostKeyError
	var ours *menu.Error
	switch {
	case errors.As(err, &ours):
		return ours.Message
	case errors.As(err, &key):
		return "the host of the target has another key than it should: " + key.HostKey
	case errors.As(err, &known):
		return known.Text
	}
	return "the copy failed"
}

// open opens what is copied.
func (q *Queue) open(ctx context.Context, e *capture.Export) (*os.File, error) {
	if e.Source != "" {
		return q.o.OpenJoined(ctx, e.Source)
	}
	return q.o.OpenFile(e.File)
}

// send copies the file. A *menu.Error of the kind NotFound is for good.
func (q *Queue) send(ctx context.Context, e *capture.Export) error {
	q.mu.Lock()
	i := slices.IndexFunc(q.targets, func(t storedTarget) bool { return t.Name == e.Target })
	var stored storedTarget
	if i >= 0 {
		stored = q.targets[i]
	}
	sum, summed := e.SHA256, cmp.Or(e.Bytes, -1)
	lost := q.lost && !q.deleted[e.Target]
	q.mu.Unlock()
	switch {
	case i < 0 && lost:
		return sending.Failed(nil, "the targets were in a file that was damaged; the copy waits until there is a target %s again", e.Target)
	case i < 0:
		return menu.Errorf(menu.NotFound, "There is no target %s any more", e.Target)
	}
	u, s, err := parseURL(stored.URL)
	if err != nil {
		return sending.Failed(err, "%s", err)
	}
	to := sending.Destination{URL: u, HostKey: stored.HostKey, Secret: stored.Secret}
	if stored.Login == sending.LoginKey {
		if to.Key, err = q.key(); err != nil {
			return err
		}
	}
	f, err := q.open(ctx, e)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if sum == "" || summed != info.Size() || e.Source != "" { // which is made for each try
		if sum, err = sending.SumOf(ctx, f, info.Size()); err != nil {
			return err
		}
		q.mu.Lock()
		e.SHA256, e.Bytes = sum, info.Size()
		q.mu.Unlock()
		if err := q.saveQueue(); err != nil {
			return err
		}
	}
	err = s.Send(ctx, to, sending.File{Name: e.File, Path: e.Path, Content: f, Bytes: info.Size(), Sum: sum}, func(bytes int64) {
		q.mu.Lock()
		e.Sent = bytes
		q.mu.Unlock()
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
