package capture

import (
	"time"

	"diagsh/capture/tuples"
)

// FileInfo describes one capture file.
type FileInfo struct {
	Name    string    `json:"name"`
	Bytes   int64     `json:"bytes"`
	Packets int64     `json:"packets"`
	First   time.Time `json:"first,omitzero"` // time of the earliest packet
	Last    time.Time `json:"last,omitzero"`  // time of the latest packet

	// FilterPackets is how many of the packets each of Options.Filters matched. It begins after
	// UncountedPackets, which were there before a capture with other filters was appended to.
	FilterPackets    Counts `json:"filterPackets,omitempty"`
	UncountedPackets int64  `json:"uncountedPackets,omitempty"`
}

// FileBeside describes a file that belongs to a capture and holds no packets of it.
type FileBeside struct {
	Name  string `json:"name"`
	Kind  string `json:"type"` // flows, drops
	Bytes int64  `json:"bytes"`

	// Stopped says why the file ended before the capture; empty if it did not.
	Stopped string `json:"stopped,omitempty"`

	// Blind are of a table of flows: sentences, each on what it cannot have on this machine, and why.
	Blind []string `json:"blind,omitempty"`

	// Reasons are of a file of drops: why the kernel dropped packets during the capture.
	Reasons []DropReason `json:"reasons,omitempty"`
}

// DropReason is how many packets the kernel dropped for one reason while a capture ran: whatever its
// filter, in its network namespace.
type DropReason struct {
	Reason   string `json:"reason"` // as the kernel names it, without SKB_DROP_REASON_
	Packets  uint64 `json:"packets"`
	Recorded uint64 `json:"recorded"`        // in the file: they match the capture's filter, and are a sample in a flood
	Noise    bool   `json:"noise,omitempty"` // any machine drops such packets all the time: none is recorded
}

// Status is all that the appliance knows about a capture: running, ended, or not yet started.
//
// While it runs, the last of Files is still being written and does not have its name yet; its
// numbers are those of this moment. Files lists the files that are kept.
type Status struct {
	Name       string     `json:"name"`
	State      State      `json:"state"`
	StopReason StopReason `json:"stopReason"`

	// Options are those of the capture: the interfaces by name, the format as FileFormat decided
	// it.
	Options
	Delivery

	EffectiveFilter string     `json:"effectiveFilter"`     // with addresses for host names, without management sessions
	NotInFile       []string   `json:"notInFile,omitempty"` // comment or caseNumber, if the format has no place for it
	Start           time.Time  `json:"start,omitzero"`      // planned time of the start
	StartTime       time.Time  `json:"startTime,omitzero"`
	EndTime         time.Time  `json:"endTime,omitzero"`
	Owner           string     `json:"owner"`
	Files           []FileInfo `json:"files"`

	// FilesBeside belong to the capture as Files do, and are deleted and copied with them.
	FilesBeside []FileBeside `json:"filesBeside,omitempty"`

	// The counters add up: PacketsMatched = PacketsReceived + PacketsDropped. When the capture has
	// ended, PacketsReceived = PacketsWritten + PacketsBehindLimit + PacketsDiscarded.
	// PacketsWritten are in Files, or were in files that are deleted. PacketsDropped and so
	// PacketsMatched are nil if a part of the capture was killed: the kernel's number is lost then.
	PacketsMatched     *uint64 `json:"packetsMatched,omitempty"` // that passed the filter
	PacketsReceived    uint64  `json:"packetsReceived"`          // of the matched ones, those that were put in the ring
	PacketsWritten     uint64  `json:"packetsWritten"`           // of the received ones, those that were written
	PacketsDropped     *uint64 `json:"packetsDropped,omitempty"` // by the kernel, because the ring was full
	PacketsDiscarded   uint64  `json:"packetsDiscarded"`         // by us, because the disk failed or was full
	PacketsBehindLimit uint64  `json:"packetsBehindLimit"`       // that were still in the ring when a limit was reached

	// FilterPackets is how many of PacketsWritten each of Filters matched; one packet may match several.
	// It is left out if it is not known for a part of the capture. Other filters, for a capture that is
	// appended to, begin it anew.
	FilterPackets Counts `json:"filterPackets,omitempty"`

	// PacketsSeen is what the interfaces counted meanwhile before the filter; see Counters. It is
	// nil if that is unknown for one of them. PacketsNotShown is how many packets were not shown to
	// users who watched and were too slow; these were written all the same.
	PacketsSeen     *uint64 `json:"packetsSeen,omitempty"`
	PacketsNotShown uint64  `json:"packetsNotShown"`

	// ProcessesFollowed is how many processes have their packets captured at the moment; nil if all
	// packets are. It is 0 while the process that Options.Process names does not run.
	ProcessesFollowed *int `json:"processesFollowed,omitempty"`

	// ProcessesNoRoom is how many processes, sockets and ports were not followed because the tables in
	// the kernel were full: their packets are missing.
	ProcessesNoRoom uint64 `json:"processesNoRoom,omitempty"`

	// InterfacesLeftOut are those of All that the filter cannot be applied to.
	InterfacesLeftOut []LeftOut `json:"interfacesLeftOut,omitempty"`

	// FilesRemoved, PacketsRemoved and BytesRemoved count what was deleted to make room for newer
	// files. PacketsWritten and BytesWritten contain them.
	FilesRemoved   int64 `json:"filesRemoved"`
	PacketsRemoved int64 `json:"packetsRemoved"`
	BytesRemoved   int64 `json:"bytesRemoved"`

	// FilesAwaitingExport is how many of Files still have to be copied to a target. None of them is
	// deleted before, so there may be more files than are kept.
	FilesAwaitingExport int64 `json:"filesAwaitingExport"`

	// FilesFailedExport is how many files of the capture were not copied to a target: it gave up, or
	// the file or the target is gone. ExportError is why, or why the last try failed of one that is
	// still to be copied. It is empty when all is copied.
	FilesFailedExport int64  `json:"filesFailedExport,omitempty"`
	ExportError       string `json:"exportError,omitempty"`

	// ReportState is how far the report of a capture is that asked for one, ReportFile the file that
	// has it, and ReportError why there is none. Remarks are sentences on what the capture does not
	// do of what its scenario asks, and why, and on filters that are not taken as they are written.
	ReportState ReportState `json:"reportState,omitempty"`
	ReportFile  string      `json:"reportFile,omitempty"`
	ReportError string      `json:"reportError,omitempty"`
	Remarks     []string    `json:"remarks,omitempty"`

	// Azure is the identity of a capture that is a resource of Azure; nil for others.
	Azure *Azure `json:"azure,omitempty"`

	BytesWritten int64  `json:"bytesWritten"`
	Error        string `json:"error"`
}

// ReportState is how far the report of a capture is.
type ReportState string

const (
	ReportWaits  ReportState = "waiting" // for the end of the capture, or for another report
	ReportMaking ReportState = "making"
	ReportMade   ReportState = "made"
	ReportFailed ReportState = "failed"
)

// Status returns the status of a capture that has not started.
func (s Spec) Status() Status {
	var counts Counts
	if n := len(s.Filters); n > 0 {
		counts = make(Counts, n)
	}
	return Status{
		FilterPackets: counts,
		Name:          s.Name, State: NotStarted, Options: s.Options.Normal(), Delivery: s.Delivery, NotInFile: s.notInFile(), Start: s.Start,
		Azure:          s.Azure,
		PacketsMatched: new(uint64), PacketsDropped: new(uint64), Remarks: s.remarks(),
	}
}

// remarks returns what of the filters is not taken as it is written.
func (s Spec) remarks() (sentences []string) {
	for _, w := range tuples.Warnings(s.Filters) {
		sentences = append(sentences, w.String())
	}
	return sentences
}

// notInFile returns the members, by their names in JSON, that the file's format has no place for.
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

// FileNames returns the names of all files that belong to the capture, those of packets first.
func (s Status) FileNames() (names []string) {
	for _, f := range s.Files {
		names = append(names, f.Name)
	}
	for _, f := range s.FilesBeside {
		names = append(names, f.Name)
	}
	return names
}
