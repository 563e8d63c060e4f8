package daemon

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"diagsh/capture"
	"diagsh/capture/afpacket"
	"diagsh/capture/pcapfile"
	"diagsh/internal/access"
	"diagsh/internal/daemon/settings"
	"diagsh/internal/daemon/store"
	"diagsh/internal/menu"
)

// captures is the one table of captures, for all users and front ends.
type captures struct {
	files    *os.Root
	path     string // of the diagnostic directory
	store    store.JSON[capturesFile]
	settings store.JSON[settingsFile]
	volume   *pcapfile.Volume
	rings    *afpacket.Spare

	tasks *sync.WaitGroup // of the appliance; each capture that is reserved is one

	mu      sync.Mutex
	records []*record // in the order of their starts
	closed  bool

	unhurried sync.Once // that threads are not urgent was said

	unkept  atomic.Bool // the table could not be written as it is
	storing sync.Mutex  // held while the table is written; taken before mu, which is not held meanwhile

	changing   sync.Mutex // held while the settings are changed, which can take a look-up of names; taken before settingsMu
	settingsMu sync.Mutex
	current    capture.Settings
}

// A record is one capture, running or ended.
type record struct {
	Status    capture.Status `json:"status"`             // as it ended; while it runs, as it was when the table was written
	Spec      capture.Spec   `json:"spec"`               // what it was begun with
	File      string         `json:"file"`               // the name that its file gets; those of several have numbers in it
	Payload   bool           `json:"payload"`            // the files hold more than headers
	Queued    map[string]int `json:"queued,omitempty"`   // by target that wants all: the number of the last file that was queued for it
	Unqueued  bool           `json:"unqueued,omitempty"` // its files are not queued yet for the targets that want all
	filter    *captureFilter // of its last run; nil if there was none since the appliance began
	job       *capture.Job   // nil: it does not run
	busy      bool           // somebody works on it: its job is being made, or its files are finished or removed
	cancelled chan struct{}  // closed when it is not to begin any more; nil unless it waits for its time
	memory    int64          // that it has
}

// status is the capture as it is now.
func (r *record) status() capture.Status {
	s := r.Status
	if r.job != nil {
		s = r.statusOf(r.job)
	}
	s.Interfaces = slices.Clone(s.Interfaces)
	s.Files = slices.Clone(s.Files)
	if s.Files == nil {
		s.Files = []capture.FileInfo{}
	}
	return s
}

// statusOf is the status of the capture's job, with what the filter has left out.
func (r *record) statusOf(job *capture.Job) capture.Status {
	s := job.Status()
	if r.filter != nil {
		s.InterfacesLeftOut = r.filter.leftOut()
	}
	return s
}

// statusOf is that of a record for who does not hold the table.
func (c *captures) statusOf(r *record, job *capture.Job) capture.Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return r.statusOf(job)
}

// filters notes by which filter a capture is about to run.
func (c *captures) filters(r *record, f *captureFilter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r.filter = f
}

// ended reports whether the capture needs its file no more.
func (r *record) ended() bool { return r.job == nil && !r.busy }

// stopWait is how long StopCapture waits for a file to be finished, and startWait how long a filter's host names may take.
const (
	stopWait  = 30 * time.Second
	startWait = 10 * time.Second
)

// reserve takes a name and writes down that the capture is about to run, so that its file is known even if the appliance dies in
// the next moment. Whoever reserves ends the task that this adds.
func (c *captures) reserve(spec capture.Spec, caller menu.Caller, expression string, conf *settings.Settings, interfaces []capture.Interface) (*record, error) {
	spec.Format = spec.FileFormat(len(interfaces))
	r := &record{Payload: !spec.HeadersOnly, busy: true, Spec: spec, Status: spec.Status()}
	s := &r.Status
	s.State, s.EffectiveFilter, s.StartTime, s.Owner, s.Interfaces = capture.Running, expression, time.Now(), caller.User, nil
	for _, i := range interfaces {
		r.Status.Interfaces = append(r.Status.Interfaces, i.Name)
	}
	if err := c.add(r, conf); err != nil {
		return nil, err
	}
	if err := c.keep(); err != nil {
		c.drop(r)
		c.tasks.Done()
		return nil, err
	}
	return r, nil
}

// add puts a capture into the table, with a name and a name for its file.
func (c *captures) add(r *record, conf *settings.Settings) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.room(conf); err != nil {
		return err
	}
	s := &r.Status
	if s.Name == "" {
		s.Name = c.nextName()
	} else if _, taken := c.find(s.Name); taken {
		return &menu.Error{Code: menu.State, Argument: "name", Message: "There is a capture " + s.Name + " already",
			Hint: "Choose another name, or delete that one"}
	}
	r.Spec.Name = s.Name
	r.File = c.freeFileName(conf.Hostname(), s.Name, s.StartTime, s.Format)
	c.records = append(c.records, r)
	c.tasks.Add(1)
	return nil
}

// room tells whether one more capture may run.
func (c *captures) room(conf *settings.Settings) error {
	if c.closed {
		return menu.Errorf(menu.State, "The appliance is stopping")
	}
	running := 0
	for _, other := range c.records {
		if !other.ended() {
			running++
		}
	}
	if running >= conf.CaptureRules().Running {
		return menu.Errorf(menu.State, "%d captures are running, which is the most", running).WithHint("Stop one of them first")
	}
	return nil
}

// drop takes a capture out of the table.
func (c *captures) drop(r *record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.records = slices.DeleteFunc(c.records, func(other *record) bool { return other == r })
}

// nextName is capture-N with the number after the highest in the table.
func (c *captures) nextName() string {
	const prefix = "capture-"
	highest := 0
	for _, r := range c.records {
		if digits, ok := strings.CutPrefix(r.Status.Name, prefix); ok {
			if n, err := strconv.Atoi(digits); err == nil && n > highest && n < 1<<30 {
				highest = n
			}
		}
	}
	return prefix + strconv.Itoa(highest+1)
}

// freeFileName is HOST-NAME-YYYYMMDD-HHMMSS in UTC with its extension. A capture that follows another of its name within the
// second gets the next free second: a number behind that would say that it is a part of the other.
func (c *captures) freeFileName(host, name string, now time.Time, format capture.Format) string {
	for {
		file := host + "-" + name + "-" + now.UTC().Format("20060102-150405") + format.Extension()
		if !c.taken(file) {
			return file
		}
		now = now.Add(time.Second)
	}
}

func (c *captures) taken(file string) bool {
	for _, name := range []string{file, capture.NumberedName(file, 1)} {
		for _, name := range []string{name, capture.PartName(name)} {
			if _, err := c.files.Lstat(name); err == nil {
				return true
			}
		}
	}
	return slices.ContainsFunc(c.records, func(r *record) bool { return r.File == file })
}

func (c *captures) find(name string) (*record, bool) {
	i := slices.IndexFunc(c.records, func(r *record) bool { return r.Status.Name == name })
	if i < 0 {
		return nil, false
	}
	return c.records[i], true
}

// began notes that the capture runs.
func (c *captures) began(r *record, job *capture.Job) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r.job, r.busy = job, false
	r.Unqueued = true
	if c.closed { // The appliance began to stop meanwhile.
		job.Stop(capture.Shutdown)
	}
}

// await waits for the end of a capture and keeps it. An end that no user asked for goes into the audit log; the command of a user
// is there already.
func (d *Daemon) await(r *record, job *capture.Job) {
	<-job.Done()
	s := d.captures.statusOf(r, job)
	d.captures.ended(r, job, s)
	d.exportCapture(r, s)
	d.keepCaptures()
	if err := job.Err(); err != nil {
		d.log.Error("a capture ended", "name", s.Name, "reason", s.StopReason, "error", err)
	}
	if s.StopReason != capture.StoppedByUser {
		d.recordEnd(s)
	}
	debug.FreeOSMemory() // a capture's end is rare, and an appliance that idles should be small
}

func (d *Daemon) recordEnd(s capture.Status) {
	d.SystemEvent(access.Event{Path: s.Name, Message: "The capture " + s.Name + " of " + s.Owner + " ended: " + s.StopReason.Text(),
		Arguments: map[string]string{"stopReason": string(s.StopReason), "packets": fmt.Sprint(s.PacketsWritten)}, Seconds: s.EndTime.Sub(s.StartTime).Seconds()})
}

// ended keeps how a capture ended. It is called by whoever notices first, and again by the others: then somebody may have gone on
// with the record.
func (c *captures) ended(r *record, job *capture.Job, s capture.Status) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.job == job {
		r.Status, r.job, r.memory = s, nil, 0
	}
}

// notBegun keeps that a capture, reserved before, could not begin.
func (c *captures) notBegun(r *record, s capture.Status) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r.Status, r.busy, r.memory = s, false, 0
}

// keepCaptures writes the table. If that fails it is right in memory nevertheless, and what is running goes on.
func (d *Daemon) keepCaptures() {
	if err := d.captures.keep(); err != nil {
		d.log.Error("the table of captures cannot be written", "error", err)
	}
}

// StopCapture ends a running capture and returns when its file is finished.
func (d *Daemon) StopCapture(_ menu.Caller, name string) (capture.Status, error) {
	if s, ok := d.captures.cancel(name); ok {
		d.keepCaptures()
		return s, nil
	}
	r, job, err := d.captures.runningJob(name)
	if err != nil {
		return capture.Status{}, err
	}
	job.Stop(capture.StoppedByUser)
	limit := time.NewTimer(stopWait)
	defer limit.Stop()
	select {
	case <-job.Done():
	case <-limit.C:
		return d.captures.statusOf(r, job), menu.Errorf(menu.Failed, "The capture %s is stopping, but its file is not finished yet", name).WithHint("Its status will tell when it is")
	}
	// The table says so too before the caller is told, so that what comes next finds a capture that has ended.
	s := d.captures.statusOf(r, job)
	d.captures.ended(r, job, s)
	list := []capture.Status{s}
	d.countExports(list)
	return list[0], nil
}

// cancel ends a capture that waits for its time.
func (c *captures) cancel(name string) (capture.Status, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.find(name)
	if !ok || r.Status.State != capture.NotStarted {
		return capture.Status{}, false
	}
	s := &r.Status
	s.State, s.StopReason, s.EndTime, r.busy = capture.Stopped, capture.StoppedByUser, time.Now(), false
	close(r.cancelled)
	return r.status(), true
}

// runningJob is the running capture of a name.
func (c *captures) runningJob(name string) (*record, *capture.Job, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.find(name)
	switch {
	case !ok:
		return nil, nil, c.noSuch(name)
	case r.job == nil && r.busy && r.Status.State == capture.Running:
		return nil, nil, &menu.Error{Code: menu.State, Argument: "name", Message: "The capture " + name + " is just beginning", Hint: "Try again in a moment"}
	case r.job == nil:
		return nil, nil, &menu.Error{Code: menu.State, Argument: "name", Message: "The capture " + name + " is not running"}
	}
	return r, r.job, nil
}

func (c *captures) noSuch(name string) error {
	e := &menu.Error{Code: menu.NotFound, Argument: "name", Message: "There is no capture " + menu.Quoted(name)}
	var names []string
	for _, r := range c.records {
		names = append(names, r.Status.Name)
	}
	if near := menu.Nearest(name, names); near != "" {
		return e.WithHint("Did you mean %s?", near)
	}
	return e
}

// Capture finds one capture, running or ended.
func (d *Daemon) Capture(name string) (capture.Status, error) {
	d.captures.mu.Lock()
	defer d.captures.mu.Unlock()
	r, ok := d.captures.find(name)
	if !ok {
		return capture.Status{}, d.captures.noSuch(name)
	}
	list := []capture.Status{r.status()}
	d.countExports(list)
	return list[0], nil
}

// Captures lists all captures: those that run first, each part the newest first.
func (d *Daemon) Captures() []capture.Status {
	d.captures.mu.Lock()
	defer d.captures.mu.Unlock()
	running, ended := []capture.Status{}, []capture.Status{}
	for _, r := range slices.Backward(d.captures.records) {
		if s := r.status(); s.State == capture.Running || s.State == capture.NotStarted {
			running = append(running, s)
		} else {
			ended = append(ended, s)
		}
	}
	list := append(running, ended...)
	d.countExports(list)
	return list
}

// DeleteCapture removes a capture that has ended, with its files.
func (d *Daemon) DeleteCapture(_ menu.Caller, name string) error {
	c := d.captures
	r, files, err := c.takeFiles(name)
	if err != nil {
		return err
	}
	for i, f := range files {
		if err := c.files.Remove(f.Name); err != nil && !errors.Is(err, os.ErrNotExist) {
			c.putBack(r, files[i:])
			d.keepCaptures()
			return menu.Failing("delete the file", err)
		}
	}
	c.drop(r)
	d.keepCaptures()
	return nil
}

// takeFiles takes its files from a capture that has ended and keeps everybody else from it.
func (c *captures) takeFiles(name string) (*record, []capture.FileInfo, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.find(name)
	switch {
	case !ok:
		return nil, nil, c.noSuch(name)
	case r.Status.State == capture.NotStarted:
		return nil, nil, &menu.Error{Code: menu.State, Argument: "name", Message: "The capture " + name + " waits for its time", Hint: "Stop it first"}
	case r.job != nil || r.busy && r.Status.State == capture.Running:
		return nil, nil, &menu.Error{Code: menu.State, Argument: "name", Message: "The capture " + name + " is running", Hint: "Stop it first"}
	case r.busy:
		return nil, nil, &menu.Error{Code: menu.State, Argument: "name", Message: "The capture " + name + " is busy", Hint: "Try again in a moment"}
	}
	files := r.Status.Files
	r.Status.Files, r.busy = nil, true
	return r, files, nil
}

// putBack gives back the files that could not be removed.
func (c *captures) putBack(r *record, files []capture.FileInfo) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r.Status.Files, r.busy = files, false
}

// writing reports whether a running capture will have this file.
func (c *captures) writing(file string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.records, func(r *record) bool { return !r.ended() && r.has(file) })
}

// has tells whether a file is one of the capture, by its name.
func (r *record) has(file string) bool {
	_, ok := capture.FileNumber(r.File, file)
	return ok
}

// removed notes that files are gone; their captures stay in the table.
func (c *captures) removed(names []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.records {
		r.Status.Files = slices.DeleteFunc(r.Status.Files, func(f capture.FileInfo) bool { return slices.Contains(names, f.Name) })
	}
}

// headersOnly lists the files that are known to hold no more than headers.
func (c *captures) headersOnly() map[string]bool {
	return c.filesOf(func(r *record) bool { return !r.Payload })
}

// fileNames are the names of the files of all captures of the table.
func (c *captures) fileNames() map[string]bool {
	return c.filesOf(func(*record) bool { return true })
}

func (c *captures) filesOf(wanted func(*record) bool) map[string]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	files := make(map[string]bool)
	for _, r := range c.records {
		if !wanted(r) {
			continue
		}
		for _, f := range r.status().Files {
			files[f.Name] = true
		}
	}
	return files
}

// stop ends all captures and takes no more.
func (c *captures) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, r := range c.records {
		if r.job != nil {
			r.job.Stop(capture.Shutdown)
		}
		if r.cancelled != nil && r.Status.State == capture.NotStarted {
			close(r.cancelled) // The next start of the appliance waits on.
		}
	}
}

// captureError gives an error of the engine the form that users get, and the name of the argument that is at fault.
func captureError(what string, err error) error {
	var spec *capture.SpecError
	var missing *capture.NoSuchInterfaceError
	var unsupported *capture.UnsupportedInterfaceError
	var low *capture.DiskLowError
	var quota *capture.QuotaError
	switch {
	case errors.As(err, &spec):
		return menu.BadArgument(strings.ToLower(spec.Member), "%s", menu.Sentence(spec.Text)).WithHint("%s", spec.Hint)
	case errors.As(err, &missing):
		e := &menu.Error{Code: menu.NotFound, Argument: "interfaces", Message: "There is no interface " + menu.Quoted(missing.Name)}
		return e.WithHint("%s", interfaceHint(missing.Name))
	case errors.As(err, &unsupported):
		return &menu.Error{Code: menu.Unsupported, Argument: "interfaces", Message: menu.Sentence(unsupported.Error())}
	case errors.As(err, &low):
		return menu.Errorf(menu.State, "The disk is low: %s are free and %s are kept in reserve", menu.Size(low.FreeBytes>>20<<20), menu.Size(low.ReserveBytes>>20<<20)).
			WithHint("Delete files of the diagnostic directory first")
	case errors.As(err, &quota):
		return menu.Errorf(menu.State, "The diagnostic directory is at its quota of %s", menu.Size(quota.QuotaBytes)).WithHint("Delete files of it first")
	case errors.Is(err, capture.ErrMixedLinkTypes):
		return menu.BadArgument("format", "%s", menu.Sentence(err.Error()))
	case errors.Is(err, capture.ErrNotPermitted):
		return menu.Errorf(menu.Unsupported, "%s", menu.Sentence(err.Error()))
	}
	return menu.Failing(what, err)
}

// machine names the machine and its system for the headers of capture files.
func machine() (machine, system string) {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return "", ""
	}
	return unix.ByteSliceToString(u.Machine[:]), unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:])
}
