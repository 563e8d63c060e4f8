package ports

import (
	"net/netip"
	"sync"
	"time"
)

// queued is how many records and flows wait for a watcher before it loses some: seconds at thousands
// of connections a second.
const queued = 32768

type batch struct {
	records []Record
	flows   []Flow
}

// A queue is what one watcher was not told yet. When it is full, the watcher loses what comes; it is
// told how much, and brought up to date, as soon as it has taken what is there.
type queue struct {
	watcher Watcher
	feed    feed
	done    chan struct{} // closed when the watcher is told nothing any more

	mu      sync.Mutex
	ready   sync.Cond
	batches []batch
	waiting int  // records and flows in batches
	ended   bool // nothing comes any more

	// While records are lost: how many were, the serial number of the last socket that the watcher
	// knows of, what ended of those that it knows, and of which flows that is.
	lost  uint64
	known uint64
	ends  batch
	over  map[flowOf]bool
}

// A flowOf tells the flows apart that a watcher knows when it begins to lose some. A flow that is the
// same but for its time began later: processes that take turns with a socket make many of them.
type flowOf struct {
	socket        uint64
	local, remote netip.AddrPort
	pid           int
	exe           string
}

func newQueue(w Watcher, f feed) *queue {
	q := &queue{watcher: w, feed: f, done: make(chan struct{}), over: map[flowOf]bool{}}
	q.ready.L = &q.mu
	return q
}

// put queues records and flows, or counts them as lost. It does not wait.
func (q *queue) put(records []Record, flows []Flow) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.watcher.Records == nil {
		records = nil
	}
	if q.watcher.Flows == nil {
		flows = nil
	}
	n := len(records) + len(flows)
	if n == 0 || q.ended {
		return
	}
	if q.lost == 0 && (q.waiting == 0 || q.waiting+n <= queued) {
		q.batches = append(q.batches, batch{records, flows})
		q.waiting += n
		q.learn(records, flows)
		q.ready.Signal()
		return
	}
	q.miss(records, flows)
}

// learn keeps which sockets the watcher knows of. The lock is held.
func (q *queue) learn(records []Record, flows []Flow) {
	for i := range records {
		q.known = max(q.known, records[i].Socket)
	}
	for i := range flows {
		q.known = max(q.known, flows[i].Socket)
	}
}

// miss counts what is lost and keeps the ends of what the watcher knows. The lock is held.
func (q *queue) miss(records []Record, flows []Flow) {
	for i := range records {
		if r := &records[i]; r.Event == Closed && r.Socket <= q.known {
			q.ends.records = append(q.ends.records, *r)
		} else {
			q.lost++
		}
	}
	for i := range flows {
		f := &flows[i]
		key := flowOf{f.Socket, f.Local, f.Remote, f.PID, f.Exe}
		if !f.Until.IsZero() && f.Socket <= q.known && !q.over[key] {
			q.over[key] = true
			q.ends.flows = append(q.ends.flows, *f)
		} else {
			q.lost++
		}
	}
}

// next waits for what the watcher is to be told. It is false at the end; behind says that records
// were lost, and all that waited was told.
func (q *queue) next() (b batch, behind, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.batches) == 0 && q.lost == 0 && !q.ended {
		q.ready.Wait()
	}
	switch {
	case len(q.batches) > 0:
		b = q.batches[0]
		q.batches[0] = batch{}
		q.batches = q.batches[1:]
		q.waiting -= len(b.records) + len(b.flows)
		return b, false, true
	case q.lost > 0:
		return b, true, true
	}
	return b, false, false
}

func (q *queue) run() {
	defer close(q.done)
	for {
		b, behind, ok := q.next()
		switch {
		case !ok:
			return
		case behind:
			q.feed.held(q.resume)
		default:
			q.call(b)
		}
	}
}

func (q *queue) call(b batch) {
	if len(b.records) > 0 {
		q.watcher.Records(b.records)
	}
	if len(b.flows) > 0 {
		q.watcher.Flows(b.flows)
	}
}

// resume queues what the watcher missed: that there is a gap, what ended, and what is open now and
// was not told. The feed tells nothing meanwhile.
func (q *queue) resume(records []Record, flows []Flow) {
	q.mu.Lock()
	defer q.mu.Unlock()
	b := batch{flows: q.ends.flows}
	if q.watcher.Records != nil {
		b.records = append([]Record{gap(q.lost)}, q.ends.records...)
		for i := range records {
			if records[i].Socket > q.known {
				b.records = append(b.records, records[i])
			}
		}
	}
	if q.watcher.Flows != nil {
		b.flows = append(b.flows, flows...) // again is no harm, and some have other owners by now
	}
	q.learn(b.records, b.flows)
	q.lost, q.ends = 0, batch{}
	clear(q.over)
	q.batches = append(q.batches, b)
	q.waiting += len(b.records) + len(b.flows)
}

// end waits until the watcher was told what is queued.
func (q *queue) end() {
	q.mu.Lock()
	q.ended = true
	q.ready.Signal()
	q.mu.Unlock()
	<-q.done
}

// gap returns the record of lost events.
func gap(lost uint64) Record { return Record{Time: time.Now(), Event: Gap, Lost: lost} }
