// Package loglimit bounds how many lines strangers can make a log write.
package loglimit

import (
	"sync"
	"time"
)

// A Limiter allows a burst of lines at once, and then one in an interval. Its methods may be called
// from any goroutine.
type Limiter struct {
	burst int
	every time.Duration

	mu      sync.Mutex
	used    float64 // lines of the burst
	at      time.Time
	leftOut int // since the last line
}

// New returns a Limiter that allows burst lines, and one more for each interval that has passed.
func New(burst int, every time.Duration) *Limiter { return &Limiter{burst: burst, every: every} }

// Due reports whether a line may be written now, and how many were left out before it.
func (l *Limiter) Due(now time.Time) (leftOut int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.used = max(0, l.used-float64(now.Sub(l.at))/float64(l.every))
	l.at = now
	if l.used > float64(l.burst-1) {
		l.leftOut++
		return 0, false
	}
	l.used++
	leftOut, l.leftOut = l.leftOut, 0
	return leftOut, true
}
