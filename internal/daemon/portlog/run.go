package portlog

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"diagsh/diag/ports"
)

const (
	// gatherTime is how long records are gathered until they are written: less than users who follow
	// the log notice. syncTime is how often they are brought to the disk.
	gatherTime = 200 * time.Millisecond
	syncTime   = time.Second

	// retryTime is how often a paused log looks whether the disk takes something again.
	retryTime = time.Second
)

// A run is the log from its start to its end. Its goroutine alone touches the files.
type run struct {
	log     *Log
	options ports.LogOptions
	filter  *ports.Filter
	queue   *queue
	sets    *sets
	first   string // how it began, for its first line

	watching chan struct{} // closed when the engine has told what there is
	swept    chan time.Time
	grown    chan struct{} // has a value when a set grew in the background
	quit     chan struct{} // closed when the engine tells nothing any more
	done     chan struct{} // closed when the files are
	ends     sync.Once

	mu                  sync.Mutex
	stopWatch           func()        // nil: the engine is not watched
	reason              ports.LogStop // empty: the run was not stopped
	problem             string        // why the log is paused; empty if it is not
	records, lost, gaps uint64
}

// newRun makes a run that does not run yet.
func newRun(l *Log, o ports.LogOptions, first string) (*run, error) {
	filter, err := o.Filter()
	if err != nil {
		return nil, err
	}
	r := &run{log: l, options: o, filter: filter, queue: newQueue(), first: first,
		watching: make(chan struct{}), swept: make(chan time.Time, 1), grown: make(chan struct{}), quit: make(chan struct{}), done: make(chan struct{})}
	r.sets = newSets(l, o, r.head)
	return r, nil
}

// watch begins to listen to the engine. Its error is the engine's, or errStopping if the run was
// stopped meanwhile.
func (r *run) watch(ctx context.Context) error {
	stop, err := r.log.o.Engine.Watch(ctx, ports.Watcher{Records: r.take})
	if err != nil {
		return err
	}
	r.mu.Lock()
	stopped := r.reason != ""
	if !stopped {
		r.stopWatch = stop
	}
	r.mu.Unlock()
	if stopped {
		stop()
		return errStopping
	}
	close(r.watching)
	return nil
}

// take is called by the engine, which waits for it.
func (r *run) take(list []ports.Record) {
	r.queue.put(list, func(one *ports.Record) bool {
		return r.filter.Match(one) && (!r.options.Coalesce || coalesced(one))
	})
}

// coalesced reports whether a record is in a log of one line a connection: its end, and what has no
// other line. A peer of a UDP socket is in no line but its own.
func coalesced(r *ports.Record) bool {
	switch r.Event {
	case ports.Opened, ports.Bound, ports.Listening, ports.Connected, ports.Accepted, ports.Used, ports.Held:
		return false
	case ports.Flowed:
		return r.Protocol != ports.TCP
	}
	return true
}

// stop ends the run. It does not wait for the files, of which done tells. It may be called more than
// once: the first reason counts.
func (r *run) stop(reason ports.LogStop) {
	r.ends.Do(func() {
		r.mu.Lock()
		r.reason = reason
		stopWatch := r.stopWatch
		r.mu.Unlock()
		if stopWatch != nil {
			stopWatch()
		}
		close(r.quit)
	})
}

// sweep has the goroutine look at the time. It is called by one goroutine.
func (r *run) sweep(now time.Time) {
	select {
	case <-r.swept: // it has not looked at the one before yet
	default:
	}
	r.swept <- now
}

// write writes what the queue has until the run is stopped.
func (r *run) write() {
	defer close(r.done)
	select { // the first lines say how sockets are watched
	case <-r.watching:
	case <-r.queue.pressed:
	case <-r.quit:
	}
	due := time.NewTimer(0)
	defer due.Stop()
	for {
		select {
		case <-r.queue.wake:
			due.Reset(gatherTime)
			continue
		case <-r.queue.pressed:
		case <-due.C:
		case now := <-r.swept:
			r.day(now)
		case <-r.grown:
			r.sets.grew(time.Now())
			continue
		case <-r.quit:
			r.finish()
			return
		}
		if wait := r.step(time.Now()); wait > 0 {
			due.Reset(wait)
		}
	}
}

// day begins the day's set, and deletes what is too old. A clock that was set far back makes it
// another day too: the midnight of the present set may be years ahead then.
func (r *run) day(now time.Time) {
	if !now.Before(r.sets.midnight) || now.Before(r.sets.opened.Add(-littleBack)) {
		r.paused(r.sets.next(now))
		return
	}
	r.sets.trim(now)
}

// step writes what there is, and returns when there is more to do; 0 is when more comes.
func (r *run) step(now time.Time) (wait time.Duration) {
	err := r.drain(now)
	wait, e := r.sets.syncIfDue(time.Now())
	err = cmp.Or(err, e)
	r.paused(err)
	if err != nil {
		return retryTime
	}
	return wait
}

// drain writes until the queue is empty. Its error is a *trouble: the rest waits.
func (r *run) drain(now time.Time) (err error) {
	for err = r.sets.look(now); err == nil; err = r.sets.look(time.Now()) {
		list, lost, since := r.queue.take()
		if len(list) == 0 && lost == 0 {
			return nil
		}
		err = r.sets.write(list)
		r.sets.miss(lost, since)
		r.count(uint64(len(list)))
		if _, e := r.sets.syncIfDue(time.Now()); err == nil {
			err = e
		}
		if err != nil {
			return err
		}
	}
	return err
}

// count brings the counters up to date, with so many records that were handed to the files.
func (r *run) count(records uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.records += records
	r.lost, r.gaps = r.sets.lost, r.sets.gaps
}

// paused notes why the log is paused, or with nil that it is not, and tells of the change.
func (r *run) paused(err error) {
	problem := ""
	if err != nil {
		problem = err.Error()
	}
	r.mu.Lock()
	before := r.problem
	r.problem = problem
	r.mu.Unlock()
	r.count(0)
	if (before == "") == (problem == "") {
		return
	}
	l := r.log
	if problem == "" {
		r.sets.reason = slowDisk
		l.o.System(TopicName, "The port log goes on", nil)
	} else {
		r.sets.reason = problem
		l.o.SystemFailed(TopicName, "The port log is paused: "+problem)
		l.o.Log.Error("the port log is paused", "reason", problem, "error", errors.Unwrap(err))
	}
	l.o.Tell.Changed(TopicName)
}

// finish writes what is left and closes the files.
func (r *run) finish() {
	err := r.drain(time.Now())
	if err != nil { // what is in the queue is lost
		list, lost, since := r.queue.take()
		r.sets.drop(list)
		r.sets.miss(lost, since)
	}
	if e := r.sets.end(ports.Record{Time: time.Now(), Event: ports.Ended, Reason: r.whyEnded()}); err == nil {
		err = e
	}
	r.paused(err)
	r.whole()
	r.log.ended(r)
}

// whole waits until what is written in the background is.
func (r *run) whole() {
	whole := make(chan struct{})
	go func() {
		defer close(whole)
		r.log.reporter.Wait(context.Background())
	}()
	for {
		select {
		case <-r.grown:
			r.sets.grew(time.Now())
		case <-whole:
			return
		}
	}
}

func (r *run) whyEnded() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reason == ports.LogShutdown {
		return "the appliance stops"
	}
	return "stopped by a user"
}

// head returns the first lines of a set that begins at a time: two, as Port Reporter tells of its
// start.
func (r *run) head(now time.Time) []ports.Record {
	l := r.log
	how := "how sockets are watched is in its status"
	if s, ok := l.o.Engine.Status(); ok {
		how = "tier " + string(s.Tier)
		if s.Cgroup != "" {
			how += ", cgroup " + s.Cgroup
		}
	}
	what := "selects " + r.options.InWords()
	if r.options.Coalesce {
		what += ", one line a connection"
	}
	return []ports.Record{
		{Time: now, Event: ports.Began, Reason: "host " + l.o.Hostname() + ", " + l.o.Product + ", " + how},
		{Time: now, Event: ports.Began, Reason: "files in /diagnostic; " + r.first + "; " + what},
	}
}
