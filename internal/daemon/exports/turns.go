package exports

import (
	"context"
	"slices"
	"time"

	"diagsh/capture"
)

// Whose turn it is: the oldest first, as many at a time as the settings allow. A copy that hardly goes on
// makes room for others that wait for other targets, and comes again after them.

const (
	// turn is how long a copy may hardly go on before it makes room. It has twice as long each time that
	// it comes again, up to longestTurn times: what a slow way brings in its turn is to be more at last
	// than what a try begins with again.
	turn        = time.Minute
	longestTurn = 64

	// leastRate is how many bytes a second must pass, if the bounds of the copy allow that.
	leastRate = 16 << 10
)

// A setback is what is known of a copy that made room for others.
type setback struct {
	at    time.Time // before which those were queued that come first
	turns int       // how many turns it has the next time
}

// due takes the copy whose turn it is, with a context for it. If there is none, wait is the time
// until there may be one.
func (q *Queue) due(ctx context.Context, now time.Time) (_ context.Context, _ *capture.Export, wait time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	e, wait := q.next(now, nil)
	if e == nil {
		q.makeRoom(now)
		if len(q.running) > 0 {
			wait = min(wait, q.turn/4)
		}
		return nil, nil, wait
	}
	copying, end := context.WithCancelCause(ctx)
	e.State, q.running[e] = capture.ExportSending, &running{end: end}
	q.o.Tell.Changed(copyName(e))
	return copying, e, 0
}

// next returns the copy whose turn it is, or would be in the place of one that is under way: then it is one
// to another target, as the same host would fare no better with another file. If there is none, wait is the
// time until there may be one. Called with mu held.
func (q *Queue) next(now time.Time, without *capture.Export) (first *capture.Export, wait time.Duration) {
	busy, all := make(map[string]int), 0
	for e := range q.running {
		if e != without {
			busy[e.Target]++
			all++
		}
	}
	if all >= int(q.bounds.Parallel) {
		return nil, time.Hour
	}
	wait = time.Hour
	var later *capture.Export // of those that made room, the first
	for _, e := range q.queue {
		t, _ := q.target(e.Target)
		most := int(q.bounds.PerTarget)
		if _, doubted := q.resting[e.Target]; doubted {
			most = 1 // until a copy shows that the target is back
		}
		if without != nil && e.Target == without.Target {
			continue
		}
		if e.State != capture.ExportWaiting || q.running[e] != nil || t.Paused || busy[e.Target] >= most || q.isEarly(e) {
			continue
		}
		if until := q.nextTry(e).Sub(now); until > 0 {
			wait = min(wait, until)
			continue
		}
		switch set, is := q.setbacks[e]; {
		case is && (later == nil || set.at.Before(q.setbacks[later].at)):
			later = e
		case !is && first == nil:
			first = e
		}
	}
	if later != nil && (first == nil || first.Queued.After(q.setbacks[later].at)) {
		first = later
	}
	return first, wait
}

// makeRoom ends the tries of copies that hardly go on, as far as others can have their places. Called with
// mu held.
func (q *Queue) makeRoom(now time.Time) {
	for e, r := range q.running {
		turns := max(1, q.setbacks[e].turns)
		took := now.Sub(r.since)
		if r.since.IsZero() || took < time.Duration(turns)*q.turn || e.State != capture.ExportSending {
			continue
		}
		answers := e.Sent >= e.Bytes && r.checked == 0 // the target has all and must say so, for which it has its own time
		slow := float64(r.passed-r.then) < took.Seconds()*float64(q.leastOf(e))
		if !slow || answers {
			r.since, r.then = now, r.passed
			continue
		}
		other, _ := q.next(now, e)
		if r.since, r.then = now, r.passed; other == nil {
			continue
		}
		q.setbacks[e] = setback{now, min(2*turns, longestTurn)}
		r.end(errInterrupted)
		return // the next one when this one's place is taken
	}
}

// leastOf returns how many bytes a second of a copy must pass: half of its part of what its bounds allow,
// if that is less than leastRate. Called with mu held.
func (q *Queue) leastOf(e *capture.Export) int64 {
	least := int64(leastRate)
	if t, _ := q.target(e.Target); t.BytesPerSecond > 0 {
		least = min(least, t.BytesPerSecond/q.bounds.PerTarget/2)
	}
	if q.bounds.BytesPerSecond > 0 {
		least = min(least, q.bounds.BytesPerSecond/q.bounds.Parallel/2)
	}
	return least
}

// isEarly reports whether a manifest has to wait for other copies of its capture. Called with mu
// held.
func (q *Queue) isEarly(e *capture.Export) bool {
	return e.Manifest && slices.ContainsFunc(q.queue, func(other *capture.Export) bool {
		return other.Capture == e.Capture && other.Target == e.Target && !other.Manifest && holds(other)
	})
}
