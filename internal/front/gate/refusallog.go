package gate

import (
	"log/slog"
	"time"

	"diagsh/internal/loglimit"
)

// Bounds of what strangers can make the log write: refusalBurst lines at once, and then one in
// refusalEvery.
const (
	refusalBurst = 60
	refusalEvery = 2 * time.Second
)

// A RefusalLog bounds the lines about connections that did not log in. The line after a gap says
// how many were left out.
type RefusalLog struct{ *loglimit.Limiter }

// NewRefusalLog returns one that has written nothing.
func NewRefusalLog() RefusalLog { return RefusalLog{loglimit.New(refusalBurst, refusalEvery)} }

// Tell writes a line if the bound allows it, otherwise only at level debug.
func (l RefusalLog) Tell(log *slog.Logger, message string, attributes ...any) {
	leftOut, ok := l.Due(time.Now())
	if !ok {
		log.Debug(message, attributes...)
		return
	}
	if leftOut > 0 {
		attributes = append(attributes, "leftOut", leftOut)
	}
	log.Info(message, attributes...)
}
