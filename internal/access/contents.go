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

// A Form is how the packets of a file are taken.
type Form struct {
	Format      string // pcap or pcapng
	AppleBlocks bool   // with process information blocks, as tcpdump of macOS writes them
}

// A Conversion is what a file of packets becomes in a Form.
type Conversion struct {
	Needed bool   // it is written anew
	Name   string // of what is written then

	// Revision is another text for each state of what is said of the packets beside them: notes and
	// processes. It is empty if nothing is.
	Revision string
}
