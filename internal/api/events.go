package api

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// EventsType is the media type of what changes, as EventSource reads it (HTML, server-sent events).
const EventsType = "text/event-stream"

const (
	// maxStreams is how many streams of events a session has at a time: one for each tab of a
	// browser, and some that the peer has left and the appliance does not know of yet.
	maxStreams = 16

	// quietTime is how long a stream is silent at most. A comment then keeps proxies from ending
	// it, and the caller is looked up.
	quietTime = 15 * time.Second

	// writeTime is how long a reader may take for what is written at a time.
	writeTime = 30 * time.Second
)

// warnBefore are the times before the end of a session at which its streams are told, the longest
// first.
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

// events tells what changes, until the session ends or the peer goes. It is no act of a user: a
// page that shows the state does not keep its session open.
func (s *Server) events(w http.ResponseWriter, r *http.Request, caller menu.Caller) error {
	topics, err := s.topicsOf(r)
	if err != nil {
		return err
	}
	leave, err := s.enterStream(caller.Session)
	if err != nil {
		return err
	}
	defer leave()
	listener := s.appliance.Listen(r.Header.Get("Last-Event-ID"))
	defer listener.Close()
	e := &eventStream{server: s, topics: topics, session: caller.Session, out: newEventWriter(w)}
	w.Header().Set("Content-Type", EventsType)
	w.Header().Set("Cache-Control", "no-store")
	e.out.comment("what changes on " + s.appliance.Hostname())
	if !e.look() || e.out.send() != nil {
		return nil
	}
	quiet := time.NewTicker(s.quietTime)
	defer quiet.Stop()
	ends := time.NewTimer(e.untilWarning())
	defer ends.Stop()
	for {
		select {
		case <-r.Context().Done():
			return nil
		case <-listener.Wake():
		case <-quiet.C:
			e.out.comment("")
		case <-ends.C:
		}
		updates, missed := listener.Take()
		if !e.look() {
			return nil
		}
		e.tell(updates, missed)
		if e.out.send() != nil {
			return nil
		}
		ends.Reset(e.untilWarning())
	}
}

// topicsOf returns the topics that a request names, with the path of the command that lists each;
// all of them if it names none.
func (s *Server) topicsOf(r *http.Request) (map[string][]string, error) {
	all := s.topics()
	query := r.URL.Query().Get("topics")
	if query == "" {
		return all, nil
	}
	wanted := map[string][]string{}
	for name := range strings.SplitSeq(query, ",") {
		path, known := all[name]
		if !known {
			var names []string
			for n := range all {
				names = append(names, n)
			}
			slices.Sort(names)
			return nil, menu.BadArgument("topics", "There is no topic %s", menu.Quoted(shown(name))).
				WithHint("The topics are %s", strings.Join(names, ", "))
		}
		wanted[name] = path
	}
	return wanted, nil
}

// topics returns the topics of events, each with the path of the first command that lists what it
// is about.
func (s *Server) topics() map[string][]string {
	topics := map[string][]string{access.FilesTopic: nil}
	s.tree.Walk(func(path []string, item menu.Item) {
		c, ok := item.(*menu.Command)
		if !ok || c.Topic == "" {
			return
		}
		if _, known := topics[c.Topic]; !known {
			topics[c.Topic] = path
		}
	})
	return topics
}

// enterStream notes a stream of a session, until leave is called.
func (s *Server) enterStream(session string) (leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.streams[session] >= maxStreams {
		return nil, menu.Errorf(menu.State, "%d streams of events are open in this session, which is the most", maxStreams).
			WithHint("Close one of them first")
	}
	s.streams[session]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.streams[session]--; s.streams[session] == 0 {
			delete(s.streams, session)
		}
	}, nil
}

// An eventStream is one reader of events.
type eventStream struct {
	server  *Server
	topics  map[string][]string // the path of the command that lists each
	session string
	out     *eventWriter

	caller menu.Caller // as it was told last
	told   bool        // it was told
	warned time.Duration
}

// look looks up the caller, and tells that the caller's rights are others than before, and when the
// session is about to end. It reports false if the session has ended.
func (e *eventStream) look() bool {
	caller, err := e.server.appliance.Current(e.session)
	if err != nil {
		return false
	}
	left, why := e.left()
	before := e.warned
	e.warned = 0
	for _, limit := range warnBefore {
		if why != "" && left <= limit {
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
	e.out.event("", eventSession, marshaled(event))
	return true
}

// equal reports whether a caller has the same rights as before.
func equal(a, b menu.Caller) bool {
	return string(marshaled(a)) == string(marshaled(b))
}

// left returns the time until the session ends, and why it does; why is empty if it does not.
func (e *eventStream) left() (left time.Duration, why string) {
	end := e.server.appliance.Ending(e.session)
	if !end.Idle.IsZero() {
		left, why = time.Until(end.Idle), "idle"
	}
	if !end.Absolute.IsZero() && (why == "" || end.Absolute.Before(end.Idle)) {
		left, why = time.Until(end.Absolute), "absolute"
	}
	return left, why
}

// untilWarning returns when the next warning may be due.
func (e *eventStream) untilWarning() time.Duration {
	left, why := e.left()
	if why == "" {
		return time.Hour
	}
	for _, limit := range warnBefore {
		if left > limit {
			return left - limit
		}
	}
	return max(left, time.Second)
}

// tell writes the updates that are for the caller.
func (e *eventStream) tell(updates []access.Update, missed bool) {
	if missed {
		e.out.event("", eventMissed, []byte("{}"))
	}
	last := ""
	for _, u := range updates {
		last = u.ID
		if e.may(u) {
			e.out.event(u.ID, u.Topic, u.Data)
			last = ""
		}
	}
	if last != "" { // so that one who comes back is not told that something was missed
		e.out.id(last)
	}
}

// may reports whether the caller may know of an update: whether the caller may run the command that
// lists what it is about.
func (e *eventStream) may(u access.Update) bool {
	path, wanted := e.topics[u.Topic]
	switch {
	case !wanted, u.User != "" && u.User != e.caller.User:
		return false
	case u.Topic == access.FilesTopic:
		return permitFile(e.caller, roleListFiles, access.File{}) == nil
	}
	_, err := e.server.find(e.caller, path)
	return err == nil
}

// marshaled returns the JSON of a value that has one.
func marshaled(v any) json.RawMessage {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // a type of this package that has no JSON
	}
	return text
}
