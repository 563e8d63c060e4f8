package captures

import (
	"time"

	"diagsh/capture"
)

// A Brief is what of a capture changes while it runs, and at its end. Its names are those of
// capture.Status.
type Brief struct {
	Name       string             `json:"name"`
	State      capture.State      `json:"state"`
	StopReason capture.StopReason `json:"stopReason"`
	Owner      string             `json:"owner"`
	Start      time.Time          `json:"start,omitzero"`
	StartTime  time.Time          `json:"startTime,omitzero"`
	EndTime    time.Time          `json:"endTime,omitzero"`

	PacketsReceived uint64  `json:"packetsReceived"`
	PacketsWritten  uint64  `json:"packetsWritten"`
	PacketsDropped  *uint64 `json:"packetsDropped,omitempty"`
	BytesWritten    int64   `json:"bytesWritten"`
	FileCount       int     `json:"fileCount"` // that are kept
	Error           string  `json:"error"`
}

// Brief returns what changes of a capture. It reports false if there is no capture of the name.
func (t *Table) Brief(name string) (Brief, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, ok := t.find(name)
	if !ok {
		return Brief{}, false
	}
	s := r.Status
	if r.job != nil {
		s = r.job.Status()
	}
	return Brief{
		Name: s.Name, State: s.State, StopReason: s.StopReason, Owner: s.Owner, Start: s.Start,
		StartTime: s.StartTime, EndTime: s.EndTime,
		PacketsReceived: s.PacketsReceived, PacketsWritten: s.PacketsWritten, PacketsDropped: s.PacketsDropped,
		BytesWritten: s.BytesWritten, FileCount: len(s.Files), Error: s.Error,
	}, true
}

// RunningNames returns the names of the captures that run now.
func (t *Table) RunningNames() (names []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range t.entries {
		if r.job != nil {
			names = append(names, r.Status.Name)
		}
	}
	return names
}
