package captures

import (
	"slices"

	"diagsh/capture"
)

// An entry is one capture, running or ended.
type entry struct {
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
func (r *entry) status() capture.Status {
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
func (r *entry) statusOf(job *capture.Job) capture.Status {
	s := job.Status()
	if r.filter != nil {
		s.InterfacesLeftOut = r.filter.leftOut()
	}
	return s
}

// ended reports whether the capture needs its file no more.
func (r *entry) ended() bool { return r.job == nil && !r.busy }

// has tells whether a file is one of the capture, by its name.
func (r *entry) has(file string) bool {
	_, ok := capture.FileNumber(r.File, file)
	return ok
}

// number is that of a file of the capture.
func (r *entry) number(f capture.FileInfo) int {
	n, _ := capture.FileNumber(r.File, f.Name)
	return n
}
