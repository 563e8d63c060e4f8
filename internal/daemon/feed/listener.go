package feed

import (
	"slices"
	"strconv"
	"strings"

	"diagsh/internal/access"
)

// A listener implements access.Listener.
type listener struct {
	feed *Feed
	wake chan struct{}

	// Under the Feed's mu:
	queue  []access.Update
	missed bool
}

// Wake implements access.Listener.
func (l *listener) Wake() <-chan struct{} { return l.wake }

// Take implements access.Listener.
func (l *listener) Take() (updates []access.Update, missed bool) {
	l.feed.mu.Lock()
	defer l.feed.mu.Unlock()
	updates, missed = l.queue, l.missed
	l.queue, l.missed = nil, false
	return updates, missed
}

// Close implements access.Listener.
func (l *listener) Close() { l.feed.leave(l) }

// add puts updates into the queue. What does not fit takes the place of all that waits: a reader
// that is this slow has to look at everything anew. Called with the Feed's mu held.
func (l *listener) add(updates []access.Update) {
	if len(l.queue)+len(updates) > maxQueue {
		l.queue, l.missed = nil, true
		updates = updates[max(0, len(updates)-maxQueue):]
	}
	l.queue = append(l.queue, updates...)
	l.notify()
}

// resume puts what came after an update into the queue. Called with the Feed's mu held.
func (l *listener) resume(after string) {
	boot, digits, _ := strings.Cut(after, "-")
	number, err := strconv.ParseUint(digits, 10, 64)
	kept := l.feed.kept
	first := l.feed.number - uint64(len(kept)) // of the last update that is not kept
	if boot != l.feed.boot || err != nil || number < first || number > l.feed.number || l.feed.stop == nil {
		l.missed = true
	} else {
		l.queue = slices.Clone(kept[number-first:])
	}
	l.notify()
}

func (l *listener) notify() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}
