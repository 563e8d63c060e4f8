package capture

import "time"

// FileInfo describes one capture file.
type FileInfo struct {
	Name    string    `json:"name"`
	Bytes   int64     `json:"bytes"`
	Packets int64     `json:"packets"`
	First   time.Time `json:"first,omitzero"` // when the earliest packet was seen
	Last    time.Time `json:"last,omitzero"`
}

// Status is all there is to know about a capture: running, ended, or not yet started.
//
// While it runs, the last of Files is still being written and not to be had under
// its name yet; its numbers are those of this moment. Captures of many files list those
// that are kept.
type Status struct {
	Name       string     `json:"name"`
	State      State      `json:"state"`
	StopReason StopReason `json:"stopReason"`

	// Options are those that the capture has: its interfaces by name, its format as decided.
	Options

	EffectiveFilter string     `json:"effectiveFilter"`     // with addresses for host names, and without management sessions
	NotInFile       []string   `json:"notInFile,omitempty"` // comment, caseNumber: what the format has no place for
	Start           time.Time  `json:"start,omitzero"`      // when it was planned to begin
	StartTime       time.Time  `json:"startTime,omitzero"`
	EndTime         time.Time  `json:"endTime,omitzero"`
	Owner           string     `json:"owner"`
	Files           []FileInfo `json:"files"`

	// The counters add up: PacketsMatched = PacketsReceived + PacketsDropped, and when
	// the capture has ended, PacketsReceived = PacketsWritten + PacketsBehindLimit +
	// PacketsDiscarded. What was written is in Files, or was in those that went. What the kernel
	// dropped, and so what matched, is nil where a part of the capture was killed: that
	// number went with it.
	PacketsMatched     *uint64 `json:"packetsMatched,omitempty"` // passed the filter
	PacketsReceived    uint64  `json:"packetsReceived"`          // of those, were put in the ring
	PacketsWritten     uint64  `json:"packetsWritten"`           // of those, were written
	PacketsDropped     *uint64 `json:"packetsDropped,omitempty"` // by the kernel, because the ring was full
	PacketsDiscarded   uint64  `json:"packetsDiscarded"`         // by us: the disk failed or was full
	PacketsBehindLimit uint64  `json:"packetsBehindLimit"`       // were in the ring when a limit was met

	// PacketsSeen is what the interfaces counted meanwhile, in and out, before the filter; see
	// Counters. It is nil where that is not known of one of them. PacketsNotShown is how many
	// were left out for those who watched and were too slow; they were written all the same.
	PacketsSeen     *uint64 `json:"packetsSeen,omitempty"`
	PacketsNotShown uint64  `json:"packetsNotShown"`

	// InterfacesLeftOut are those of All that the filter is of no use for.
	InterfacesLeftOut []LeftOut `json:"interfacesLeftOut,omitempty"`

	// What had to go for something newer; it counts as written too.
	FilesRemoved   int64 `json:"filesRemoved"`
	PacketsRemoved int64 `json:"packetsRemoved"`
	BytesRemoved   int64 `json:"bytesRemoved"`

	// FilesAwaitingExport are those of Files that still have to be copied to a target. None
	// of them goes before that, so that there may be more files than are kept.
	FilesAwaitingExport int64 `json:"filesAwaitingExport"`

	BytesWritten int64  `json:"bytesWritten"`
	Error        string `json:"error"`
}

// Status returns what a Spec says of its capture before there is one.
func (s Spec) Status() Status {
	return Status{
		Name: s.Name, State: NotStarted, Options: s.Options.Normal(), NotInFile: s.notInFile(), Start: s.Start,
		PacketsMatched: new(uint64), PacketsDropped: new(uint64),
	}
}

// notInFile are the members, by their JSON names, that are for the file and that its format has no
// place for.
func (s Spec) notInFile() (members []string) {
	if s.Format != PCAP {
		return nil
	}
	if s.Comment != "" {
		members = append(members, "comment")
	}
	if s.CaseNumber != "" {
		members = append(members, "caseNumber")
	}
	return members
}
