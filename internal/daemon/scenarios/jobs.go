package scenarios

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"diagsh/capture"
	"diagsh/internal/access"
	"diagsh/internal/daemon/store"
	"diagsh/internal/menu"
)

// A job is what is to be done for a capture, and what was done.
type job struct {
	Capture  string         `json:"capture"`
	Begun    time.Time      `json:"begun,omitzero"` // the capture; zero while it waits for its time
	Caller   owner          `json:"caller"`
	Scenario string         `json:"scenario,omitempty"`
	PortLog  bool           `json:"portLog,omitempty"`
	Tables   []access.Table `json:"tables,omitempty"`
	Remarks  []string       `json:"remarks,omitempty"`

	Folder string    `json:"folder,omitempty"` // of what the tables said; empty: not read yet
	Before []reading `json:"before,omitempty"`
	After  []reading `json:"after,omitempty"`
	Read   bool      `json:"read,omitempty"` // the tables after the capture were

	Report      capture.ReportState `json:"report,omitempty"` // empty: none is wanted
	ReportFile  string              `json:"reportFile,omitempty"`
	ReportError string              `json:"reportError,omitempty"`

	logTried bool // the port log was begun for it by this appliance, or could not be
}

// An owner is the caller for whom a capture was begun. What the account may do is asked anew each
// time; for people without an account here this is all that is known.
type owner struct {
	User    string    `json:"user"`
	Role    menu.Role `json:"role,omitempty"`
	Payload bool      `json:"payload,omitempty"`
	Account time.Time `json:"account,omitzero"`
	Paths   []string  `json:"paths,omitempty"`
}

func ownerOf(c menu.Caller) owner {
	return owner{User: c.User, Role: c.Role, Payload: c.Payload, Account: c.Account, Paths: c.Paths}
}

// caller returns the owner as a caller of before.
func (o owner) caller() menu.Caller {
	return menu.Caller{User: o.User, Role: o.Role, Payload: o.Payload, Account: o.Account, Paths: o.Paths, Source: access.Local}
}

// of notes the scenario of a job.
func (j *job) of(s access.Scenario) {
	j.Scenario, j.PortLog, j.Tables = s.Name, s.PortLog, s.Tables
}

// jobsFile is the content of scenarios.json.
type jobsFile struct {
	Jobs []*job `json:"jobs"`

	// LogBegun is when the port log began that the room began; zero if others did.
	LogBegun time.Time `json:"logBegun,omitzero"`
}

// find returns the job of a capture, or nil. Called with the lock held.
func (r *Room) find(name string) *job {
	for _, j := range r.jobs {
		if j.Capture == name {
			return j
		}
	}
	return nil
}

// has reports whether the capture of a job is still there.
func (r *Room) has(j *job) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Contains(r.jobs, j)
}

// save writes the jobs as they are now.
func (r *Room) save() error {
	r.storing.Lock()
	defer r.storing.Unlock()
	r.mu.Lock()
	data, err := r.file.Encode(jobsFile{r.jobs, r.logBegun})
	r.mu.Unlock()
	if err == nil {
		err = store.Replace(r.file.Path, data)
	}
	return err
}

// begin adds the job of a capture that began, in the place of one of the same name.
func (r *Room) begin(j *job, s capture.Status) error {
	if s.Report {
		j.Report = capture.ReportWaits
	}
	r.mu.Lock()
	r.jobs = slices.DeleteFunc(r.jobs, func(other *job) bool {
		if other.Capture == j.Capture {
			r.removeFolder(other)
		}
		return other.Capture == j.Capture
	})
	r.jobs = append(r.jobs, j)
	r.mu.Unlock()
	return r.save()
}

// removeFolder removes what tables said for a job.
func (r *Room) removeFolder(j *job) {
	if j.Folder != "" {
		if err := r.root.RemoveAll(j.Folder); err != nil {
			r.o.Log.Error("what tables said cannot be removed", "folder", j.Folder, "error", err)
		}
	}
}

// removeStrays removes what tables said for jobs that are not there any more.
func (r *Room) removeStrays() {
	entries, err := fs.ReadDir(r.root.FS(), ".")
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range entries {
		if !slices.ContainsFunc(r.jobs, func(j *job) bool { return j.Folder == e.Name() }) {
			err = errors.Join(err, r.root.RemoveAll(e.Name()))
		}
	}
	if err != nil {
		r.o.Log.Error("what tables said of captures that are gone cannot be removed", "error", err)
	}
}

// change edits a job and writes all, unless another one took its place.
func (r *Room) change(j *job, edit func()) {
	r.mu.Lock()
	known := slices.Contains(r.jobs, j)
	if known {
		edit()
	}
	r.mu.Unlock()
	if !known {
		return
	}
	if err := r.save(); err != nil {
		r.o.Log.Error("the jobs of captures cannot be written", "error", err)
	}
	r.changed.Notify()
	r.o.Tell.Changed(j.Capture)
}

// look compares the jobs with the captures: it makes the jobs that are missing, for captures that
// began while nobody could note it, and drops those whose captures are deleted. It returns the
// status of the capture of each job.
func (r *Room) look() map[*job]capture.Status {
	list := r.o.Captures.Captures()
	beginning := r.beginning.Load() > 0 // a capture may be there before its job
	r.mu.Lock()
	known, changed := map[*job]capture.Status{}, false
	r.jobs = slices.DeleteFunc(r.jobs, func(j *job) bool {
		i := slices.IndexFunc(list, func(s capture.Status) bool { return s.Name == j.Capture })
		if i < 0 {
			r.removeFolder(j)
			changed = true
			return true
		}
		known[j] = list[i]
		return false
	})
	for _, s := range list {
		if beginning || s.Scenario == "" && !s.Report || r.find(s.Name) != nil {
			continue
		}
		j := &job{Capture: s.Name, Begun: s.StartTime, Caller: owner{User: s.Owner}}
		if s.Report {
			j.Report = capture.ReportWaits
		}
		if scenario, err := r.Scenario(s.Scenario); s.Scenario == "" {
			j.Tables = r.allTables()
		} else if err == nil {
			j.of(scenario)
		}
		r.jobs, known[j], changed = append(r.jobs, j), s, true
	}
	r.mu.Unlock()
	if changed {
		if err := r.save(); err != nil {
			r.o.Log.Error("the jobs of captures cannot be written", "error", err)
		}
	}
	return known
}

// ended reports whether a capture has ended for good, and all its files have their names. One that
// persists goes on when the appliance starts again.
func (r *Room) ended(s capture.Status) bool {
	switch {
	case s.State == capture.Running, s.State == capture.NotStarted:
		return false
	case goesOn(s):
		return false
	}
	return !slices.ContainsFunc(s.Files, func(f capture.FileInfo) bool { return r.o.Files.Growing(f.Name) })
}

// goesOn reports whether a capture that does not run goes on when the appliance starts again.
func goesOn(s capture.Status) bool {
	return s.Persistent && (s.StopReason == capture.Interrupted || s.StopReason == capture.Shutdown)
}

// callerOf returns for whom a job is done, with the present rights.
func (r *Room) callerOf(j *job) (menu.Caller, error) { return r.o.CallerOf(j.Caller.caller()) }

// sentence is an error as a sentence without its full stop.
func sentence(err error) string {
	var known *menu.Error
	if errors.As(err, &known) {
		return known.Message
	}
	return strings.TrimSuffix(fmt.Sprint(err), ".")
}
