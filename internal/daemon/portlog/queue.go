package portlog

import (
	"sync"
	"time"

	"diagsh/diag/ports"
)

// queueRecords is how many records wait for the disk: some seconds of a machine that opens 2,000
// connections a second, in about 10 MB.
const queueRecords = 32 << 10

// A queue holds records until the disk takes them. Who puts waits for nothing.
type queue struct {
	wake    chan struct{} // has a value when there is something
	pressed chan struct{} // has a value when the queue is half full

	mu       sync.Mutex
	pending  []ports.Record
	spare    []ports.Record // the memory of those that were taken before
	lost     uint64         // came after those that are pending, and found no place
	lostTime time.Time      // of the first of them
}

func newQueue() *queue { return &queue{wake: make(chan struct{}, 1), pressed: make(chan struct{}, 1)} }

// put adds a record, or counts it as lost. It keeps nothing that the caller may change.
func (q *queue) put(r *ports.Record) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.pending) == queueRecords {
		if q.lost++; q.lost == 1 {
			q.lostTime = r.Time
		}
		return
	}
	q.pending = append(q.pending, kept(r))
	switch len(q.pending) {
	case 1:
		signal(q.wake)
	case queueRecords / 2:
		signal(q.pressed)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// kept returns a copy of a record that stays as it is.
func kept(r *ports.Record) ports.Record {
	c := *r
	if r.BytesSent == nil && r.BytesReceived == nil && r.Seconds == nil {
		return c
	}
	var sums struct { // one allocation for all
		sent, received uint64
		seconds        float64
	}
	if r.BytesSent != nil {
		sums.sent, c.BytesSent = *r.BytesSent, &sums.sent
	}
	if r.BytesReceived != nil {
		sums.received, c.BytesReceived = *r.BytesReceived, &sums.received
	}
	if r.Seconds != nil {
		sums.seconds, c.Seconds = *r.Seconds, &sums.seconds
	}
	return c
}

// take returns what is pending, valid until the next call, and how many records were lost after it.
func (q *queue) take() (list []ports.Record, lost uint64, lostTime time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	list, lost, lostTime = q.pending, q.lost, q.lostTime
	q.pending, q.spare, q.lost = q.spare[:0], list, 0
	return list, lost, lostTime
}
