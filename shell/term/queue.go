package term

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"time"
)

// queueLimit is how many bytes may be typed ahead, about five thousand lines. Beyond it the
// terminal is not read: the kernel, sshd and the client hold the rest, and nothing is lost.
const queueLimit = 256 << 10

var errTimeout = errors.New("no key in time")

// queue holds what was typed and not yet read. One goroutine puts; one at a time takes.
type queue struct {
	mu     sync.Mutex
	keys   []key
	size   int
	closed bool

	ready chan struct{} // something was put, or the queue was closed
	room  chan struct{} // something was taken, or the queue was closed
}

func newQueue() *queue {
	return &queue{ready: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

// put appends a key. It waits while the queue is full.
func (q *queue) put(k key) {
	for {
		q.mu.Lock()
		full := q.size >= queueLimit && !q.closed
		if !full && !q.closed {
			q.add(k)
		}
		q.mu.Unlock()
		if !full {
			wake(q.ready)
			return
		}
		<-q.room
	}
}

// add appends a key. Text joins the text before it, so that a line in pieces becomes one run again.
func (q *queue) add(k key) {
	q.size += len(k.seq)
	if last := len(q.keys) - 1; last >= 0 && k.isText() && q.keys[last].isText() && q.keys[last].pasted == k.pasted {
		q.keys[last].seq += k.seq
		return
	}
	q.keys = append(q.keys, k)
}

// flush drops everything that was typed and not read.
func (q *queue) flush() {
	q.mu.Lock()
	q.keys, q.size = nil, 0
	q.mu.Unlock()
	wake(q.room)
}

// close ends the queue. Its reader sees the end at once: the user who would see the effects of the
// rest has gone.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.keys, q.size = nil, 0
	q.mu.Unlock()
	wake(q.ready)
	wake(q.room)
}

// wait returns when a key can be taken (nil), at hang-up (io.EOF), at the deadline (errTimeout;
// zero is never), or when ctx ends (its cause).
func (q *queue) wait(ctx context.Context, deadline time.Time) error {
	var expired <-chan time.Time
	if !deadline.IsZero() {
		timer := time.NewTimer(time.Until(deadline))
		defer timer.Stop()
		expired = timer.C
	}
	for {
		q.mu.Lock()
		closed, some := q.closed, len(q.keys) > 0
		q.mu.Unlock()
		switch {
		case closed:
			return io.EOF
		case some:
			return nil
		}
		select {
		case <-q.ready:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-expired:
			return errTimeout
		}
	}
}

// peek returns the next key without taking it.
func (q *queue) peek() (k key, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.keys) == 0 {
		return key{}, false
	}
	return q.keys[0], true
}

// take removes the next key.
func (q *queue) take() (key, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.keys) == 0 {
		return key{}, false
	}
	return q.pop(), true
}

// takeRune removes the next key; of a run of text, only its first character.
func (q *queue) takeRune() (string, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.keys) == 0 {
		return "", false
	}
	k := q.pop()
	if !k.isText() {
		return k.seq, true
	}
	for i := range k.seq {
		if i > 0 {
			q.push(key{seq: k.seq[i:], pasted: k.pasted})
			return k.seq[:i], true
		}
	}
	return k.seq, true
}

// takeLine removes the next line if all of it was typed already, plain text and Enter, and it is no
// longer than limit.
func (q *queue) takeLine(limit int) (string, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, whole := q.line()
	if !whole {
		return "", false
	}
	var text strings.Builder
	for _, k := range q.keys[:n] {
		text.WriteString(k.seq)
	}
	if text.Len() > limit {
		return "", false
	}
	for range n + 1 {
		q.pop()
	}
	return text.String(), true
}

// line counts the runs of text before the next Enter. whole is false if there is nothing, or
// something other than text.
func (q *queue) line() (n int, whole bool) {
	for n < len(q.keys) && q.keys[n].isText() {
		n++
	}
	return n, n < len(q.keys) && q.keys[n].seq == keyEnter
}

// unread puts a key back as the next one.
func (q *queue) unread(k key) {
	q.mu.Lock()
	if !q.closed {
		q.push(k)
	}
	q.mu.Unlock()
	wake(q.ready)
}

func (q *queue) push(k key) {
	q.keys = append([]key{k}, q.keys...)
	q.size += len(k.seq)
}

func (q *queue) pop() key {
	k := q.keys[0]
	q.keys = q.keys[1:]
	if len(q.keys) == 0 {
		q.keys = nil
	}
	q.size -= len(k.seq)
	wake(q.room)
	return k
}

// wake wakes the goroutine that waits at c, or the next one that will.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
