package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/menu"
	"diagsh/internal/menu/problem"
)

// RunHeader is the header of a reply with the identifier of the run, for POST interrupt/RUN.
const RunHeader = "Diagsh-Run"

// A run is a command that runs now.
type run struct {
	session string
	cancel  context.CancelCauseFunc

	path  []string        // of the command: a line of input requires the same role
	lines chan menu.Input // nil if it takes none
	ended <-chan struct{}
}

// ResultRunning is the result in the audit log of a command that has not ended yet. The line is
// written longRun after the command began; the line of its end follows.
const (
	ResultRunning = "running"
	longRun       = 10 * time.Second
)

var (
	errInterrupt = errors.New("interrupted by the caller")
	errPeerGone  = errors.New("the caller has gone")
)

// command returns the command of a request, with its path, if the caller may use it.
func (s *Server) command(r *http.Request, caller menu.Caller) (*menu.Command, []string, error) {
	path := pathOf(r)
	c, err := s.commandAt(caller, path)
	return c, path, err
}

// commandAt returns the command at a path, if the caller may use it.
func (s *Server) commandAt(caller menu.Caller, path []string) (*menu.Command, error) {
	item, err := s.find(caller, path)
	if err != nil {
		return nil, err
	}
	c, ok := item.(*menu.Command)
	if !ok {
		return nil, menu.Errorf(menu.NotFound, "%q is a menu, not a command", strings.Join(path, " ")).
			WithHint("Add one of its commands")
	}
	return c, nil
}

// eventOf returns the audit event of an act of the caller on the command at path.
func eventOf(caller menu.Caller, act string, path []string) access.Event {
	return access.Event{Act: act, User: caller.User, Role: caller.Role, Source: caller.Source, Session: caller.Session,
		Token: caller.Token, Path: strings.Join(path, " ")}
}

// refused audits the refusal of an act that led to no run: a dialogue that did not begin, a menu
// that was not shown. It returns err.
func (s *Server) refused(caller menu.Caller, path []string, err error) error {
	if e := menu.AsError(err); err != nil && e.Code == menu.Denied {
		event := eventOf(caller, access.ActRefused, path)
		event.Path = shown(event.Path)
		event.Result, event.Exit, event.Message = e.Code.String(), int(e.Code), menu.MaskedText(e.Error())
		s.appliance.Record(event)
	}
	return err
}

// A form is how a command was asked for: by its path, or as a resource.
type form struct {
	condition func() error // menu.Caller.Condition
	// arguments reads the arguments from the request.
	arguments func(c *menu.Command) (menu.Arguments, error)
	// output returns what takes the output of the command with these arguments.
	output func(c *menu.Command, args menu.Arguments) (runOutput, error)
}

// A runOutput takes the output of a run.
type runOutput interface {
	menu.Sink
	// finish ends the output of a run that ended with err. If it returns an error, nothing was sent,
	// and the caller must send it.
	finish(err error) error
	// stop ensures that nothing is written after the handler has returned.
	stop()
}

// run runs the command at the path of a request.
func (s *Server) run(w http.ResponseWriter, r *http.Request, caller menu.Caller) error {
	return s.perform(w, r, caller, pathOf(r), form{
		arguments: func(c *menu.Command) (menu.Arguments, error) { return argumentsOf(r, c) },
		output: func(c *menu.Command, args menu.Arguments) (runOutput, error) {
			return s.outputFor(w, r, c.ShapeOf(args)), nil
		},
	})
}

// perform runs a command and audits it, however it ends.
func (s *Server) perform(w http.ResponseWriter, r *http.Request, caller menu.Caller, path []string, as form) error {
	act := &act{server: s, began: time.Now()}
	c, err := s.commandAt(caller, path)
	word := ""
	if err == nil {
		// An alias is the same command in the audit log.
		path = slices.Clone(path)
		word, path[len(path)-1] = path[len(path)-1], c.Name
	}
	act.event = eventOf(caller, access.ActCommand, path)
	act.event.Client = shown(menu.Clean(r.Header.Get(access.ClientHeader)))
	if err == nil {
		now, done, changed := s.uses(r, caller, act.event.Path)
		defer done()
		if err = changed; err == nil {
			caller, act.event.Role = now, now.Role
			_, err = s.commandAt(caller, path)
		}
	}
	defer act.record()
	if err != nil {
		act.event.Path = shown(act.event.Path)
		return act.failed(err)
	}
	args, err := as.arguments(c)
	if err != nil {
		return act.failed(err)
	}
	act.event.Arguments = c.Masked(args)
	known := &identityOf(r).repeats
	act.repeated = known.repeated(r, c, act.event.Path, args)
	act.noted = func() { known.recorded(c, act.event.Path, args) }
	caller.Word, caller.Condition = word, as.condition
	caller.Columns, _ = strconv.Atoi(r.URL.Query().Get("columns")) // 0: the width is not bounded
	caller.ASCII = r.URL.Query().Get("characters") == ASCII
	return s.execute(w, r, caller, c, args, path, act, as)
}

// argumentsOf reads the arguments of a command from the body.
func argumentsOf(r *http.Request, c *menu.Command) (menu.Arguments, error) {
	object := map[string]any{}
	if err := readJSON(r, &object); err != nil {
		return nil, err
	}
	return c.FromJSON(object)
}

// execute runs a command that the caller may run, with arguments that were checked.
func (s *Server) execute(w http.ResponseWriter, r *http.Request, caller menu.Caller, c *menu.Command,
	args menu.Arguments, path []string, act *act, as form) error {
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	one := &run{session: caller.Session, cancel: cancel, path: path, ended: ctx.Done()}
	typing := typingOf(r, c, args)
	if typing.Lines != nil {
		one.lines = make(chan menu.Input)
		typing.Lines = one.lines
	}
	id := nextRun(r)
	if err := s.begin(id, one); err != nil {
		return act.failed(err)
	}
	defer s.end(id)
	defer act.tellWhenLong()()

	w.Header().Set(RunHeader, id)
	out, err := as.output(c, args)
	if err != nil {
		return act.failed(err)
	}
	defer out.stop()
	if typed, ok := out.(*output); ok {
		typed.typing = typing
	}
	err = c.Run(ctx, caller, args, s.mayReadPackets(caller), out)
	var known *menu.Error
	switch {
	case err == nil, errors.As(err, &known):
	case errors.Is(context.Cause(ctx), errInterrupt):
		err = menu.Errorf(menu.Interrupted, "Interrupted")
	case errors.Is(err, errPeerGone), r.Context().Err() != nil:
		err = menu.Errorf(menu.Interrupted, "The caller has gone") // not a failure of the command
	}
	if err != nil {
		err = act.failed(err)
	} else {
		act.event.Result = "ok"
	}
	return out.finish(err)
}

// An act is a request for a command on its way into the audit log.
type act struct {
	server   *Server
	began    time.Time
	event    access.Event
	repeated bool   // its success needs no line
	noted    func() // called after its success has a line, if it is not nil
}

// failed notes the failure of the act, and returns it as the caller is told it.
func (a *act) failed(err error) error {
	e := a.server.AsError(a.event.Path, err)
	a.event.Result, a.event.Exit, a.event.Message = e.Code.String(), int(e.Code), menu.MaskedText(e.Error())
	if e.Code == menu.Denied {
		a.event.Act = access.ActRefused
	}
	return e
}

// tellWhenLong records the act as running after longRun, unless the caller calls ended before.
// Without it the audit log would not have a command that hangs, or that the end of the appliance
// cuts off.
func (a *act) tellWhenLong() (ended func() bool) {
	running := a.event
	running.Result = ResultRunning
	return time.AfterFunc(a.server.longRun, func() { a.server.appliance.Record(running) }).Stop
}

// record writes the line of the act's end.
func (a *act) record() {
	succeeded := a.event.Result == "ok"
	if a.repeated && succeeded {
		return
	}
	// Rounded up: in the audit log a line without seconds is of something that takes no time.
	a.event.Seconds = (time.Since(a.began) + time.Millisecond - 1).Truncate(time.Millisecond).Seconds()
	a.server.appliance.Record(a.event)
	if succeeded && a.noted != nil {
		a.noted()
	}
}

// begin notes a run by its identifier.
func (s *Server) begin(id string, one *run) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := 0
	for _, other := range s.runs {
		if other.session == one.session {
			own++
		}
	}
	if own >= maxRuns {
		return problem.TooMany(time.Second, "%d commands run in this session, which is the most", own).
			WithHint("Wait for one of them, or interrupt it")
	}
	s.runs[id] = one
	return nil
}

func (s *Server) end(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.runs, id)
}

// interrupt asks one of the caller's own runs to end.
func (s *Server) interrupt(w http.ResponseWriter, r *http.Request, caller menu.Caller) error {
	s.mu.Lock()
	running := s.runs[r.PathValue("run")]
	s.mu.Unlock()
	if running == nil || running.session != caller.Session {
		return menu.Errorf(menu.NotFound, "No such run in this session")
	}
	running.cancel(errInterrupt)
	return writeJSON(w, struct{}{})
}
