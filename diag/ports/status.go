package ports

import "time"

// A Tier is how the engine learns of sockets.
type Tier string

const (
	// Full is all programs.
	Full Tier = "A"

	// WithoutAccept is all but the tracepoints at the end of accept(2), which need a tracefs: who
	// accepted is then known by getpeername(2), or by the first use.
	WithoutAccept Tier = "B"

	// Polling is without eBPF: the kernel's table of sockets, read again and again, and what it
	// tells of sockets that end. It sees sockets that live long, and of most others nobody.
	Polling Tier = "C"
)

// InWords returns the tier and what it is.
func (t Tier) InWords() string {
	switch t {
	case Full:
		return "A, the kernel tells of each socket"
	case WithoutAccept:
		return "B, the kernel tells of each socket, but not who calls accept"
	}
	return "C, the table of sockets is read again and again"
}

// A Status is what the engine does and what it cannot see.
type Status struct {
	Tier    Tier      `json:"tier"`
	Since   time.Time `json:"sinceTime,omitzero"`
	Cgroup  string    `json:"cgroup,omitempty"` // whose processes the hooks of cgroups see
	Sockets int       `json:"sockets"`          // that it knows of now
	Events  uint64    `json:"events"`           // that the kernel handed over
	Lost    uint64    `json:"lost"`             // that it could not
	Gaps    uint64    `json:"gaps"`             // seconds in which some were lost

	// Blind are sentences, each on what is not seen, and why.
	Blind []string `json:"blind,omitempty"`
}
