package portlog

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"time"

	"diagsh/diag/ports"
	"diagsh/internal/access"
	"diagsh/internal/menu"
)

const (
	// watchWait is how long the engine may take to begin, and stopWait how long a user waits for the
	// files to be finished.
	watchWait = 20 * time.Second
	stopWait  = 30 * time.Second
)

// PortLogSettings returns what the log starts with where its request says nothing else.
func (l *Log) PortLogSettings() ports.LogSettings {
	l.mu.Lock()
	defer l.mu.Unlock()
	return ports.LogSettings{LogOptions: l.current.Normal()}
}

// SetPortLogSettings changes the settings that are given, for logs to come.
func (l *Log) SetPortLogSettings(caller menu.Caller, given ports.PartialLog) error {
	l.changing.Lock()
	defer l.changing.Unlock()
	if err := caller.CheckCondition(); err != nil {
		return err
	}
	before := l.PortLogSettings().LogOptions
	next := given.Over(before).Normal()
	if err := next.Check(); err != nil {
		return optionError(err)
	}
	if err := l.set(next); err != nil {
		l.mu.Lock()
		l.current = before
		l.mu.Unlock()
		return menu.Failing("save the settings", err)
	}
	return nil
}

// set makes settings hold, and saves them.
func (l *Log) set(o ports.LogOptions) error {
	l.mu.Lock()
	l.current = o
	l.mu.Unlock()
	if err := l.save(); err != nil {
		return err
	}
	l.o.Settled.Changed(TopicName)
	return nil
}

// optionError says of a wrong option which argument it is.
func optionError(err error) error {
	var selection *ports.SelectionError
	if errors.As(err, &selection) {
		return menu.BadArgument(strings.ToLower(selection.Member), "%s is not %s", menu.Quoted(selection.Value), selection.Wants)
	}
	var option *ports.LogOptionError
	if errors.As(err, &option) {
		return menu.BadArgument(strings.ToLower(option.Member), "%s must be %s", option.Member, option.Wants)
	}
	return menu.Failing("read the options", err)
}

// StartPortLog begins the log.
func (l *Log) StartPortLog(caller menu.Caller, request ports.LogRequest) (ports.LogStatus, error) {
	l.changing.Lock()
	defer l.changing.Unlock()
	if err := caller.CheckCondition(); err != nil {
		return ports.LogStatus{}, err
	}
	l.mu.Lock()
	base, running, owner := l.current, l.run != nil, l.last.Owner
	l.mu.Unlock()
	if running {
		return ports.LogStatus{}, menu.Errorf(menu.State, "The port log is running, started by %s", owner).
			WithHint("Stop it first, or read it with show")
	}
	if request.Defaults {
		base = ports.FirstLogOptions()
	}
	options := request.Over(base).Normal()
	if err := options.Check(); err != nil {
		return ports.LogStatus{}, optionError(err)
	}
	if err := l.begin(options, caller.User, "started by "+caller.User, true); err != nil {
		return ports.LogStatus{}, err
	}
	return l.PortLogStatus(), nil
}

// begin begins a log. With must it is refused where it would be paused at once. Called with changing
// held.
func (l *Log) begin(o ports.LogOptions, owner, first string, must bool) error {
	r, err := newRun(l, o, first)
	if err != nil {
		return optionError(err)
	}
	now := time.Now()
	if err := r.sets.room(); err != nil && must {
		return menu.Errorf(menu.State, "%s", err).WithHint("Delete files of the diagnostic directory first")
	}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return errStopping
	}
	before := l.last
	l.last = ports.LogStatus{State: ports.LogRunning, Start: now, Owner: owner, LogOptions: o}
	l.run = r
	l.mu.Unlock()
	// Saved before the start, so that a death in the next moment is known as one.
	if err := errors.Join(l.save(), r.sets.next(now)); err != nil && must {
		l.abandon(before)
		close(r.done)
		r.sets.close()
		return menu.Failing("begin the files of the port log", err)
	}
	go r.write()
	ctx, cancel := context.WithTimeout(context.Background(), watchWait)
	defer cancel()
	if err := r.watch(ctx); err != nil {
		r.stop(ports.LogInterrupted)
		<-r.done
		return menu.Failing("watch the sockets", err)
	}
	l.o.Tell.Changed(TopicName)
	return nil
}

// abandon forgets a log that could not begin.
func (l *Log) abandon(before ports.LogStatus) {
	l.mu.Lock()
	l.last, l.run = before, nil
	l.mu.Unlock()
	if err := l.save(); err != nil {
		l.o.Log.Error("the state of the port log cannot be written", "error", err)
	}
}

var (
	errStopping   = menu.Errorf(menu.State, "The appliance is stopping")
	errNotRunning = menu.Errorf(menu.State, "The port log is not running").WithHint("Start it with start")
)

// StopPortLog ends the log. It returns when the files are finished, at most after stopWait.
func (l *Log) StopPortLog(menu.Caller) (ports.LogStatus, error) {
	l.changing.Lock()
	defer l.changing.Unlock()
	l.mu.Lock()
	r := l.run
	l.mu.Unlock()
	if r == nil {
		return ports.LogStatus{}, errNotRunning
	}
	r.stop(ports.LogStoppedByUser)
	limit := time.NewTimer(stopWait)
	defer limit.Stop()
	select {
	case <-r.done:
		return l.PortLogStatus(), nil
	case <-limit.C:
		return l.PortLogStatus(), menu.Errorf(menu.Failed, "The port log is stopping, but its files are not finished yet").
			WithHint("Its status will tell when they are")
	}
}

// EndPortLog ends the log if it runs.
func (l *Log) EndPortLog(caller menu.Caller) error {
	_, err := l.StopPortLog(caller)
	if menu.AsError(err) == errNotRunning {
		return nil
	}
	return err
}

// ended notes the end of a run, whose files are closed.
func (l *Log) ended(r *run) {
	r.mu.Lock()
	l.mu.Lock()
	l.last = r.status(l.last)
	l.last.State, l.last.StopReason, l.last.End, l.run = ports.LogStopped, r.reason, time.Now(), nil
	l.mu.Unlock()
	r.mu.Unlock()
	if err := l.save(); err != nil {
		l.o.Log.Error("the state of the port log cannot be written", "error", err)
	}
	l.o.Tell.Changed(TopicName)
}

// status returns what is known of a log with the numbers of its run. Called with r.mu held.
func (r *run) status(s ports.LogStatus) ports.LogStatus {
	s.State, s.Problem = ports.LogRunning, r.problem
	if r.problem != "" {
		s.State = ports.LogPaused
	}
	s.Records, s.RecordsLost, s.GapsWritten = r.records, r.lost, r.gaps
	return s
}

// PortLogStatus returns what the log does, or did last.
func (l *Log) PortLogStatus() ports.LogStatus {
	l.mu.Lock()
	s, r := l.last, l.run
	l.mu.Unlock()
	if r != nil {
		r.mu.Lock()
		s = r.status(s)
		r.mu.Unlock()
		if e, ok := l.o.Engine.Status(); ok {
			s.Engine = &e
		}
	}
	if s.State == ports.LogNotStarted {
		s.LogOptions = l.PortLogSettings().LogOptions
	}
	s.LogOptions = s.Normal()
	sets, err := l.stretches()
	if err != nil {
		l.o.Log.Error("the files of the port log cannot be listed", "error", err)
	}
	for _, one := range sets {
		if s.Oldest.IsZero() || one.begin.Before(s.Oldest) {
			s.Oldest = one.begin
		}
		s.Sets, s.Bytes = s.Sets+1, s.Bytes+one.bytes
		if main := one.main(); l.writes(main) {
			s.File = main
		}
	}
	return s
}

// Losses lists what Reset takes away.
func (l *Log) Losses() []access.Loss {
	if sameOptions(l.PortLogSettings().LogOptions, ports.FirstLogOptions()) {
		return nil
	}
	return []access.Loss{{What: "settings of the port log", Count: 1, Detail: "what it selects, its format and bounds"}}
}

// Reset makes the log begin as on a new appliance, and forgets one that ended. It ends none and
// deletes no file.
func (l *Log) Reset() error {
	l.changing.Lock()
	defer l.changing.Unlock()
	l.mu.Lock()
	if l.run == nil {
		l.last = ports.LogStatus{State: ports.LogNotStarted}
	}
	l.mu.Unlock()
	return l.set(ports.FirstLogOptions())
}

func sameOptions(a, b ports.LogOptions) bool { return reflect.DeepEqual(a.Normal(), b.Normal()) }
