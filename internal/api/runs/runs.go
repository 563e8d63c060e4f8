// Package runs keeps commands that go on without the connection that began them, and their results
// until they are fetched or expire. A run belongs to the account that began it. Everything is in
// memory: it is gone when the appliance ends, and so is the command.
package runs

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"diagsh/internal/menu"
)

const (
	// MaxRunning is how many runs of an account go on at a time, and MaxKept how many it has with
	// those that have ended: the oldest of these go first.
	MaxRunning = 8
	MaxKept    = 32

	// MaxResult bounds the result of a run in bytes, and maxResults all of them together.
	MaxResult  = 4 << 20
	maxResults = 32 << 20

	// Longest is how long a run may take, and Keep how long its result stays.
	Longest = 24 * time.Hour
	Keep    = time.Hour
)

// The states of a run.
const (
	Running     = "Running"
	Done        = "Done"
	Failed      = "Failed"
	Interrupted = "Interrupted"
)

// errFull ends a run whose result is too large.
var errFull = errors.New("the result of the run is too large")

// A State is what is known of a run.
type State struct {
	ID          string          `json:"run"`
	Command     string          `json:"command"`
	State       string          `json:"state"` // Running, Done, Failed, Interrupted
	StartTime   time.Time       `json:"startTime"`
	EndTime     time.Time       `json:"endTime,omitzero"`
	ExpiryTime  time.Time       `json:"expiryTime,omitzero"`   // when it is forgotten
	Bytes       int             `json:"bytes"`                 // of the result
	ContentType string          `json:"contentType,omitempty"` // of the result
	Error       json.RawMessage `json:"error,omitempty"`       // the problem, if it failed
	Result      string          `json:"resultLocation"`        // path of the result
	User        string          `json:"user"`                  // whose it is
	Token       string          `json:"token,omitempty"`       // by which it was begun
	Full        bool            `json:"resultFull,omitempty"`  // it was ended as its result is too large
}

// A Table has the runs. Its zero value is ready, and its methods may be called from any goroutine.
type Table struct {
	mu      sync.Mutex
	runs    []*Run // the oldest first
	bytes   int    // of all results
	closed  bool
	running sync.WaitGroup
}

// A Run takes the answer of a command that runs in the background: it is the http.ResponseWriter of
// that request.
type Run struct {
	table  *Table
	cancel context.CancelCauseFunc
	done   chan struct{}

	// Under the table's mu:
	state  State
	header http.Header
	status int
	body   []byte
	broken bool // the answer ended before its end

	owner menu.Caller // as it was when the run began
}

// Begin adds a run of a caller. Its identifier is id; cancel ends it.
func (t *Table) Begin(id string, caller menu.Caller, command string, cancel context.CancelCauseFunc) (*Run, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire(time.Now())
	if t.closed {
		return nil, menu.Errorf(menu.State, "The appliance is stopping").WithHint("Try again later")
	}
	own := t.of(caller.User)
	running := 0
	for _, r := range own {
		if r.state.State == Running {
			running++
		}
	}
	if running >= MaxRunning {
		return nil, menu.Errorf(menu.State, "%d commands of %s run in the background, which is the most", running, caller.User).
			WithHint("Wait for one of them, or end it with DELETE")
	}
	for ; len(own) >= MaxKept; own = t.of(caller.User) {
		t.drop(own[slices.IndexFunc(own, func(r *Run) bool { return r.state.State != Running })])
	}
	r := &Run{table: t, cancel: cancel, done: make(chan struct{}), header: http.Header{}, owner: caller, state: State{
		ID: id, Command: command, State: Running, StartTime: time.Now().UTC(), User: caller.User, Token: caller.Token,
		Result: "/v1/runs/" + id + "/result",
	}}
	t.runs = append(t.runs, r)
	t.running.Add(1)
	return r, nil
}

// Close ends all runs and waits for them until ctx ends.
func (t *Table) Close(ctx context.Context) {
	t.mu.Lock()
	t.closed = true
	for _, r := range t.runs {
		r.cancel(context.Canceled)
	}
	t.mu.Unlock()
	ended := make(chan struct{})
	go func() { t.running.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-ctx.Done():
	}
}

// of returns the runs of a user. Called with mu held.
func (t *Table) of(user string) (list []*Run) {
	for _, r := range t.runs {
		if r.state.User == user {
			list = append(list, r)
		}
	}
	return list
}

// expire forgets the runs whose time is over. Called with mu held.
func (t *Table) expire(now time.Time) {
	for _, r := range slices.Clone(t.runs) {
		if !r.state.ExpiryTime.IsZero() && now.After(r.state.ExpiryTime) {
			t.drop(r)
		}
	}
}

// drop forgets a run. Called with mu held.
func (t *Table) drop(r *Run) {
	t.bytes -= len(r.body)
	t.runs = slices.DeleteFunc(t.runs, func(other *Run) bool { return other == r })
}

// List returns the runs that a caller may know, the newest first: all of the own account for a
// person, those of the own token for a program.
func (t *Table) List(caller menu.Caller) []State {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire(time.Now())
	list := []State{}
	for _, r := range slices.Backward(t.runs) {
		if r.belongsTo(caller) {
			list = append(list, r.state)
		}
	}
	return list
}

// Get returns a run that a caller may know.
func (t *Table) Get(caller menu.Caller, id string) (*Run, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire(time.Now())
	for _, r := range t.runs {
		if r.state.ID == id && r.belongsTo(caller) {
			return r, nil
		}
	}
	return nil, menu.Errorf(menu.NotFound, "There is no such run").WithHint("GET /v1/runs lists those of your account")
}

// belongsTo reports whether the run is of the caller's account: one of the same name that was made
// later is another.
func (r *Run) belongsTo(caller menu.Caller) bool {
	return r.state.User == caller.User && r.owner.Account.Equal(caller.Account) && (caller.Token == "" || caller.Token == r.state.Token)
}

// Forget ends a run for the given reason, or forgets one that has ended.
func (r *Run) Forget(reason error) {
	r.table.mu.Lock()
	defer r.table.mu.Unlock()
	if r.state.State == Running {
		r.cancel(reason)
		return
	}
	r.table.drop(r)
}

// State returns what is known of the run.
func (r *Run) State() State {
	r.table.mu.Lock()
	defer r.table.mu.Unlock()
	return r.state
}

// Path returns the path of the run's command in the tree.
func (r *Run) Path() []string { return strings.Fields(r.state.Command) }

// Owner returns the caller who began the run, as it was then.
func (r *Run) Owner() menu.Caller { return r.owner }

// Done returns a channel that is closed when the run has ended.
func (r *Run) Done() <-chan struct{} { return r.done }

// Header implements http.ResponseWriter.
func (r *Run) Header() http.Header { return r.header }

// WriteHeader implements http.ResponseWriter.
func (r *Run) WriteHeader(status int) {
	r.table.mu.Lock()
	defer r.table.mu.Unlock()
	if r.status == 0 && status >= http.StatusOK {
		r.status = status
		r.state.ContentType = r.header.Get("Content-Type")
	}
}

// Write implements http.ResponseWriter. A result that is too large ends the run.
func (r *Run) Write(p []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	r.table.mu.Lock()
	defer r.table.mu.Unlock()
	if len(r.body)+len(p) > MaxResult || !r.table.room(len(p)) {
		r.state.Full = true
		return 0, errFull
	}
	r.body = append(r.body, p...)
	r.table.bytes += len(p)
	r.state.Bytes = len(r.body)
	return len(p), nil
}

// room makes room for more bytes, by forgetting the oldest results. Called with mu held.
func (t *Table) room(more int) bool {
	for t.bytes+more > maxResults {
		i := slices.IndexFunc(t.runs, func(r *Run) bool { return r.state.State != Running && len(r.body) > 0 })
		if i < 0 {
			return false
		}
		t.drop(t.runs[i])
	}
	return true
}

// Flush implements http.Flusher. A result is there at its end.
func (r *Run) Flush() {}

// End notes that the run has ended. interrupted says that it was to end early, broken that its answer
// is not whole.
func (r *Run) End(interrupted, broken bool) {
	r.table.mu.Lock()
	defer r.table.mu.Unlock()
	defer r.table.running.Done()
	s := &r.state
	s.EndTime = time.Now().UTC()
	s.ExpiryTime = s.EndTime.Add(Keep)
	r.broken = broken || s.Full
	switch {
	case interrupted && !s.Full:
		s.State = Interrupted
	case r.broken || r.status >= http.StatusBadRequest:
		s.State = Failed
	default:
		s.State = Done
	}
	if r.status >= http.StatusBadRequest && json.Valid(r.body) {
		s.Error = json.RawMessage(r.body)
	}
	close(r.done)
}

// Answer answers with the result of a run that has ended, as the command would have been answered.
func (r *Run) Answer(w http.ResponseWriter) error {
	r.table.mu.Lock()
	state, header, status, body, broken := r.state, r.header.Clone(), r.status, r.body, r.broken
	r.table.mu.Unlock()
	switch {
	case state.State == Running:
		return menu.Errorf(menu.State, "The command still runs").WithHint("Ask again, or end it with DELETE /v1/runs/%s", state.ID)
	case state.Full:
		return menu.Errorf(menu.State, "The result is larger than the %s that are kept", menu.Size(MaxResult)).
			WithHint("Run the command in the foreground")
	case broken:
		return menu.Errorf(menu.State, "The command ended in the middle of its output")
	}
	for name, values := range header {
		w.Header()[name] = values
	}
	w.WriteHeader(max(status, http.StatusOK))
	w.Write(body) // a peer who has gone cannot be told
	return nil
}
