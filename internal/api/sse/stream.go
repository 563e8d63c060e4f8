package sse

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// warnBefore are the times before the end of a session at which its streams are told, the longest
// first. Before an idle end they are at most half of the time that a session may be idle: else each
// act of a user would lead to the next warning.
var warnBefore = []time.Duration{5 * time.Minute, time.Minute}

// Events of the stream itself.
const (
	eventSession = "session" // who the caller is, and when the session ends
	eventMissed  = "missed"  // updates were lost: list everything anew
)

// A sessionEvent is the data of eventSession.
type sessionEvent struct {
	Caller menu.Caller `json:"caller"`

	// SecondsLeft is the time until the session ends, unless something is heard of it before, and
	// Why which end that is: idle or absolute. They are there from warnBefore on.
	SecondsLeft float64 `json:"secondsLeft,omitempty"`
	Why         string  `json:"why,omitempty"`
}

// A Caller is who reads a stream, as of now.
type Caller struct {
	// Current returns the caller, or an error if the session has ended.
	Current func() (menu.Caller, error)
	// Ending returns when the session ends.
	Ending func() access.SessionEnd
	// May reports whether the caller may know what changes of a topic, and wants to.
	May func(caller menu.Caller, topic string) bool
}

// A Stream tells one reader what changes.
type Stream struct {
	of  Caller
	out *Writer

	caller menu.Caller   // as it was told last
	told   bool          // it was told
	warned time.Duration // before the end of the session, as it was told last; 0: it is far
}

// New returns a stream that answers a request.
func New(w http.ResponseWriter, of Caller) *Stream { return &Stream{of: of, out: NewWriter(w)} }

// Follow tells what a listener hears, until the session, the reader or ctx ends. It is silent for
// quiet at most.
func (e *Stream) Follow(ctx context.Context, listener access.Listener, quiet time.Duration) {
	if !e.look() || e.out.Send() != nil {
		return
	}
	comments := time.NewTicker(quiet)
	defer comments.Stop()
	ends := time.NewTimer(e.untilWarning())
	defer ends.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-listener.Wake():
		case <-comments.C:
			e.out.Comment("")
		case <-ends.C:
		}
		updates, missed := listener.Take()
		if !e.look() {
			return
		}
		e.tell(updates, missed)
		if e.out.Send() != nil {
			return
		}
		ends.Reset(e.untilWarning())
	}
}

// look looks up the caller, and tells that the caller's rights are others than before, and when the
// session is about to end. It reports false if the session has ended.
func (e *Stream) look() bool {
	caller, err := e.of.Current()
	if err != nil {
		return false
	}
	left, most, why := e.left()
	before := e.warned
	e.warned = 0
	for _, limit := range warnBefore {
		if limit = min(limit, most); why != "" && left <= limit {
			e.warned = limit
		}
	}
	if e.told && e.warned == before && equal(caller, e.caller) {
		return true
	}
	e.caller, e.told = caller, true
	event := sessionEvent{Caller: caller}
	if e.warned > 0 {
		event.SecondsLeft, event.Why = max(left.Seconds(), 0), why
	}
	e.out.Event("", eventSession, marshaled(event))
	return true
}

// equal reports whether a caller has the same rights as before.
func equal(a, b menu.Caller) bool {
	return string(marshaled(a)) == string(marshaled(b))
}

// left returns the time until the session ends, at most how long before that a warning comes, and why
// it ends; why is empty if it does not.
func (e *Stream) left() (left, most time.Duration, why string) {
	end := e.of.Ending()
	most = warnBefore[0]
	if !end.Idle.IsZero() {
		left, why = time.Until(end.Idle), "idle"
		if end.IdleTimeout > 0 {
			most = min(most, end.IdleTimeout/2)
		}
	}
	if !end.Absolute.IsZero() && (why == "" || end.Absolute.Before(end.Idle)) {
		left, most, why = time.Until(end.Absolute), warnBefore[0], "absolute"
	}
	return left, most, why
}

// untilWarning returns when the next warning may be due.
func (e *Stream) untilWarning() time.Duration {
	left, most, why := e.left()
	if why == "" {
		return time.Hour
	}
	for _, limit := range warnBefore {
		if limit = min(limit, most); left > limit {
			return left - limit
		}
	}
	return max(left, time.Second)
}

// tell writes the updates that are for the caller.
func (e *Stream) tell(updates []access.Update, missed bool) {
	if missed {
		e.out.Event("", eventMissed, []byte("{}"))
	}
	last := ""
	for _, u := range updates {
		last = u.ID
		if e.may(u) {
			e.out.Event(u.ID, u.Topic, u.Data)
			last = ""
		}
	}
	if last != "" { // so that one who comes back is not told that something was missed
		e.out.ID(last)
	}
}

// may reports whether an update is for the caller.
func (e *Stream) may(u access.Update) bool {
	return (u.User == "" || u.User == e.caller.User) && e.of.May(e.caller, u.Topic)
}

// marshaled returns the JSON of a value that has one.
func marshaled(v any) json.RawMessage {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // a type of this package that has no JSON
	}
	return text
}
