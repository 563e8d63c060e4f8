package scenarios

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"time"

	"diagsh/capture"
	"diagsh/internal/menu"
)

// A reading is what a table said at one moment.
type reading struct {
	Title   string    `json:"title"`
	Line    string    `json:"line"`
	Time    time.Time `json:"time"` // at which it was begun
	Seconds float64   `json:"seconds"`
	Result  string    `json:"result"` // ok, or the kind of the failure
	Reason  string    `json:"reason,omitempty"`
	Records int       `json:"records"`
	Role    menu.Role `json:"role,omitempty"` // that reading it takes
	Text    string    `json:"text,omitempty"` // its files in the folder of the job
	Data    string    `json:"data,omitempty"`
}

const (
	tableTime  = 30 * time.Second // that a table may take
	tableBytes = 4 << 20          // of its text, and of its records
	jobBytes   = 32 << 20         // of all tables of a job at one moment

	// atOnce is of how many captures the tables are read at a time: they mostly wait, for servers and
	// for the kernel, and those of a capture are to be of its beginning.
	atOnce = 4
)

// readTables has the tables read that are due, those of each capture by a goroutine of its own.
func (r *Room) readTables() {
	known := r.look()
	r.holdLog(known)
	for j, s := range known {
		if r.ctx.Err() != nil || r.boundaryOf() == nil {
			return
		}
		if first, last := r.dueTables(j, s); first || last {
			r.tasks.Go(func() { r.readOf(j, s.StartTime, first) })
		}
	}
	r.wakeMaker()
}

// dueTables reports which tables of a job are due: those of the beginning of its capture, or of its
// end. They are being read from then on.
func (r *Room) dueTables(j *job, s capture.Status) (first, last bool) {
	ended := r.ended(s)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.busy[j] {
		return false, false
	}
	first = j.Folder == "" && s.State != capture.NotStarted
	last = !first && j.Folder != "" && !j.Read && ended
	if first || last {
		r.busy[j] = true
	}
	return first, last
}

// readOf reads tables of a job when few others are being read, and lets look what is due then. begun is
// when its capture began; another one may have the name by now.
func (r *Room) readOf(j *job, begun time.Time, first bool) {
	select {
	case r.slots <- struct{}{}:
	case <-r.ctx.Done():
		return
	}
	read := false
	switch s, err := r.o.Captures.Capture(j.Capture); {
	case err != nil || !s.StartTime.Equal(begun):
	case first:
		read = r.readFirst(j, s)
	default:
		var list []reading
		if list, read = r.readAll(j, "after"); read {
			r.change(j, func() { j.After, j.Read = list, true })
		}
	}
	<-r.slots
	r.mu.Lock()
	delete(r.busy, j)
	if !slices.Contains(r.jobs, j) { // its capture was deleted meanwhile, and the folder made anew
		r.removeFolder(j)
	}
	r.mu.Unlock()
	if read { // what failed is tried again when a capture changes
		r.wake()
	}
}

func (r *Room) boundaryOf() Boundary {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.boundary
}

func (r *Room) wakeMaker() {
	select {
	case r.make <- struct{}{}:
	default:
	}
}

// readFirst reads the tables of a capture that began. One that has ended by now has none of before. It
// reports false if that is to be tried again.
func (r *Room) readFirst(j *job, s capture.Status) bool {
	folder := fmt.Sprintf("%s-%d", j.Capture, s.StartTime.UnixNano())
	if err := r.root.RemoveAll(folder); err != nil {
		r.o.Log.Error("the tables of a capture cannot be kept", "capture", j.Capture, "error", err)
		return false
	}
	var list []reading
	if s.State == capture.Running {
		if err := r.root.MkdirAll(folder, 0o700); err != nil {
			r.o.Log.Error("the tables of a capture cannot be kept", "capture", j.Capture, "error", err)
			return false
		}
		r.mu.Lock()
		j.Folder = folder // so that it is removed with the job
		r.mu.Unlock()
		var ok bool
		if list, ok = r.readAll(j, "before"); !ok {
			r.mu.Lock()
			r.removeFolder(j)
			j.Folder = ""
			r.mu.Unlock()
			return false
		}
	}
	r.change(j, func() { j.Folder, j.Before, j.Begun = folder, list, s.StartTime })
	return true
}

// readAll reads the tables of a job. It reports false if the appliance is being stopped, or the capture
// is deleted.
func (r *Room) readAll(j *job, when string) ([]reading, bool) {
	list := []reading{}
	caller, err := r.callerOf(j)
	left := int64(jobBytes)
	for n, t := range j.Tables {
		one := reading{Title: t.Title, Line: t.Line, Time: now(), Result: menu.Denied.String()}
		switch {
		case err != nil:
			one.Reason = sentence(err)
		case left <= 0:
			one.Result, one.Reason = "left out", fmt.Sprintf("The tables before it have %s already", menu.Size(jobBytes))
		default:
			left -= r.readTable(caller, path.Join(j.Folder, when), n+1, &one)
		}
		if r.ctx.Err() != nil || !r.has(j) {
			return nil, false
		}
		list = append(list, one)
	}
	return list, true
}

// readTable reads a table into the folder, and returns how many bytes it has.
func (r *Room) readTable(caller menu.Caller, folder string, number int, one *reading) int64 {
	kept := &keeper{}
	ctx, cancel := context.WithTimeout(r.ctx, tableTime)
	defer cancel()
	role, err := r.boundaryOf().RunLineWithin(ctx, caller, one.Line, kept)
	one.Seconds = time.Since(one.Time).Round(time.Millisecond).Seconds()
	one.Result, one.Records, one.Role = "ok", kept.records, role
	switch known := menu.AsError(err); {
	case r.ctx.Err() != nil:
		return 0
	case errors.Is(err, errFull):
		one.Reason = fmt.Sprintf("It is larger than %s; the rest is left out", menu.Size(tableBytes))
	case ctx.Err() != nil:
		one.Result, one.Reason = menu.Interrupted.String(), fmt.Sprintf("It took longer than %s", menu.FormatDuration(tableTime))
	case err != nil:
		one.Result, one.Reason = known.Code.String(), known.Error()
	}
	text := []byte(menu.CleanLines(kept.text.String()))
	if err := r.keep(folder, number, text, kept.all(), one); err != nil {
		one.Result, one.Reason = menu.Failed.String(), "It cannot be kept: the disk takes no more"
		r.o.Log.Error("a table cannot be kept", "line", one.Line, "error", err)
		return 0
	}
	return int64(len(text)) + int64(kept.data.Len())
}

// keep writes what a table said.
func (r *Room) keep(folder string, number int, text, data []byte, one *reading) error {
	if err := r.root.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	for _, f := range []struct {
		name    string
		content []byte
		to      *string
	}{{fmt.Sprintf("%02d.txt", number), text, &one.Text}, {fmt.Sprintf("%02d.json", number), data, &one.Data}} {
		if len(f.content) == 0 {
			continue
		}
		if err := r.root.WriteFile(path.Join(folder, f.name), f.content, 0o600); err != nil {
			return err
		}
		*f.to = path.Join(path.Base(folder), f.name)
	}
	return nil
}

// open opens what a table said.
func (r *Room) open(j *job, name string) (*os.File, error) {
	return r.root.Open(path.Join(j.Folder, name))
}

var errFull = errors.New("the table is full")

// A keeper takes what a command says, in both forms, up to tableBytes of each. It is a menu.Sink.
type keeper struct {
	text, data bytes.Buffer
	shape      menu.Shape
	records    int
}

func (k *keeper) Form() menu.Form { return menu.BothForms }

func (k *keeper) Progress(string) {}

func (k *keeper) View(bool) {}

func (k *keeper) Text(text []byte) error {
	if k.text.Len()+len(text) > tableBytes {
		return errFull
	}
	k.text.Write(text)
	return nil
}

func (k *keeper) Data([]byte) error {
	return menu.Errorf(menu.Unsupported, "The output of this command is not a table")
}

// Record keeps whole records only, so that they can be read also when some are left out.
func (k *keeper) Record(v any, shape menu.Shape) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if k.data.Len()+len(text) > tableBytes {
		return errFull
	}
	k.shape = shape
	if k.records++; k.records > 1 && shape == menu.Table {
		k.data.WriteString(",\n")
	}
	k.data.Write(text)
	if shape != menu.Table {
		k.data.WriteByte('\n')
	}
	return nil
}

// all returns the records as one document: an array, an object, or a line each.
func (k *keeper) all() []byte {
	if k.records == 0 || k.shape != menu.Table {
		return k.data.Bytes()
	}
	return fmt.Appendf(nil, "[\n%s\n]\n", k.data.Bytes())
}
