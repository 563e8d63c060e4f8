package capture

import (
	"strings"
	"time"
)

// Spec describes a capture before its start: what the user says about it, and the disk space that
// it must leave free. Interfaces and Limits.SizeBytes must be set; the zero value of each other
// option is its default.
type Spec struct {
	Name string `json:"name"`
	Options

	// Start is when the capture begins; the zero time means at once.
	Start time.Time `json:"start,omitzero"`

	Delivery

	// Azure is the identity of a capture that is a resource of Azure; nil for others.
	Azure *Azure `json:"azure,omitempty"`

	// ReserveBytes is how many bytes of the disk stay free. With less the capture does not start,
	// or ends with DiskLow. With 0 it ends when the disk is full.
	ReserveBytes int64 `json:"reserveBytes"`
}

// CircularParts is the number of files that share the size of a capture in the mode Circular.
const CircularParts = 10

// minFileBytes is the smallest size of a file in a ring: any packet fits in it.
const minFileBytes = 1 << 20

// files returns when a new file begins and how many are kept, in every mode.
func (s Spec) files() Rotation {
	switch s.Mode {
	case Circular:
		return Rotation{FileBytes: s.Limits.SizeBytes / CircularParts, KeepFiles: CircularParts}
	case Ring:
		return s.Rotation
	}
	return Rotation{}
}

// KeptFiles returns how many files of the capture are kept; 0 is all.
func (s Spec) KeptFiles() int64 { return s.files().KeepFiles }

// Rotates reports whether the capture writes several files, one after the other.
func (s Spec) Rotates() bool { return s.rotates() }

func (o Options) rotates() bool { return o.Mode == Circular || o.Mode == Ring }

// endsAt returns the bytes of all files at which the capture ends, or Unlimited.
func (s Spec) endsAt() int64 {
	if s.Mode == Circular {
		return Unlimited
	}
	return s.Limits.SizeBytes
}

// LooksAt returns how many bytes of each packet the source of the capture must hand over at least, if
// that is more than the capture keeps; 0 if none.
func (s Spec) LooksAt() int {
	if len(s.Filters) < 2 {
		return 0
	}
	return tallied
}

// Met returns the limit that a capture had reached before it is resumed, "" if none. It may miss
// SizeExceeded when the bytes that are left are too few for a packet: then the capture ends at the
// beginning of its next file.
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

// FileFormat returns the format of the file for a number of interfaces. Unless the Spec names one
// it is pcap for one interface, because every tool reads it, and pcapng for several or All, because
// pcap cannot say which interface a packet is from, and for Processes.
func (s Spec) FileFormat(interfaces int) Format {
	switch {
	case s.Format != "":
		return s.Format
	case interfaces == 1 && !s.AllInterfaces() && !s.Processes:
		return PCAP
	default:
		return PCAPNG
	}
}

// AllInterfaces reports whether the capture is of every interface of the machine.
func (o Options) AllInterfaces() bool {
	return len(o.Interfaces) == 1 && strings.EqualFold(o.Interfaces[0], All)
}
