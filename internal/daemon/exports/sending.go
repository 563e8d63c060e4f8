package exports

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"os"
	"slices"
	"sync"
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

// run copies, as many files at a time as the settings allow, until ctx ends.
func (q *Queue) run(ctx context.Context) {
	var copying sync.WaitGroup
	defer copying.Wait()
	for ctx.Err() == nil {
		its, e, wait := q.due(ctx, time.Now())
		if e != nil {
			copying.Go(func() {
				q.try(its, e)
				q.ended(e)
			})
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-q.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// ended notes that a try is over.
func (q *Queue) ended(e *capture.Export) {
	q.mu.Lock()
	q.running[e].end(nil)
	delete(q.running, e)
	if e.State == capture.ExportSending { // a user ended it, or the appliance stops: the next turn resumes it
		e.State = capture.ExportWaiting
	}
	q.o.Tell.Changed(copyName(e))
	q.mu.Unlock()
	q.changed()
}

// try makes one try.
func (q *Queue) try(ctx context.Context, e *capture.Export) {
	err := q.send(ctx, e)
	if ctx.Err() != nil {
		return // The next start resumes it, or a user ended it.
	}
	now := q.tried(ctx, e, err)
	if err := q.saveQueue(); err != nil {
		q.o.Log.Error("the queue of copies cannot be written", "error", err)
	}
	q.mu.Lock()
	delete(q.ending, e)
	q.mu.Unlock()
	if err != nil {
		q.o.Log.Warn("a file was not copied", "file", now.File, "target", now.Target, "try", now.Tries, "error", err, "cause", q.causeOf(errors.Unwrap(err), now.Target))
	}
	if !finished(&now) {
		if q.isGone(now) { // FilesGone left it: it was under way
			q.FilesGone(source(&now))
		}
		return
	}
	q.tellEnd(now)
}

// tellEnd tells that a copy is over, which the disk knows.
func (q *Queue) tellEnd(e capture.Export) {
	message := "The file was copied to the target " + e.Target
	if e.State == capture.ExportFailed {
		message = "The file was not copied to the target " + e.Target + ": " + e.Error
	}
	q.o.System(e.File, message, map[string]string{"target": e.Target, "sha256": e.SHA256, "owner": e.Owner})
	if !e.Held {
		q.o.OnDone(source(&e))
	}
}

// isGone reports whether the file of a copy was deleted.
func (q *Queue) isGone(e capture.Export) bool {
	if e.Manifest {
		return false
	}
	f, err := q.o.OpenFile(source(&e))
	if err == nil {
		f.Close()
		return false
	}
	return menu.AsError(err).Code == menu.NotFound
}

// tried notes how a try went. Until the disk knows it too the copy is one of those that are ending.
func (q *Queue) tried(ctx context.Context, e *capture.Export, err error) capture.Export {
	q.mu.Lock()
	defer q.mu.Unlock()
	if ctx.Err() != nil || e.State != capture.ExportSending {
		return *e // A user ended it in this moment.
	}
	e.Tries++
	var gone *menu.Error
	switch {
	case err == nil:
		e.State, e.Error, e.Finished, e.Sent, e.Failing, e.Upload = capture.ExportDone, "", time.Now(), e.Bytes, time.Time{}, ""
		delete(q.resting, e.Target)
		delete(q.setbacks, e)
	case errors.As(err, &gone) && gone.Code == menu.NotFound:
		e.State, e.Error, e.Finished = capture.ExportFailed, gone.Message, time.Now()
	default:
		q.failed(e, err, time.Now())
	}
	q.ending[e] = true
	q.o.Tell.Changed(copyName(e))
	return *e
}

// failed notes a try that failed, after which there may be another. Called with mu held.
func (q *Queue) failed(e *capture.Export, err error, now time.Time) {
	wait := retryAfter(e.Tries)
	var known *sending.Error
	if errors.As(err, &known) && known.RetryAfter > 0 {
		wait = known.RetryAfter
	}
	if e.Failing.IsZero() || e.Sent > q.furthest[e] {
		e.Failing = now
	}
	q.furthest[e] = max(q.furthest[e], e.Sent)
	e.State, e.Error, e.NextTry = capture.ExportWaiting, menu.Sentence(textOf(err)), now.Add(wait)
	if most := time.Duration(q.bounds.GiveUpSeconds) * time.Second; most > 0 && now.Sub(e.Failing) >= most {
		e.State, e.Held, e.Finished, e.NextTry = capture.ExportFailed, true, now, time.Time{}
	}
	if sending.IsUnreachable(err) {
		// Other files for it wait too, so that those for other targets need not wait for them all.
		q.resting[e.Target] = now.Add(wait)
	}
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
	switch {
	case e.Manifest:
		return q.o.OpenManifest(*e, q.copiesOf(e))
	case e.Source != "":
		return q.o.OpenJoined(ctx, e.Source)
	}
	return q.o.OpenFile(e.File)
}

// copiesOf returns the newest copies of the files of a manifest's capture to its target, the oldest
// first.
func (q *Queue) copiesOf(manifest *capture.Export) (list []capture.Export) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, e := range q.chosen(capture.Copies{Target: manifest.Target, File: manifest.Capture}) {
		if !e.Manifest && e.Capture == manifest.Capture {
			list = append(list, *e)
		}
	}
	slices.Reverse(list)
	return list
}

// send copies the file. A *menu.Error of the kind NotFound is for good.
func (q *Queue) send(ctx context.Context, e *capture.Export) error {
	to, s, err := q.destination(ctx, e)
	if err != nil {
		return err
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
	q.mu.Lock()
	sum, summed, upload := e.SHA256, cmp.Or(e.Bytes, -1), e.Upload
	q.mu.Unlock()
	if sum == "" || summed != info.Size() || e.Source != "" || e.Manifest { // which are made for each try
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
	file := sending.File{Name: e.File, Path: e.Path, Content: f, Bytes: info.Size(), Sum: sum, ContentType: contentType(e),
		Metadata: metadata(q.o.Hostname(), e, sum), Upload: upload, Begun: func(name string) { q.begun(e, name) }}
	err = s.Send(ctx, to, file, func(bytes int64) {
		q.mu.Lock()
		defer q.mu.Unlock()
		e.Sent = bytes
		if r := q.running[e]; r != nil {
			r.safe, r.checked = r.passed, 0
		}
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// begun notes how the target calls what it will have of a copy. If the disk cannot have it, a try after a
// restart begins anew.
func (q *Queue) begun(e *capture.Export, upload string) {
	q.mu.Lock()
	e.Upload = upload
	q.mu.Unlock()
	if err := q.saveQueue(); err != nil {
		q.o.Log.Error("the queue of copies cannot be written", "error", err)
	}
}

// passes notes that bytes of a copy were read to be sent.
func (q *Queue) passes(e *capture.Export, n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if r := q.running[e]; r != nil {
		if r.since.IsZero() {
			r.since = time.Now()
		}
		r.passed += int64(n)
		r.meter.add(time.Now(), r.passed)
	}
}

// checks notes how many bytes of a copy were read back.
func (q *Queue) checks(e *capture.Export, bytes int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if r := q.running[e]; r != nil {
		r.checked = bytes
	}
}

// destination returns where a copy goes, and by which sender.
func (q *Queue) destination(ctx context.Context, e *capture.Export) (to sending.Destination, _ sending.Sender, _ error) {
	q.mu.Lock()
	t, is := q.target(e.Target)
	lost := q.lost && !q.deleted[e.Target]
	var pace *bucket
	if is {
		pace = q.paceOf(t)
	}
	q.mu.Unlock()
	switch {
	case !is && lost:
		return to, nil, sending.Failed(nil, "the targets were in a file that was damaged; the copy waits until there is a target %s again", e.Target)
	case !is:
		return to, nil, menu.Errorf(menu.NotFound, "There is no target %s any more", e.Target)
	}
	u, s, err := parseURL(t.URL)
	if err != nil {
		return to, nil, sending.Failed(err, "%s", err)
	}
	to = sending.Destination{URL: u, HostKey: t.HostKey, Secret: t.Secret, Checked: func(bytes int64) { q.checks(e, bytes) },
		Limit: func(r io.Reader) io.Reader {
			return &limited{ctx, r, []*bucket{pace, q.all}, func(n int) { q.passes(e, n) }}
		}}
	if t.Proxy != "" {
		if to.Proxy, err = parseProxy(t.Proxy, t.ProxySecret); err != nil {
			return to, nil, sending.Failed(err, "%s", err)
		}
	}
	if t.Authorities != "" {
		to.Roots = x509.NewCertPool()
		to.Roots.AppendCertsFromPEM([]byte(t.Authorities))
	}
	if t.Login == sending.LoginKey {
		if to.Key, err = q.key(); err != nil {
			return to, nil, err
		}
	}
	return to, s, nil
}

// paceOf returns the bucket of a target. Called with mu held.
func (q *Queue) paceOf(t storedTarget) *bucket {
	b := q.pace[t.Name]
	if b == nil {
		b = &bucket{}
		q.pace[t.Name] = b
	}
	b.setRate(t.BytesPerSecond)
	return b
}
