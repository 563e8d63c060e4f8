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

// put adds records that wanted says are to be written, or counts them as lost.
func (q *queue) put(list []ports.Record, wanted func(*ports.Record) bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	before := len(q.pending)
	for i := range list {
		r := &list[i]
		switch {
		case !wanted(r):
		case len(q.pending) < queueRecords:
			q.pending = append(q.pending, *r)
		default:
			if q.lost++; q.lost == 1 {
				q.lostTime = r.Time
			}
		}
	}
	if before == 0 && len(q.pending) > 0 {
		signal(q.wake)
	}
	if before < queueRecords/2 && len(q.pending) >= queueRecords/2 {
		signal(q.pressed)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// take returns what is pending, valid until the next call, and how many records were lost after it.
func (q *queue) take() (list []ports.Record, lost uint64, lostTime time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	list, lost, lostTime = q.pending, q.lost, q.lostTime
	q.pending, q.spare, q.lost = q.spare[:0], list, 0
	return list, lost, lostTime
}
