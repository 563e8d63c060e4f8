package ssh

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

// A refusalLog bounds the lines about connections that did not log in. The line after a gap says
// how many were left out.
type refusalLog struct{ *loglimit.Limiter }

func newRefusalLog() refusalLog { return refusalLog{loglimit.New(refusalBurst, refusalEvery)} }

// tell writes a line if the bound allows it, otherwise only at level debug.
func (l refusalLog) tell(log *slog.Logger, message string, attributes ...any) {
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
