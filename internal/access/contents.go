package access

import "time"

// Contents are what is known of the contents of a file in the diagnostic directory, beside its
// size. Zero members are not known.
type Contents struct {
	Capture string    `json:"capture,omitempty"` // that wrote it
	Owner   string    `json:"owner,omitempty"`   // of the capture
	Packets *int64    `json:"packets,omitempty"`
	First   time.Time `json:"first,omitzero"` // time of the earliest packet
	Last    time.Time `json:"last,omitzero"`  // time of the latest packet
	Comment string    `json:"comment,omitempty"`
	Case    string    `json:"caseNumber,omitempty"`
}
