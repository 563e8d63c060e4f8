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
// A packet that passes the filter is received or dropped: PacketsReceived counts
// what the kernel put in the ring, PacketsDropped what it could not put there
// because the ring was full. What was received is written, except when a limit
// ends the capture: then the packets behind the limit stay in the ring.
package capture

import (
	"fmt"
	"strings"
	"time"
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

// Spec is everything that a user says about a capture, as one JSON document.
type Spec struct {
	Name string `json:"name"`

	// Interfaces are the names of interfaces, or All alone.
	Interfaces []string `json:"interfaces"`

	// Filter is the expression as the user wrote it.
	Filter string `json:"filter"`

	// SnapLength is how many bytes of each packet are kept; 0 keeps all.
	SnapLength int `json:"snapLength"`

	// Format of the file; empty is decided by FileFormat.
	Format Format `json:"format"`

	Limits Limits `json:"limits"`

	// ReserveBytes of disk stay free: the capture does not start, or ends with
	// DiskLow, before they are touched. With 0 it ends when the disk is full.
	ReserveBytes int64 `json:"reserveBytes"`
}

// Limits end a capture; the first that is met wins.
//
// SizeBytes 0 asks for the default, which whoever takes the Spec from the user
// puts in its place: Start refuses it. DurationSeconds and Packets 0 are no limit.
type Limits struct {
	SizeBytes       int64 `json:"sizeBytes"`
	DurationSeconds int64 `json:"durationSeconds"`
	Packets         int64 `json:"packets"`
}

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

// Single writes one file from the first packet to the last.
const Single Mode = "single"

// FileFormat is the format of the file for so many interfaces: the one asked for,
// else pcap for one interface, which every tool reads, and pcapng for several,
// because pcap cannot say which interface a packet is from.
func (s Spec) FileFormat(interfaces int) Format {
	switch {
	case s.Format != "":
		return s.Format
	case interfaces == 1:
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
	case s.ReserveBytes < 0:
		return &SpecError{"reserveBytes", fmt.Sprintf("%d is not a number of bytes", s.ReserveBytes)}
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

// maxDurationSeconds is ten years, far below what a time.Duration can hold.
const maxDurationSeconds = 10 * 366 * 24 * 3600

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
// its name yet; its numbers are those of this moment.
type Status struct {
	Name            string     `json:"name"`
	State           State      `json:"state"`
	StopReason      StopReason `json:"stopReason"`
	Interfaces      []string   `json:"interfaces"`
	Filter          string     `json:"filter"`
	EffectiveFilter string     `json:"effectiveFilter"`
	SnapLength      int        `json:"snapLength"`
	Format          Format     `json:"format"`
	Mode            Mode       `json:"mode"`
	Limits          Limits     `json:"limits"`
	StartTime       time.Time  `json:"startTime,omitzero"`
	EndTime         time.Time  `json:"endTime,omitzero"`
	Owner           string     `json:"owner"`
	Files           []FileInfo `json:"files"`
	PacketsReceived uint64     `json:"packetsReceived"`
	PacketsWritten  uint64     `json:"packetsWritten"`
	PacketsDropped  uint64     `json:"packetsDropped"`
	BytesWritten    int64      `json:"bytesWritten"`
	Error           string     `json:"error"`
}
