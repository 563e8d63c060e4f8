package operations

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/internal/access"
	"diagsh/internal/menu"
)

var caller = menu.Caller{User: "op", Role: menu.Operator}

// A table has captures by name; true says that one runs.
type table struct {
	mu      sync.Mutex
	runs    map[string]bool
	status  map[string]capture.Status // of those that have another one than that they began now
	deleted []string                  // with their files
}

func (t *table) Capture(name string) (capture.Status, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.runs[name]; !ok {
		return capture.Status{}, menu.Errorf(menu.NotFound, "There is no capture %s", name)
	}
	if s, ok := t.status[name]; ok {
		return s, nil
	}
	return capture.Status{Name: name, StartTime: time.Now()}, nil
}

func (t *table) DeleteCapture(caller menu.Caller, name string) error {
	t.deleted = append(t.deleted, name)
	return t.ForgetCapture(caller, name)
}

func (t *table) StopCapture(_ menu.Caller, name string) (capture.Status, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if runs, ok := t.runs[name]; !ok {
		return capture.Status{}, menu.Errorf(menu.NotFound, "There is no capture %s", name)
	} else if !runs {
		return capture.Status{}, menu.Errorf(menu.State, "The capture %s is not running", name)
	}
	t.runs[name] = false
	return capture.Status{Name: name}, nil
}

func (t *table) ForgetCapture(_ menu.Caller, name string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.runs[name] {
		return menu.Errorf(menu.State, "The capture %s is running", name)
	}
	delete(t.runs, name)
	return nil
}

func open(t *testing.T, dir string, captures Captures) *Room {
	t.Helper()
	r, err := Open(Options{Dir: dir, Captures: captures, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func begin(t *testing.T, r *Room, id, act, name string) func(error) {
	t.Helper()
	end, err := r.BeginOperation(caller, access.Operation{ID: id, Act: act, Capture: name})
	if err != nil {
		t.Fatal(err)
	}
	return end
}

func find(t *testing.T, r *Room, id string) access.Operation {
	t.Helper()
	for _, o := range r.Operations() {
		if o.ID == id {
			return o
		}
	}
	t.Fatalf("there is no operation %s", id)
	return access.Operation{}
}

// How an operation ended is known over a restart, with what its user was told.
func TestOperationsAreKept(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir, &table{})
	begin(t, r, "a-1", access.OperationStop, "one")(nil)
	begin(t, r, "a-2", access.OperationStart, "two")(menu.BadArgument("filters", "It is wrong").WithHint("Mend it"))
	begin(t, r, "a-3", access.OperationStart, "three")(fmt.Errorf("a secret of the machine"))
	for _, id := range []string{"a-1", "", "a b", "../x", strings.Repeat("x", 65)} {
		if _, err := r.BeginOperation(caller, access.Operation{ID: id, Act: access.OperationStop, Capture: "one"}); err == nil {
			t.Errorf("there can be an operation %q", id)
		}
	}
	for _, r := range []*Room{r, open(t, dir, &table{})} {
		if o := find(t, r, "a-1"); o.State != access.OperationSucceeded || o.Fault != nil || o.EndTime.IsZero() || o.User != "op" {
			t.Errorf("the first is %+v", o)
		}
		o := find(t, r, "a-2")
		if o.State != access.OperationFailed || o.Fault == nil ||
			*o.Fault != (access.OperationFault{Kind: "usage", Argument: "filters", Message: "It is wrong", Hint: "Mend it"}) {
			t.Errorf("the second is %+v, %+v", o, o.Fault)
		}
		if o := find(t, r, "a-3"); strings.Contains(o.Fault.Message, "secret") {
			t.Errorf("the third says %s", o.Fault.Message)
		}
		if list := r.Operations(); len(list) != 3 || list[0].ID != "a-3" {
			t.Errorf("the list is %+v", list)
		}
	}
}

// Operations that the death of the appliance has cut off are brought to their ends. None has succeeded whose
// act never came to be.
func TestOperationsThatAreCutOff(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir, &table{})
	for id, o := range map[string]access.Operation{
		"began":    {Act: access.OperationStart, Capture: "began"},
		"not":      {Act: access.OperationStart, Capture: "not"},
		"stop":     {Act: access.OperationStop, Capture: "runs"},
		"stopped":  {Act: access.OperationStop, Capture: "stopped"},
		"stopgone": {Act: access.OperationStop, Capture: "gone"},
		"delete":   {Act: access.OperationDelete, Capture: "persists"},
		"deleted":  {Act: access.OperationDelete, Capture: "gone"},
		"files":    {Act: access.OperationDelete, Capture: "filed", Files: true},
		"cut":      {Act: access.OperationStart, Capture: "interrupted"},
		"never":    {Act: access.OperationStart, Capture: "failed"},
		"refused":  {Act: access.OperationStart, Capture: "older"},
		"later":    {Act: access.OperationStart, Capture: "planned"},
		"unnamed":  {Act: access.OperationStart},
		"all":      {Act: access.OperationDelete, Capture: "ALL"},
	} {
		o.ID = id
		if _, err := r.BeginOperation(caller, o); err != nil {
			t.Fatal(err)
		}
	}
	captures := &table{runs: map[string]bool{"began": true, "runs": true, "stopped": false, "persists": true, "filed": true, "interrupted": false,
		"failed": false, "older": true, "planned": false},
		status: map[string]capture.Status{
			"interrupted": {State: capture.Stopped, StopReason: capture.Interrupted, StartTime: time.Now()},
			"failed":      {State: capture.Error, StopReason: capture.StartFailed, StartTime: time.Now()},
			"older":       {State: capture.Running, StartTime: time.Now().Add(-time.Hour)},
			"planned":     {State: capture.NotStarted},
		}}
	after := open(t, dir, captures)
	after.Start()
	if err := after.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]string{"began": access.OperationSucceeded, "not": access.OperationFailed, "stop": access.OperationSucceeded,
		"stopped": access.OperationSucceeded, "stopgone": access.OperationFailed, "delete": access.OperationSucceeded,
		"deleted": access.OperationSucceeded, "files": access.OperationSucceeded, "cut": access.OperationSucceeded, "never": access.OperationFailed,
		"refused": access.OperationFailed, "later": access.OperationSucceeded, "unnamed": access.OperationFailed, "all": access.OperationFailed} {
		if o := find(t, after, id); o.State != want {
			t.Errorf("%s is %+v", id, o)
		}
	}
	if _, err := captures.Capture("persists"); err == nil || captures.runs["runs"] || !captures.runs["began"] || !slices.Equal(captures.deleted, []string{"filed"}) {
		t.Errorf("the captures are %v, and with their files %v are gone", captures.runs, captures.deleted)
	}
}

// What has ended is known for an hour, and what runs stays; of too many the oldest goes.
func TestOperationsAreForgotten(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir, &table{})
	begin(t, r, "runs", access.OperationStop, "one")
	begin(t, r, "ended", access.OperationStop, "one")(nil)
	r.Sweep(time.Now().Add(keep - time.Minute))
	find(t, r, "ended")
	r.Sweep(time.Now().Add(keep + time.Minute))
	if list := r.Operations(); len(list) != 1 || list[0].ID != "runs" {
		t.Errorf("an hour later there are %+v", list)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "operations.json")); err != nil || strings.Contains(string(data), "ended") {
		t.Errorf("the disk has %s, %v", data, err)
	}
	for i := range mostKept {
		r.list = append(r.list, &access.Operation{ID: fmt.Sprint(i), State: access.OperationSucceeded})
	}
	r.list = r.list[:mostKept]
	begin(t, r, "new", access.OperationStop, "one")
	if list := r.Operations(); len(list) != mostKept || list[mostKept-1].ID != "runs" || list[mostKept-2].ID != "1" {
		t.Errorf("of %d operations the oldest are %+v", len(list), list[len(list)-2:])
	}
}

// An operation that the disk does not take does not begin.
func TestOperationsNeedTheDisk(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir, &table{})
	r.file.Path = filepath.Join(dir, "missing", "operations.json")
	if _, err := r.BeginOperation(caller, access.Operation{ID: "one", Act: access.OperationStop, Capture: "one"}); err == nil || len(r.Operations()) != 0 {
		t.Errorf("it began: %v", r.Operations())
	}
}
