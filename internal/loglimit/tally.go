package loglimit

import (
	"sync"
	"time"
)

// A Tally counts refusals that cost the client nothing: passwords that are not checked, users of
// the machine without an account. One line in the audit log reports all of one kind within
// tallyTime, so that they push no older lines out.
type Tally struct {
	mu    sync.Mutex
	kind  string
	last  time.Time
	count int
}

const tallyTime = 10 * time.Second

// Add counts a refusal. due reports whether a line is to be written, which is about count of them.
func (t *Tally) Add(kind string) (count int, due bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count++
	count, due = t.count, kind != t.kind || time.Since(t.last) >= tallyTime
	if due {
		t.kind, t.last, t.count = kind, time.Now(), 0
	}
	return count, due
}
