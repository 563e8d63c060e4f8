package ssh

import (
	"log/slog"
	"sync"
	"time"
)

// Bounds of what strangers can make the log write: refusalBurst lines at once, and then one in
// refusalEvery.
const (
	refusalBurst = 60
	refusalEvery = 2 * time.Second
)

// A refusalLog bounds the lines about connections that did not log in. The line after a gap says
// how many were left out.
type refusalLog struct {
	mu      sync.Mutex
	used    float64 // lines of the burst
	at      time.Time
	leftOut int
}

// tell writes a line if the bound allows it, otherwise only at level debug.
func (l *refusalLog) tell(log *slog.Logger, message string, attributes ...any) {
	leftOut, ok := l.due(time.Now())
	if !ok {
		log.Debug(message, attributes...)
		return
	}
	if leftOut > 0 {
		attributes = append(attributes, "leftOut", leftOut)
	}
	log.Info(message, attributes...)
}

// due reports whether a line may be written now, and how many were left out before it.
func (l *refusalLog) due(now time.Time) (leftOut int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.used = max(0, l.used-float64(now.Sub(l.at))/float64(refusalEvery))
	l.at = now
	if l.used > refusalBurst-1 {
		l.leftOut++
		return 0, false
	}
	l.used++
	leftOut, l.leftOut = l.leftOut, 0
	return leftOut, true
}
