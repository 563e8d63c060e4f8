package access

import "time"

// The acts of operations.
const (
	OperationStart  = "start"
	OperationStop   = "stop"
	OperationDelete = "delete"
)

// The states of operations.
const (
	OperationRunning   = "Running"
	OperationSucceeded = "Succeeded"
	OperationFailed    = "Failed"
)

// An Operation is an act on a capture that was given a name, so that a program can ask what became of
// it.
type Operation struct {
	ID        string          `json:"operation"`
	Act       string          `json:"type"` // start, stop, delete
	Capture   string          `json:"capture"`
	Files     bool            `json:"deletesFiles,omitempty"` // of a delete: the files go, too
	User      string          `json:"user"`
	State     string          `json:"state"` // Running, Succeeded, Failed
	StartTime time.Time       `json:"startTime"`
	EndTime   time.Time       `json:"endTime,omitzero"`
	Fault     *OperationFault `json:"error,omitempty"` // why it failed
}

// An OperationFault is why an operation failed, as the user who began it would have been told.
type OperationFault struct {
	Kind     string `json:"type"` // of the failure, as problems have it: notFound, state
	Argument string `json:"argument,omitempty"`
	Message  string `json:"message"` // a sentence without its full stop
	Hint     string `json:"hint,omitempty"`
}
