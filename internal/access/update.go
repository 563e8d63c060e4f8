package access

import (
	"encoding/json"
	"time"
)

// A Teller tells those who listen that something has another state now: the things of these names.
// It returns at once and calls nothing, so a room may use it with its locks held. The zero value
// tells nobody.
type Teller func(names ...string)

// Changed tells that the things of these names changed, appeared or went.
func (t Teller) Changed(names ...string) {
	if t != nil {
		t(names...)
	}
}

// An Update is what one topic tells at a time.
type Update struct {
	ID    string // of its place in the order of all updates
	Topic string
	User  string          // who alone may know it; empty: whoever may list what the topic is about
	Data  json.RawMessage // an UpdateData, on one line
}

// UpdateData says which things of a topic have another state.
type UpdateData struct {
	Changed []any    `json:"changed,omitempty"` // as they are now
	Removed []string `json:"removed,omitempty"` // names of those that are not there any more
	// Many says that too many changed to be told one by one: list them anew.
	Many bool `json:"many,omitempty"`
}

// A Listener gets updates until it is closed. It is for one goroutine.
type Listener interface {
	// Wake returns a channel that has a value when Take may return something.
	Wake() <-chan struct{}

	// Take returns the updates since the last call, the oldest first. missed says that others were
	// lost before them, because the listener was too slow or comes back too late.
	Take() (updates []Update, missed bool)

	Close()
}

// A SessionEnd says when a session ends unless something happens. A zero time is an end that does
// not come.
type SessionEnd struct {
	Idle     time.Time // if nothing is heard of the session until then
	Absolute time.Time // whatever happens
	// IdleTimeout is how long after an act Idle is; 0 if that is not known.
	IdleTimeout time.Duration
}

// FilesTopic is the topic of the files of the diagnostic directory, which no command lists.
const FilesTopic = "files"
