package ssh

import (
	"log/slog"
	"sync"
	"time"
)

// How many lines of the log strangers can cause: so many at once, and from then on one in
// doorLogEvery.
const (
	doorLogBurst = 60
	doorLogEvery = 2 * time.Second
)

// A doorLog is what the log tells about connections that did not log in. Strangers cause its lines,
// so there are only so many, and the next one says how many were left out.
type doorLog struct {
	mu      sync.Mutex
	used    float64 // lines of the burst
	at      time.Time
	leftOut int
}

// tell writes a line if it may.
func (l *doorLog) tell(log *slog.Logger, message string, attributes ...any) {
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

func (l *doorLog) due(now time.Time) (leftOut int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.used = max(0, l.used-float64(now.Sub(l.at))/float64(doorLogEvery))
	l.at = now
	if l.used > doorLogBurst-1 {
		l.leftOut++
		return 0, false
	}
	l.used++
	leftOut, l.leftOut = l.leftOut, 0
	return leftOut, true
}
