// Package operations keeps what became of acts on captures that were given a name. A program that does
// not wait for the end of an act asks here, also after the appliance has started again.
//
// An operation is on the disk before its act begins. One that the death of the appliance has cut off is
// brought to its end by the next start: what was to be stopped or deleted is. A start has succeeded if its
// capture began, also where the same death ended that.
package operations

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"diagsh/capture"
	"diagsh/internal/access"
	"diagsh/internal/daemon/store"
	"diagsh/internal/menu"
)

const (
	// keep is how long an operation that has ended is known.
	keep = time.Hour
	// mostKept bounds the operations that are known; of those that have ended the oldest go first.
	mostKept = 1000
	// mostName is the most bytes that the name of an operation has.
	mostName = 64
)

// Captures are acts on captures.
type Captures interface {
	Capture(name string) (capture.Status, error)
	StopCapture(caller menu.Caller, name string) (capture.Status, error)
	ForgetCapture(caller menu.Caller, name string) error
	DeleteCapture(caller menu.Caller, name string) error
}

// Options are what a Room needs of the rooms around it.
type Options struct {
	Dir      string // the data directory
	Captures Captures
	SetAside func(store.Damage)
	Log      *slog.Logger
}

// A file is the content of operations.json.
type file struct {
	Operations []*access.Operation `json:"operations"`
}

// A Room has the operations. Its methods may be called from any goroutine.
type Room struct {
	captures Captures
	log      *slog.Logger
	file     store.JSON[file]
	tasks    sync.WaitGroup

	storing sync.Mutex // held while the file is written; taken before mu

	mu      sync.Mutex
	list    []*access.Operation // the oldest first
	cutOff  []*access.Operation // that ran when the appliance before died
	unsaved bool
}

// Open reads the operations.
func Open(o Options) (*Room, error) {
	r := &Room{captures: o.Captures, log: o.Log,
		file: store.JSON[file]{Path: filepath.Join(o.Dir, "operations.json"), Version: 1, SetAside: o.SetAside}}
	var known file
	if _, err := r.file.Load(&known); err != nil {
		return nil, err
	}
	r.list = slices.DeleteFunc(known.Operations, func(o *access.Operation) bool { return o == nil })
	for _, one := range r.list {
		if one.State == access.OperationRunning {
			r.cutOff = append(r.cutOff, one)
		}
	}
	return r, nil
}

// Start brings to their end the operations that the death of the appliance has cut off. By then the
// captures know what is left of each.
func (r *Room) Start() {
	for _, one := range r.cutOff {
		r.tasks.Go(func() { r.end(one, r.finish(*one)) })
	}
	r.cutOff = nil
}

// finish does what is left to do of an operation, and returns how it ended.
func (r *Room) finish(o access.Operation) error {
	if o.Capture == "" || o.Capture == capture.All {
		return menu.Errorf(menu.Failed, "The appliance ended meanwhile, and this names no single capture").
			WithHint("The list of captures says what is there")
	}
	status, err := r.captures.Capture(o.Capture)
	switch {
	case o.Act == access.OperationStart:
		return begun(o, status, err)
	case o.Act == access.OperationDelete && isMissing(err):
		return nil
	}
	caller := menu.Caller{User: o.User}
	if _, err = r.captures.StopCapture(caller, o.Capture); isState(err) {
		err = nil // it does not run
	}
	switch {
	case err != nil || o.Act != access.OperationDelete:
		return err
	case o.Files:
		return r.captures.DeleteCapture(caller, o.Capture)
	}
	return r.captures.ForgetCapture(caller, o.Capture)
}

// begun returns why a start that was cut off has failed. status is of the capture of its name as it is now,
// and err why there is none. One that began before the start is another capture, or is what it was before.
func begun(o access.Operation, status capture.Status, err error) error {
	if err != nil && !isMissing(err) {
		return err
	}
	planned := status.State == capture.NotStarted
	if err == nil && status.StopReason != capture.StartFailed && (planned || !status.StartTime.Before(o.StartTime)) {
		return nil
	}
	return menu.Errorf(menu.Failed, "The appliance ended before the capture began").WithHint("Start it again")
}

// isMissing reports whether an error says that there is no capture of a name.
func isMissing(err error) bool { return err != nil && menu.AsError(err).Code == menu.NotFound }

// isState reports whether an error says that a capture is not in the state for an act.
func isState(err error) bool { return err != nil && menu.AsError(err).Code == menu.State }

// Close waits until ctx ends for the operations that Start has taken up.
func (r *Room) Close(ctx context.Context) error {
	ended := make(chan struct{})
	go func() { r.tasks.Wait(); close(ended) }()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return errors.New("some operations have not ended; the next start ends them")
	}
}

// Sweep forgets the operations whose time is over, and writes what could not be written.
func (r *Room) Sweep(now time.Time) {
	r.mu.Lock()
	before := len(r.list)
	r.list = slices.DeleteFunc(r.list, func(o *access.Operation) bool {
		return o.State != access.OperationRunning && now.Sub(o.EndTime) > keep
	})
	write := r.unsaved || len(r.list) < before
	r.mu.Unlock()
	if write {
		r.save()
	}
}

// BeginOperation notes that an act on a capture begins: its identifier, the act and the capture, and of a
// delete whether the files go. It returns when that is safe on the disk. The caller calls end once, with the
// error of the act.
func (r *Room) BeginOperation(caller menu.Caller, o access.Operation) (end func(error), err error) {
	if o.ID == "" || len(o.ID) > mostName || strings.Trim(o.ID, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != "" {
		return nil, menu.BadArgument("operation", "%s is not a name for an operation", menu.Quoted(menu.Bounded(o.ID, mostName))).
			WithHint("It has at most %d letters, digits and hyphens", mostName)
	}
	o.User, o.State, o.StartTime = caller.User, access.OperationRunning, time.Now().UTC()
	one := &o
	if err := r.add(one); err != nil {
		return nil, err
	}
	if err := r.save(); err != nil {
		r.drop(one)
		return nil, menu.Failing("note the operation", err)
	}
	return func(err error) { r.end(one, err) }, nil
}

// add puts an operation into the list, and makes room for it.
func (r *Room) add(one *access.Operation) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.ContainsFunc(r.list, func(o *access.Operation) bool { return o.ID == one.ID }) {
		return &menu.Error{Code: menu.State, Argument: "operation", Message: "There is an operation " + one.ID + " already",
			Hint: "Choose another name"}
	}
	if len(r.list) >= mostKept {
		oldest := slices.IndexFunc(r.list, func(o *access.Operation) bool { return o.State != access.OperationRunning })
		if oldest < 0 {
			return menu.Errorf(menu.State, "%d operations run, which is the most", len(r.list)).WithHint("Wait for one of them")
		}
		r.list = slices.Delete(r.list, oldest, oldest+1)
	}
	r.list = append(r.list, one)
	return nil
}

// drop forgets an operation that did not begin.
func (r *Room) drop(one *access.Operation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = slices.DeleteFunc(r.list, func(o *access.Operation) bool { return o == one })
}

// end notes how an operation ended. Where the disk does not take it, the next Sweep tries again.
func (r *Room) end(one *access.Operation, err error) {
	r.mu.Lock()
	one.State, one.EndTime = access.OperationSucceeded, time.Now().UTC()
	if err != nil {
		e := menu.AsError(err)
		one.State = access.OperationFailed
		one.Fault = &access.OperationFault{Kind: e.Code.String(), Argument: e.Argument, Message: e.Message, Hint: e.Hint}
	}
	r.mu.Unlock()
	if err := r.save(); err != nil {
		r.log.Error("the end of an operation cannot be written", "operation", one.ID, "error", err)
	}
}

// save writes the operations as they are now.
func (r *Room) save() error {
	r.storing.Lock()
	defer r.storing.Unlock()
	r.mu.Lock()
	data, err := r.file.Encode(file{r.list})
	r.mu.Unlock()
	if err == nil {
		err = store.Replace(r.file.Path, data)
	}
	r.mu.Lock()
	r.unsaved = err != nil
	r.mu.Unlock()
	return err
}

// Operations returns the operations that are known, the newest first.
func (r *Room) Operations() []access.Operation {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]access.Operation, 0, len(r.list))
	for _, one := range slices.Backward(r.list) {
		list = append(list, *one)
	}
	return list
}
