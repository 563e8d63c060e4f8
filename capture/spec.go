package capture

import (
	"strings"
	"time"
)

// Spec is a capture to be: what a user says about it, and where it must stop for the sake of
// others. The zero value of each option but Interfaces and Limits.SizeBytes is a capture as most
// people want it.
type Spec struct {
	Name string `json:"name"`
	Options

	// Start is when the capture begins; the zero time is at once.
	Start time.Time `json:"start,omitzero"`

	// ReserveBytes of disk stay free: the capture does not start, or ends with DiskLow, before they
	// are touched. With 0 it ends when the disk is full.
	ReserveBytes int64 `json:"reserveBytes"`
}

// CircularParts is how many files share the size of a capture in the mode Circular.
const CircularParts = 10

// minFileBytes is the least size of a file in a ring: any packet fits in it.
const minFileBytes = 1 << 20

// files are when a new file is begun, and how many are kept.
func (s Spec) files() Rotation {
	switch s.Mode {
	case Circular:
		return Rotation{FileBytes: s.Limits.SizeBytes / CircularParts, KeepFiles: CircularParts}
	case Ring:
		return s.Rotation
	}
	return Rotation{}
}

// KeptFiles is how many files of the capture are kept; 0 is all.
func (s Spec) KeptFiles() int64 { return s.files().KeepFiles }

// Rotates tells whether the capture has several files, one after the other.
func (s Spec) Rotates() bool { return s.rotates() }

func (o Options) rotates() bool { return o.Mode == Circular || o.Mode == Ring }

// endsAt is the size of all files at which the capture ends.
func (s Spec) endsAt() int64 {
	if s.Mode == Circular {
		return Unlimited
	}
	return s.Limits.SizeBytes
}

// Met is the limit that a capture which is to go on has met before, empty if none. When the
// last bytes of a size hold no packet, only the beginning of the next file tells.
func (s Spec) Met(before Status, now time.Time) StopReason {
	l, size := s.Limits, s.endsAt()
	switch {
	case l.Packets > 0 && before.PacketsWritten >= uint64(l.Packets):
		return PacketCountReached
	case size != Unlimited && before.BytesWritten >= size:
		return SizeExceeded
	case l.Files > 0 && before.FilesRemoved+int64(len(before.Files)) >= l.Files:
		return FileCountReached
	case l.DurationSeconds > 0 && now.Sub(before.StartTime) >= time.Duration(l.DurationSeconds)*time.Second:
		return TimeExceeded
	}
	return ""
}

// FileFormat is the format of the file for so many interfaces: the one asked for,
// else pcap for one interface, which every tool reads, and pcapng for several or All,
// because pcap cannot say which interface a packet is from.
func (s Spec) FileFormat(interfaces int) Format {
	switch {
	case s.Format != "":
		return s.Format
	case interfaces == 1 && !s.AllInterfaces():
		return PCAP
	default:
		return PCAPNG
	}
}

// AllInterfaces tells whether the capture is of every interface there is.
func (o Options) AllInterfaces() bool {
	return len(o.Interfaces) == 1 && strings.EqualFold(o.Interfaces[0], All)
}
