package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"diagsh/internal/api/runs"
	"diagsh/internal/menu"
	"diagsh/internal/menu/problem"
)

const (
	// leastWait is how long the answer to a request for the background is held back, so that what
	// is refused at once is refused as in the foreground. mostWait bounds the wait that it may ask for.
	leastWait = 50 * time.Millisecond
	mostWait  = time.Minute
)

type runKey struct{}

// nextRun returns the identifier of the run that a request begins.
func nextRun(r *http.Request) string {
	if id, ok := r.Context().Value(runKey{}).(string); ok {
		return id
	}
	return rand.Text()
}

// preference reports whether a request prefers to be answered before the command has ended, and
// after how long (RFC 7240).
func preference(r *http.Request) (async bool, wait time.Duration) {
	for _, field := range r.Header.Values("Prefer") {
		for one := range strings.FieldsFuncSeq(field, func(c rune) bool { return c == ',' || c == ';' }) {
			name, value, _ := strings.Cut(strings.TrimSpace(one), "=")
			switch strings.ToLower(name) {
			case "respond-async":
				async = true
			case "wait":
				if seconds, err := strconv.Atoi(strings.Trim(value, `"`)); err == nil && seconds > 0 {
					wait = min(time.Duration(seconds)*time.Second, mostWait)
				}
			}
		}
	}
	return async, wait
}

// asynchronous runs a command in the background for a request that prefers that, else in the
// foreground. path returns the path of the command.
func (s *Server) asynchronous(path func(*http.Request) []string, h handler) handler {
	return s.once(func(w http.ResponseWriter, r *http.Request, caller menu.Caller) error {
		async, wait := preference(r)
		if !async {
			return h(w, r, caller)
		}
		one, err := s.inBackground(r, caller, path(r), h)
		if err != nil {
			return err
		}
		w.Header().Set("Preference-Applied", "respond-async")
		timer := time.NewTimer(max(wait, leastWait))
		defer timer.Stop()
		select {
		case <-one.Done():
			if wait > 0 || one.State().State != runs.Done {
				w.Header().Del("Preference-Applied")
				defer one.Forget(nil)
				return one.Answer(w)
			}
		case <-timer.C:
		case <-r.Context().Done():
		}
		state := one.State()
		w.Header().Set("Location", "/v1/runs/"+state.ID)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusAccepted)
		return json.NewEncoder(w).Encode(state)
	})
}

// once does a request with an Idempotency-Key once.
func (s *Server) once(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request, caller menu.Caller) error {
		return s.keys.Once(w, r, caller, func(w http.ResponseWriter) error { return h(w, r, caller) })
	}
}

// inBackground begins a command for a session of its own, which lasts as long as the command: the
// account must stay, and the connection need not.
func (s *Server) inBackground(r *http.Request, caller menu.Caller, path []string, h handler) (*runs.Run, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	of, ended, detach, err := s.appliance.Detached(caller.Session)
	if err != nil {
		return nil, err
	}
	id := rand.Text()
	ctx, cancel := context.WithCancelCause(context.WithValue(context.Background(), runKey{}, id))
	one, err := s.background.Begin(id, caller, shown(strings.Join(path, " ")), cancel)
	if err != nil {
		cancel(nil)
		detach()
		return nil, err
	}
	ctx = context.WithValue(ctx, identityKey{}, &identified{session: of.Session})
	request := r.Clone(ctx)
	request.Body = io.NopCloser(bytes.NewReader(body))
	request.Header.Del("Prefer")
	go func() {
		defer detach()
		defer cancel(nil)
		stop := time.AfterFunc(runs.Longest, func() { cancel(errInterrupt) })
		defer stop.Stop()
		go func() {
			select {
			case <-ended:
				cancel(errSessionOver)
			case <-ctx.Done():
			}
		}()
		broken := s.answerInto(one, request, of, h)
		one.End(errors.Is(context.Cause(ctx), errInterrupt), broken)
	}()
	return one, nil
}

var errSessionOver = errors.New("the account may not run this any more")

// answerInto has a handler answer into a run. broken reports that the answer is not whole.
func (s *Server) answerInto(one *runs.Run, r *http.Request, caller menu.Caller, h handler) (broken bool) {
	defer func() {
		if p := recover(); p != nil {
			broken = true
			if p != http.ErrAbortHandler {
				s.log.Error("a run in the background panicked", "what", r.URL.Path, "panic", p)
			}
		}
	}()
	if err := h(one, r, caller); err != nil {
		problem.Write(one, s.AsError(r.URL.Path, err), instanceOf(one))
	}
	return false
}

// A runList is the runs of an account. There are too few of them for a second page.
type runList struct {
	Runs []runs.State `json:"runs"`
	Next string       `json:"nextPageToken"`
}

// listRuns answers with the runs of the caller's account.
func (s *Server) listRuns(w http.ResponseWriter, r *http.Request, caller menu.Caller) error {
	return writeJSON(w, runList{Runs: s.background.List(caller)})
}

// showRun answers with the state of a run.
func (s *Server) showRun(w http.ResponseWriter, r *http.Request, caller menu.Caller) error {
	one, err := s.background.Get(caller, r.PathValue("run"))
	if err != nil {
		return err
	}
	return writeJSON(w, one.State())
}

// resultOfRun answers with what the command of a run answered.
func (s *Server) resultOfRun(w http.ResponseWriter, r *http.Request, caller menu.Caller) error {
	one, err := s.background.Get(caller, r.PathValue("run"))
	if err != nil {
		return err
	}
	if _, err := s.find(caller, one.Path()); err != nil {
		return err
	}
	if began := one.Owner(); !caller.Role.Includes(began.Role) || began.Payload && !caller.Payload {
		return menu.Errorf(menu.Denied, "Your rights are less than when this run began").WithHint("Run the command again")
	}
	return one.Answer(w)
}

// endRun interrupts a run, or forgets one that has ended.
func (s *Server) endRun(w http.ResponseWriter, r *http.Request, caller menu.Caller) error {
	one, err := s.background.Get(caller, r.PathValue("run"))
	if err != nil {
		return err
	}
	one.Forget(errInterrupt)
	w.WriteHeader(http.StatusNoContent)
	return nil
}
