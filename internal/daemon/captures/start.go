package captures

import (
	"context"
	"errors"
	"time"

	"diagsh/capture"
	"diagsh/capture/afpacket"
	"diagsh/internal/daemon/captures/machine"
	"diagsh/internal/daemon/captures/programs"
	"diagsh/internal/menu"
	"golang.org/x/net/bpf"
)

// StartCapture begins a capture, or plans it for the time that the request names. What the request
// leaves out comes from the settings. A caller who may not see packet contents gets the headers of
// packets only.
func (t *Table) StartCapture(caller menu.Caller, request capture.Request) (capture.Status, error) {
	spec, err := t.specOf(request)
	if err != nil {
		return capture.Status{}, err
	}
	if err := permitFilter(caller, spec.Filter); err != nil {
		return capture.Status{}, err
	}
	if spec.Target != "" {
		if err := t.queue.CheckTarget(spec.Target); err != nil {
			return capture.Status{}, err
		}
	}
	spec.HeadersOnly = spec.HeadersOnly || !caller.Payload
	interfaces, err := machine.Resolve(spec.Interfaces)
	if err != nil {
		return capture.Status{}, captureError("start the capture", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), startWait)
	defer cancel()
	f, err := t.buildFilter(ctx, spec, interfaces)
	if err != nil {
		return capture.Status{}, captureError("start the capture", err)
	}
	interfaces = f.Interfaces
	if spec.Mode == capture.Append && t.has(spec.Name) {
		return t.appendCapture(request, spec, interfaces, f)
	}
	r, err := t.reserve(spec, caller, f.Expression, interfaces)
	if err != nil {
		return capture.Status{}, captureError("start the capture", err)
	}
	if spec.Start.After(time.Now()) {
		return t.plan(r), nil
	}
	job, err := t.launch(r, interfaces, f, nil)
	if err != nil {
		t.drop(r)
		t.saveCaptures()
		t.tasks.Done()
		return capture.Status{}, captureError("start the capture", err)
	}
	return t.statusOf(r, job), nil
}

// launch begins the capture of an entry that is reserved. The task of the entry then ends with the
// job; if launch fails, the caller ends it. before is the status of the capture that is resumed or
// appended to, nil for a new one.
func (t *Table) launch(r *entry, interfaces []capture.Interface, f *programs.Filter, before *capture.Status) (
	*capture.Job, error) {
	spec := r.Spec
	t.setFilter(r, f)
	ring, buffers, err := t.allocate(r, t.settings.CaptureRules().Memory, spec.RingBytes)
	if err != nil {
		return nil, err
	}
	spec.RingBytes = ring
	files, err := t.volume.NewFiles(buffers)
	if err != nil {
		return nil, err
	}
	next := t.firstNumber(r, before)
	grow, err := t.beginBeside(r, interfaces, before)
	if err != nil {
		files.Close()
		return nil, err
	}
	host, system := machine.Names()
	job, err := capture.Start(capture.Config{
		Spec:            spec,
		Owner:           r.Status.Owner,
		EffectiveFilter: f.Expression,
		Interfaces:      interfaces,
		Present:         afpacket.Interfaces,
		Compile: func(i capture.Interface) ([]bpf.RawInstruction, error) {
			return f.Program(context.Background(), i)
		},
		Open:        t.source(spec).Open,
		Create:      files.Create,
		Append:      files.Append,
		Release:     files.Close,
		Prepare:     func() error { return afpacket.Prepare(spec.CPUs, t.notUrgent) },
		Dir:         t.root,
		FileName:    r.File,
		Before:      before,
		NextFile:    next,
		Allowance:   t.directory.Allowance,
		OnClose:     func(f capture.FileInfo) { t.exportFile(r, spec, f) },
		Retain:      t.queue.Waiting,
		OnRotate:    t.saveCaptures,
		Machine:     host,
		System:      system,
		Application: t.product,
		Comments:    t.comments(r),
	})
	if err != nil {
		grow.Discard()
		return nil, err
	}
	t.began(r, job, grow)
	t.recordRemarks(r)
	go func() {
		defer t.tasks.Done()
		t.awaitEnd(r, job)
	}()
	return job, nil
}

// recordRemarks writes into the audit log what of a capture that begins is not as it was asked for.
func (t *Table) recordRemarks(r *entry) {
	for _, remark := range r.Spec.Status().Remarks {
		t.audit.System(r.Spec.Name, "The capture "+r.Spec.Name+" of "+r.Status.Owner+" began: "+remark, nil)
	}
}

// firstNumber returns the number of the first file that a capture writes. before is nil for a new
// one.
func (t *Table) firstNumber(r *entry, before *capture.Status) int {
	if before == nil {
		return 1
	}
	next := t.nextNumber(r)
	if r.Spec.Mode == capture.Append {
		t.lastGrows(r, *before)
	}
	return next
}

// source returns how the packets of a capture are taken from the network.
func (t *Table) source(spec capture.Spec) afpacket.Options {
	return afpacket.Options{
		RingBytes: int(spec.RingBytes), Rings: spec.Rings, Promiscuous: spec.Promiscuous, Spare: t.rings,
		Process: spec.Process,
		Follow:  spec.AllInterfaces() || spec.OnInterfaceGone == capture.GoneWaits,
	}
}

// notUrgent logs once that the threads which move packets have no priority. It is the same for all
// captures.
func (t *Table) notUrgent(err error) {
	t.notUrgentSaid.Do(func() {
		t.log.Warn("captures have no urgent threads, so a busy machine costs them packets: "+
			"the appliance lacks CAP_SYS_NICE, or LimitNICE=-10 in its unit", "error", err)
	})
}

// comments returns what a capture file tells its reader about the capture.
func (t *Table) comments(r *entry) []string {
	s := r.Spec
	filter := s.Filter
	if filter == "" {
		filter = "none"
	}
	lines := []string{
		"Appliance: " + t.settings.Hostname() + ", " + t.product,
		"Capture: " + s.Name,
		"Operator: " + r.Status.Owner,
		"Filter: " + filter,
	}
	if len(s.Filters) > 0 {
		lines = append(lines, "Filters: "+s.Filters.String())
	}
	for _, remark := range s.Status().Remarks {
		lines = append(lines, "Note: "+remark)
	}
	if s.Process != "" {
		lines = append(lines, "Process: "+s.Process)
	}
	if s.HeadersOnly {
		lines = append(lines, "Contents: headers only")
	}
	if s.CaseNumber != "" {
		lines = append(lines, "Case: "+s.CaseNumber)
	}
	if s.Comment != "" {
		lines = append(lines, "Comment: "+s.Comment)
	}
	return lines
}

// appendCapture resumes a capture that has ended, in its last file. Limits count from this start
// on.
func (t *Table) appendCapture(
	request capture.Request, spec capture.Spec, interfaces []capture.Interface, f *programs.Filter,
) (capture.Status, error) {
	r, before, err := t.reopen(request, spec)
	if err != nil {
		return capture.Status{}, captureError("start the capture", err)
	}
	anew := before
	anew.StartTime = time.Time{} // its duration is of this start, and not of the first
	job, err := t.launch(r, interfaces, f, &anew)
	if err != nil {
		t.notBegun(r, before)
		t.tasks.Done()
		return capture.Status{}, captureError("start the capture", err)
	}
	t.saveCaptures()
	return t.statusOf(r, job), nil
}

// plan makes a capture begin when its time has come.
func (t *Table) plan(r *entry) capture.Status {
	status := t.planned(r)
	t.saveCaptures()
	go t.startLater(r)
	return status
}

// clockInterval is how often a planned capture looks at the clock, because an administrator may set
// it.
const clockInterval = 10 * time.Second

// startLater waits for the time of a capture. It ends the task of the entry, or passes it on to the
// job.
func (t *Table) startLater(r *entry) {
	for {
		left := time.Until(r.Spec.Start)
		if left <= 0 {
			break
		}
		wait := time.NewTimer(min(left, clockInterval))
		select {
		case <-wait.C:
		case <-r.cancelled:
			wait.Stop()
			t.tasks.Done()
			return
		}
	}
	if !t.due(r) {
		t.tasks.Done()
		return
	}
	t.startUnattended(r, nil, "The capture "+r.Spec.Name+" of "+r.Status.Owner+" began as planned")
}

// startUnattended begins a capture that no caller waits for: one that was planned, or one that is
// resumed after a restart. said goes into the audit log. A failure is kept in the status.
func (t *Table) startUnattended(r *entry, before *capture.Status, said string) {
	err := t.tryUnattended(r, before)
	if err == nil {
		t.saveCaptures()
		t.audit.System(r.Spec.Name, said, nil)
		return
	}
	s := r.Status
	if before != nil {
		s = *before
	}
	var met *limitMetError
	if errors.As(err, &met) {
		s.State, s.StopReason = met.reason.State(), met.reason // and it ended when the appliance did
	} else {
		t.log.Error("a capture could not begin again", "name", r.Spec.Name, "error", err)
		e := menu.AsError(captureError("start the capture", err))
		s.State, s.StopReason, s.Error, s.EndTime = capture.Error, capture.StartFailed, e.Message, time.Now()
	}
	t.notBegun(r, s)
	t.saveCaptures()
	t.recordEnd(s)
	t.tasks.Done()
}

// A limitMetError says that a capture which was to be resumed has met a limit already.
type limitMetError struct{ reason capture.StopReason }

func (e *limitMetError) Error() string { return e.reason.Text() }

// tryUnattended begins the capture unless it has met a limit. before is nil for one that was
// planned.
func (t *Table) tryUnattended(r *entry, before *capture.Status) error {
	if before != nil {
		if reason := r.Spec.Met(*before, time.Now()); reason != "" {
			return &limitMetError{reason}
		}
	}
	interfaces, err := machine.Resolve(r.Spec.Interfaces)
	if err != nil && r.Spec.OnInterfaceGone == capture.GoneWaits {
		// Those that are missing join when they are there.
		if present, e := afpacket.Present(r.Spec.Interfaces); e == nil && len(present) > 0 {
			interfaces, err = present, nil
		}
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startWait)
	defer cancel()
	f, err := t.buildFilter(ctx, r.Spec, interfaces)
	if err != nil {
		return err
	}
	_, err = t.launch(r, f.Interfaces, f, before)
	var spec *capture.SpecError
	if before != nil && errors.As(err, &spec) && spec.Member == "sizeBytes" {
		// The size was enough for the capture once: what is too little is what is left of it.
		return &limitMetError{capture.SizeExceeded}
	}
	return err
}

// resume begins a capture again that was planned, or persists, when the appliance ended.
func (t *Table) resume(r *entry) {
	switch before, how := t.resumable(r); how {
	case capture.NotStarted:
		go t.startLater(r)
	case capture.Running:
		t.startUnattended(r, &before, "The capture "+r.Spec.Name+" of "+before.Owner+" was resumed")
	}
}

// has reports whether there is a capture of a name.
func (t *Table) has(name string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.find(name)
	return ok
}

// reopen reserves a capture that has ended, to be appended to, and returns its status before. The
// caller ends the task that this adds to t.tasks.
func (t *Table) reopen(request capture.Request, spec capture.Spec) (*entry, capture.Status, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, ok := t.find(spec.Name)
	switch {
	case !ok:
		return nil, capture.Status{}, t.noSuch(spec.Name)
	case !r.ended():
		return nil, capture.Status{}, wrongState(spec.Name, "has not ended", "Stop it first")
	case spec.HeadersOnly == r.Payload:
		return nil, capture.Status{}, &menu.Error{Code: menu.State, Argument: "name",
			Message: "The files of " + spec.Name + " and what would be appended are not both headers only",
			Hint:    "Choose another name"}
	}
	before := r.status()
	if err := request.CheckFormat(before.Format, "The file that is appended to is pcap"); err != nil {
		return nil, capture.Status{}, err
	}
	if err := t.mayRun(); err != nil {
		return nil, capture.Status{}, err
	}
	spec.Format = before.Format
	r.Spec, r.busy = spec, true
	t.tasks.Add(1)
	return r, before, nil
}

// planned notes that a capture waits for its time.
func (t *Table) planned(r *entry) capture.Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	r.Status.State, r.Status.StartTime = capture.NotStarted, time.Time{}
	t.tell.Changed(r.Status.Name)
	r.cancelled = make(chan struct{})
	if t.closed {
		close(r.cancelled)
	}
	return r.status()
}

// due reports whether a planned capture is still wanted. If so, it is noted as running.
func (t *Table) due(r *entry) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || r.Status.State != capture.NotStarted {
		return false
	}
	r.Status.State, r.Status.StartTime = capture.Running, time.Now()
	t.tell.Changed(r.Status.Name)
	return true
}

// resumable reports what becomes of a capture when the appliance starts: NotStarted if it waits for
// its time, Running if it is resumed from before, "" if it has ended. It reserves the entry for the
// first two.
func (t *Table) resumable(r *entry) (before capture.Status, how capture.State) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := &r.Status
	switch {
	case t.closed || r.job != nil:
		return before, ""
	case s.State == capture.NotStarted:
		r.busy, r.cancelled = true, make(chan struct{})
		t.tasks.Add(1)
		return before, capture.NotStarted
	case r.Spec.Persistent && endedWithAppliance(s.StopReason):
		before = r.status()
		r.busy = true
		t.tasks.Add(1)
		return before, capture.Running
	}
	return before, ""
}

// endedWithAppliance reports whether a capture ended because the appliance did.
func endedWithAppliance(reason capture.StopReason) bool {
	return reason == capture.Interrupted || reason == capture.Shutdown
}
