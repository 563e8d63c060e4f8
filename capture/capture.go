// Package capture is the packet engine: its words (Spec, State, StopReason,
// Status, Packet) and the Job that moves packets from a source to a file.
//
// It knows neither sockets nor file formats. A Source hands it packets, as
// capture/afpacket does from the network; a File takes them, as capture/pcapfile
// writes them; whoever starts a Job joins the two:
//
//	interfaces, err := afpacket.Resolve(spec.Interfaces)
//	...
//	job, err := capture.Start(capture.Config{
//		Spec:       spec,
//		Interfaces: interfaces,
//		Compile:    compile,                                   // capture/filter
//		Open:       afpacket.Options{Promiscuous: true}.Open,
//		Create:     pcapfile.Create,
//		Dir:        directory,
//		FileName:   "host-name-20261120-235100" + format.Extension(),
//	})
//	...
//	job.Stop(capture.StoppedByUser)
//	<-job.Done()
//	status := job.Status()
//
// # What the counters mean
//
// A packet that passes the filter is matched, and then received or dropped:
// PacketsReceived counts what the kernel put in the ring, PacketsDropped what it could
// not put there because the ring was full. PacketsSeen is beside them: what the interfaces
// counted before the filter, which the kernel tells only of the interfaces and not of a
// socket: a packet socket's own counters (packet(7), PACKET_STATISTICS) begin behind its
// filter. What was received is written, except when a
// limit ends the capture: then the packets behind the limit stay in the ring; or when
// the disk takes no more.
package capture

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// All, in Spec.Interfaces, stands for every interface of the machine.
const All = "ALL"

// Unlimited, as a limit, says that somebody asked for no limit. It is not the
// zero value, so that no capture is without bounds by accident.
const Unlimited = -1

// MaxSnapLength is the longest part of a packet that is kept, and what a
// SnapLength of 0 means: the whole packet, as large as packets get. It is the
// value of tcpdump and Wireshark, which refuse files with longer ones.
const MaxSnapLength = 262144

// Spec is everything that a user says about a capture, as one JSON document. The
// zero value of each member but Interfaces and Limits.SizeBytes is a capture as most
// people want it.
type Spec struct {
	Name string `json:"name"`

	// Interfaces are the names of interfaces, or All alone. Interfaces that appear
	// while a capture of All runs join it.
	Interfaces []string `json:"interfaces"`

	// OnInterfaceGone is what becomes of the capture when a named interface is removed.
	OnInterfaceGone OnGone `json:"onInterfaceGone"`

	// Filter is the expression as the user wrote it.
	Filter string `json:"filter"`

	Direction   Traffic `json:"direction"`
	Promiscuous bool    `json:"promiscuous"` // also packets that are addressed to other machines

	// SnapLength is how many bytes of each packet are kept; 0 keeps all. HeadersOnly
	// keeps no more than the headers, whatever their length.
	SnapLength  int  `json:"snapLength"`
	HeadersOnly bool `json:"headersOnly"`

	// Format of the file; empty is decided by FileFormat.
	Format    Format    `json:"format"`
	Precision Precision `json:"timePrecision"`

	Mode     Mode     `json:"mode"`
	Limits   Limits   `json:"limits"`
	Rotation Rotation `json:"rotation"`

	// StartAt is when the capture begins; the zero time is at once.
	StartAt time.Time `json:"startAt,omitzero"`

	// Persistent captures go on, in a new file, when the appliance starts again.
	Persistent bool `json:"persistent"`

	// Keep forbids the retention to delete the capture's files.
	Keep bool `json:"keep"`

	// Comment and CaseNumber are written into pcapng files; pcap has no place for them.
	Comment    string `json:"comment"`
	CaseNumber string `json:"caseNumber"`

	// RingBytes is the memory that the kernel puts packets into while nobody reads
	// them; 0 leaves it to the appliance. Rings is over how many rings the packets of
	// an interface are spread, one for each CPU that receives them; 0 is one.
	RingBytes int64 `json:"ringBytes"`
	Rings     int   `json:"rings"`

	// CPUs are those that the capture may run on; none leaves it to the kernel.
	CPUs []int `json:"cpus"`

	// Management keeps the packets of the appliance's own management sessions in the capture.
	Management bool `json:"management"`

	// ReserveBytes of disk stay free: the capture does not start, or ends with
	// DiskLow, before they are touched. With 0 it ends when the disk is full.
	ReserveBytes int64 `json:"reserveBytes"`
}

// Limits end a capture; the first that is met wins.
//
// SizeBytes 0 asks for the default, which whoever takes the Spec from the user
// puts in its place: Start refuses it. The others 0 are no limit. In the mode Circular
// SizeBytes is no limit but how much is kept; in the mode Ring it is of all files
// together, deleted ones included.
type Limits struct {
	SizeBytes       int64 `json:"sizeBytes"`
	DurationSeconds int64 `json:"durationSeconds"`
	Packets         int64 `json:"packets"` // that pass the filter
	Files           int64 `json:"files"`
}

// Rotation says when a capture in the mode Ring begins its next file, whichever comes
// first, and how many files are kept: the oldest goes. 0 is never, and all. While the disk
// is slow there are more files than are kept: up to twice as many and three, or
// WaitingBytes more if that is more. In the mode Circular it is the same.
type Rotation struct {
	FileBytes   int64 `json:"fileBytes"`
	FileSeconds int64 `json:"fileSeconds"`
	KeepFiles   int64 `json:"keepFiles"`
}

// Traffic is which way packets must go, seen from this machine, to be captured.
type Traffic string

const (
	Both Traffic = "both" // also what the empty one means
	In   Traffic = "in"
	Out  Traffic = "out"
)

// OnGone is what becomes of a capture whose interface is removed.
type OnGone string

const (
	GoneEnds  OnGone = "end"  // also what the empty one means
	GoneWaits OnGone = "wait" // until there is an interface of that name again
)

// Precision is the unit of time stamps in files.
type Precision string

const (
	Nanosecond  Precision = "nanosecond" // also what the empty one means
	Microsecond Precision = "microsecond"
)

// Format is the format of a capture file.
type Format string

const (
	PCAP   Format = "pcap"
	PCAPNG Format = "pcapng"
)

// Extension is the end of a file name, with its dot.
func (f Format) Extension() string { return "." + string(f) }

// Mode is what happens to files as a capture goes on.
type Mode string

const (
	// Single writes one file from the first packet to the last. The empty mode is this.
	Single Mode = "single"

	// Circular keeps the last Limits.SizeBytes, in CircularParts files: when they are
	// full, the oldest goes.
	Circular Mode = "circular"

	// Ring begins a new file as Rotation says.
	Ring Mode = "ring"

	// Append goes on in the last file of the capture of the same name.
	Append Mode = "append"
)

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
func (s Spec) Rotates() bool { return s.Mode == Circular || s.Mode == Ring }

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
func (s Spec) AllInterfaces() bool {
	return len(s.Interfaces) == 1 && strings.EqualFold(s.Interfaces[0], All)
}

// Check finds what is wrong with a Spec without looking at the machine. The error
// is a *SpecError.
func (s Spec) Check() error {
	switch {
	case len(s.Interfaces) == 0:
		return &SpecError{"interfaces", "no interface is named; give names, or ALL"}
	case s.SnapLength < 0 || s.SnapLength > MaxSnapLength:
		return &SpecError{"snapLength", fmt.Sprintf("%d is not a snap length; it is 0 (the whole packet) to %d bytes", s.SnapLength, MaxSnapLength)}
	case s.Format != "" && s.Format != PCAP && s.Format != PCAPNG:
		return &SpecError{"format", fmt.Sprintf("%q is not a format; it is pcap or pcapng", s.Format)}
	case s.Limits.SizeBytes == 0 || s.Limits.SizeBytes < Unlimited:
		return &SpecError{"sizeBytes", fmt.Sprintf("%d is not a size limit; it is a number of bytes, or unlimited", s.Limits.SizeBytes)}
	case s.Limits.DurationSeconds < Unlimited || s.Limits.DurationSeconds > maxDurationSeconds:
		return &SpecError{"durationSeconds", fmt.Sprintf("%d is not a duration; it is a number of seconds up to %d", s.Limits.DurationSeconds, int64(maxDurationSeconds))}
	case s.Limits.Packets < Unlimited:
		return &SpecError{"packets", fmt.Sprintf("%d is not a number of packets", s.Limits.Packets)}
	case s.Limits.Files < Unlimited:
		return &SpecError{"files", fmt.Sprintf("%d is not a number of files", s.Limits.Files)}
	case s.ReserveBytes < 0:
		return &SpecError{"reserveBytes", fmt.Sprintf("%d is not a number of bytes", s.ReserveBytes)}
	}
	if err := s.checkWords(); err != nil {
		return err
	}
	if err := s.checkMode(); err != nil {
		return err
	}
	if err := s.checkMachine(); err != nil {
		return err
	}
	seen := make(map[string]bool)
	for _, name := range s.Interfaces {
		switch {
		case strings.EqualFold(name, All) && len(s.Interfaces) > 1:
			return &SpecError{"interfaces", "ALL already means every interface; name no other beside it"}
		case seen[name]:
			return &SpecError{"interfaces", fmt.Sprintf("interface %s is named twice", name)}
		}
		seen[name] = true
	}
	return nil
}

// checkWords checks the members that are one of few words, or free text.
func (s Spec) checkWords() error {
	for _, w := range []struct {
		member, value string
		accepted      []string
	}{
		{"mode", string(s.Mode), []string{string(Single), string(Circular), string(Ring), string(Append)}},
		{"direction", string(s.Direction), []string{string(In), string(Out), string(Both)}},
		{"onInterfaceGone", string(s.OnInterfaceGone), []string{string(GoneEnds), string(GoneWaits)}},
		{"timePrecision", string(s.Precision), []string{string(Nanosecond), string(Microsecond)}},
	} {
		if w.value != "" && !slices.Contains(w.accepted, w.value) {
			return &SpecError{w.member, fmt.Sprintf("%q is not accepted; it is one of %s", w.value, strings.Join(w.accepted, ", "))}
		}
	}
	for member, text := range map[string]string{"comment": s.Comment, "caseNumber": s.CaseNumber} {
		if len(text) > maxText || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
			return &SpecError{member, fmt.Sprintf("it is one line of text of at most %d bytes", maxText)}
		}
	}
	return nil
}

// checkMode checks what belongs to one mode only.
func (s Spec) checkMode() error {
	r := s.Rotation
	switch {
	case s.Mode != Ring && r != (Rotation{}):
		return &SpecError{"mode", "files are begun anew by size or time, and counted, in the mode ring only"}
	case s.Mode == Circular && s.Limits.SizeBytes == Unlimited:
		return &SpecError{"sizeBytes", "a circular capture needs a size: that much is kept"}
	case s.Mode == Circular && s.Limits.SizeBytes < CircularParts*minFileBytes:
		return &SpecError{"sizeBytes", fmt.Sprintf("a circular capture needs at least %d MB", CircularParts*minFileBytes>>20)}
	case s.Mode == Ring && r.FileBytes == 0 && r.FileSeconds == 0:
		return &SpecError{"fileBytes", "a ring of files needs the size of a file, or the time for one"}
	case r.FileBytes < 0 || r.FileBytes > 0 && r.FileBytes < minFileBytes:
		return &SpecError{"fileBytes", fmt.Sprintf("%d is not a size for the files of a ring; it is at least %d bytes", r.FileBytes, minFileBytes)}
	case r.FileSeconds < 0 || r.FileSeconds > maxDurationSeconds:
		return &SpecError{"fileSeconds", fmt.Sprintf("%d is not a time for one file; it is a number of seconds", r.FileSeconds)}
	case r.KeepFiles < 0 || r.KeepFiles == 1 || r.KeepFiles > maxFiles:
		return &SpecError{"keepFiles", fmt.Sprintf("%d is not a number of files to keep; it is 2 to %d", r.KeepFiles, maxFiles)}
	case s.Limits.Files > 0 && !s.Rotates():
		return &SpecError{"files", "the number of files is a limit in the modes ring and circular only"}
	}
	return nil
}

// checkMachine checks what the capture asks of the machine.
func (s Spec) checkMachine() error {
	switch {
	case s.RingBytes != 0 && (s.RingBytes < MinRingBytes || s.RingBytes > MaxRingBytes):
		return &SpecError{"ringBytes", fmt.Sprintf("%d is not a size for the ring; it is %d to %d bytes", s.RingBytes, MinRingBytes, MaxRingBytes)}
	case s.Rings < 0 || s.Rings > maxRings:
		return &SpecError{"rings", fmt.Sprintf("%d is not a number of rings; it is 1 to %d", s.Rings, maxRings)}
	}
	for _, cpu := range s.CPUs {
		if cpu < 0 || cpu > maxCPU {
			return &SpecError{"cpus", fmt.Sprintf("%d is not the number of a CPU", cpu)}
		}
	}
	return nil
}

const (
	// MinRingBytes and MaxRingBytes bound the rings of one capture.
	MinRingBytes = 2 << 20
	MaxRingBytes = 4 << 30

	maxRings = 64
	maxCPU   = 1023
	maxFiles = 10000
	maxText  = 1000
)

// maxDurationSeconds is ten years, far below what a time.Duration can hold.
const maxDurationSeconds = 10 * 366 * 24 * 3600

// NumberedName is the name of the file of that number: it stands before the extension.
func NumberedName(name string, number int) string {
	extension := path.Ext(name)
	return fmt.Sprintf("%s-%04d%s", strings.TrimSuffix(name, extension), number, extension)
}

// FileNumber undoes NumberedName for a file of a capture; a name without a number is
// of number 1. False is for the name of another capture's file.
func FileNumber(name, file string) (int, bool) {
	if file == name {
		return 1, true
	}
	extension := path.Ext(name)
	digits, begins := strings.CutPrefix(file, strings.TrimSuffix(name, extension)+"-")
	digits, ends := strings.CutSuffix(digits, extension)
	n, err := strconv.Atoi(digits)
	return n, begins && ends && err == nil && n > 0 && NumberedName(name, n) == file
}

// PartName is the name of the file of that final name while it is being written:
// hidden, and with an ending that no tool takes for a capture.
func PartName(final string) string { return "." + final + ".part" }

// FinalName undoes PartName; false for a name that is not of a file being written.
func FinalName(part string) (string, bool) {
	name, dot := strings.CutPrefix(part, ".")
	name, end := strings.CutSuffix(name, ".part")
	return name, dot && end && name != ""
}

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
	Name            string     `json:"name"`
	State           State      `json:"state"`
	StopReason      StopReason `json:"stopReason"`
	Interfaces      []string   `json:"interfaces"`
	OnInterfaceGone OnGone     `json:"onInterfaceGone"`
	Filter          string     `json:"filter"`
	EffectiveFilter string     `json:"effectiveFilter"`
	Direction       Traffic    `json:"direction"`
	Promiscuous     bool       `json:"promiscuous"`
	SnapLength      int        `json:"snapLength"`
	HeadersOnly     bool       `json:"headersOnly"`
	Format          Format     `json:"format"`
	Precision       Precision  `json:"timePrecision"`
	Mode            Mode       `json:"mode"`
	Limits          Limits     `json:"limits"`
	Rotation        Rotation   `json:"rotation"`
	StartAt         time.Time  `json:"startAt,omitzero"`
	Persistent      bool       `json:"persistent"`
	Keep            bool       `json:"keep"`
	Comment         string     `json:"comment"`
	CaseNumber      string     `json:"caseNumber"`
	NotInFile       []string   `json:"notInFile,omitempty"` // comment, caseNumber: what the format has no place for
	RingBytes       int64      `json:"ringBytes"`
	Rings           int        `json:"rings"`
	CPUs            []int      `json:"cpus"`
	Management      bool       `json:"management"`
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

// Status is what a Spec says of its capture before there is one.
func (s Spec) Status() Status {
	return Status{
		Name:            s.Name,
		State:           NotStarted,
		Interfaces:      s.Interfaces,
		OnInterfaceGone: cmp.Or(s.OnInterfaceGone, GoneEnds),
		Filter:          s.Filter,
		Direction:       cmp.Or(s.Direction, Both),
		Promiscuous:     s.Promiscuous,
		SnapLength:      s.SnapLength,
		HeadersOnly:     s.HeadersOnly,
		Format:          s.Format,
		Precision:       cmp.Or(s.Precision, Nanosecond),
		Mode:            cmp.Or(s.Mode, Single),
		Limits:          s.Limits,
		Rotation:        s.Rotation,
		StartAt:         s.StartAt,
		Persistent:      s.Persistent,
		Keep:            s.Keep,
		Comment:         s.Comment,
		CaseNumber:      s.CaseNumber,
		NotInFile:       s.notInFile(),
		RingBytes:       s.RingBytes,
		Rings:           max(s.Rings, 1),
		CPUs:            append([]int{}, s.CPUs...),
		Management:      s.Management,

		PacketsMatched: new(uint64),
		PacketsDropped: new(uint64),
	}
}

// notInFile are the members, by their JSON names, that are for the file and that its format has no place for.
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
