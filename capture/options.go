package capture

import (
	"cmp"
	"strings"

	"diagsh/capture/tuples"
)

// Options are all that a user can say about a capture: the one schema of it. Spec, Settings,
// Request and Status embed them, with the same names in JSON. Commands take them as arguments:
// package menu reads the tags. The name of an argument is its name in JSON in lower case, and the
// tag alias has its former names.
//
// A new option takes a member here, a line in commands/shared/captures that shows it, and the code
// that obeys it.
type Options struct {
	// Interfaces are the names of interfaces, or All alone. Interfaces that appear while a capture
	// of All runs join it.
	Interfaces []string `json:"interfaces" arg:"" group:"first" alias:"interface" help:"Names of interfaces separated by commas, or ALL."`

	// Filter is the expression as the user wrote it.
	Filter string `json:"filter" arg:",assisted" group:"first" help:"A tcpdump filter such as \"host 192.0.2.1 and port 25\"; CLEAR for none."`

	// Filters are filters in fields, of which one must match beside Filter.
	Filters tuples.List `json:"filters" arg:",bound" help:"Protocol, local and remote ends, such as \"tcp remoteaddress 192.0.2.3 remoteport 80;443 or udp\"; CLEAR for none."`

	// Process is a number or a name: only packets of that process and its descendants are captured.
	Process string `json:"process" arg:",bound" help:"Only the packets of this process and what it starts: its number, or a name, which need not run yet; ALL for those of all."`

	Limits Limits `json:"limits"`

	// Management keeps the packets of the appliance's own management sessions in the capture.
	Management bool `json:"management" arg:"" help:"Keep the packets of management sessions too."`

	// SnapLength is how many bytes of each packet are kept, 0 to MaxSnapLength; 0 keeps all.
	// HeadersOnly keeps only the headers, whatever their length.
	SnapLength  int  `json:"snapLength" arg:"" label:"Snap length" alias:"snaplen" min:"0" max:"262144" help:"Bytes kept of each packet; 0 keeps all."`
	HeadersOnly bool `json:"headersOnly" arg:"" help:"Keep only the headers of packets, whatever their length."`

	Direction Traffic `json:"direction" arg:"" choices:"in|out|both" help:"Which way packets must go, seen from this machine."`

	// Promiscuous captures packets too that are addressed to other machines.
	Promiscuous bool `json:"promiscuous" arg:"" help:"Capture packets that are addressed to other machines too."`

	// OnInterfaceGone is what the capture does when a named interface is removed.
	OnInterfaceGone OnGone `json:"onInterfaceGone" arg:"" group:"expert" alias:"gone" choices:"end|wait" help:"What to do when a named interface is removed: end, or wait for it."`

	// Format is the format of the file; if it is empty, Spec.FileFormat decides.
	Format    Format    `json:"format" arg:"" choices:"pcap|pcapng" help:"File format; pcap for one interface, pcapng for several, if not given."`
	Precision Precision `json:"timePrecision" arg:"" group:"expert" alias:"precision" choices:"nanosecond|microsecond" help:"Unit of the time stamps in files."`

	Mode     Mode     `json:"mode" arg:"" choices:"single|circular|ring|append" help:"One file; the last of it in ten parts; file after file; or go on in the last file of the capture named."`
	Rotation Rotation `json:"rotation"`

	// Persistent captures go on, in a new file, when the appliance starts again.
	Persistent bool `json:"persistent" arg:"" help:"Go on, in a new file, when the appliance starts again."`

	// Drops records beside the file which packets the kernel drops meanwhile, and why.
	Drops bool `json:"drops" arg:"" help:"Record packets that the kernel drops meanwhile, with the reason, in a file beside it."`

	// Protect forbids the retention to delete the capture's files.
	Protect bool `json:"protect" arg:"" alias:"keep" help:"Never delete the files to make room, or because they are old."`

	// Scenario is the name of a bundle of options, and of tables that are read before and after the
	// capture. Its options are those that the request does not give; the engine obeys none of it.
	// Report makes an archive of all that belongs to the capture when it has ended.
	Scenario string `json:"scenario" arg:"" help:"A bundle of options, and of tables read before and after, by its name (scenarios lists them); NONE for none."`
	Report   bool   `json:"report" arg:"" help:"When the capture ends, make one archive of its files, what belongs to it, and the tables."`

	// RingBytes is the memory, in bytes, where the kernel keeps packets until they are read; 0
	// leaves it to the appliance. Rings is the number of rings over which the packets of an
	// interface are spread, one for each CPU that receives them; 0 is one.
	RingBytes int64 `json:"ringBytes" arg:",size,zero" label:"Ring memory" group:"expert" alias:"ring=MB" min:"2097152" help:"Memory for packets that wait to be read, such as 64MB; 0 has it chosen from what is free."`
	Rings     int   `json:"rings" arg:",zero" group:"expert" min:"1" max:"64" help:"Over how many rings an interface is spread, when one CPU cannot fill or read it."`

	// CPUs are the CPUs that the capture may run on; none leaves it to the kernel.
	CPUs []int `json:"cpus" arg:"" label:"CPUs" group:"expert" help:"Numbers of the CPUs that the capture may run on, separated by commas; all, if not given."`

	// Processes keeps beside the files which process each packet is of. Files say so as comments of
	// packets when they are taken, for which pcap has no place.
	Processes bool `json:"processes" arg:"" help:"Keep which process each packet is of, beside the file, which is pcapng then."`

	// Comment and CaseNumber are written into pcapng files; pcap has no place for them.
	Comment    string `json:"comment" arg:"" help:"A line of text for the file, which is pcapng then."`
	CaseNumber string `json:"caseNumber" arg:"" label:"Case number" alias:"case" help:"A case number for the file, which is pcapng then."`
}

// Limits end a capture; the first that is met wins.
//
// A SizeBytes of 0 asks for the default, which the caller must put in its place: Start refuses it.
// 0 in the others is no limit. In the mode Circular SizeBytes is not a limit but how much is kept.
// In the mode Ring it counts all files together, with those that were deleted.
type Limits struct {
	SizeBytes       int64 `json:"sizeBytes" arg:",size,unlimited" group:"first" alias:"size=MB" min:"4096" help:"A capture ends at this file size, such as 200MB; unlimited still ends before the disk is full."`
	DurationSeconds int64 `json:"durationSeconds" arg:",seconds,unlimited,zero" group:"first" alias:"duration" min:"1" max:"31536000" help:"A capture ends after this time, such as 60s or 5m."`
	Packets         int64 `json:"packets" arg:",unlimited,zero" alias:"count" min:"1" help:"A capture ends after this many packets that match the filter."`
	Files           int64 `json:"files" arg:",unlimited,zero" min:"1" help:"A capture ends after this many files."`
}

// Rotation says when a capture in the mode Ring begins its next file, and how many files it keeps.
// The size or the time begins it, whichever comes first; 0 means never. Of more than KeepFiles the
// oldest is deleted; 0 keeps all. While the disk is slow there are more files: up to 2*KeepFiles+3,
// or WaitingBytes more if that is more. The same holds for the mode Circular.
type Rotation struct {
	FileBytes   int64 `json:"fileBytes" arg:",size,zero" label:"Size of each file" alias:"filesize=MB" min:"1048576" help:"A ring begins its next file at this size, such as 100MB."`
	FileSeconds int64 `json:"fileSeconds" arg:",seconds,zero" label:"Time of each file" alias:"filetime" min:"1" max:"31536000" help:"A ring begins its next file after this time, such as 10m."`
	KeepFiles   int64 `json:"keepFiles" arg:",zero" min:"2" max:"10000" help:"How many files of a ring are kept; the oldest goes. All, if not given."`
}

// Traffic is the direction that packets must have, seen from this machine, to be captured.
type Traffic string

const (
	Both Traffic = "both" // the empty value means the same
	In   Traffic = "in"
	Out  Traffic = "out"
)

// OnGone is what a capture does when a named interface is removed.
type OnGone string

const (
	GoneEnds  OnGone = "end"  // the empty value means the same
	GoneWaits OnGone = "wait" // until there is an interface of that name again
)

// Precision is the unit of time stamps in files.
type Precision string

const (
	Nanosecond  Precision = "nanosecond" // the empty value means the same
	Microsecond Precision = "microsecond"
)

// Format is the format of a capture file.
type Format string

const (
	PCAP   Format = "pcap"
	PCAPNG Format = "pcapng"
)

// Extension returns the end of a file name, with its dot.
func (f Format) Extension() string { return "." + string(f) }

// Mode is how a capture spreads its packets over files.
type Mode string

const (
	// Single writes one file from the first packet to the last. The empty value means the same.
	Single Mode = "single"

	// Circular keeps the last Limits.SizeBytes in CircularParts files: when they are full, the
	// oldest is deleted.
	Circular Mode = "circular"

	// Ring begins a new file as Rotation says.
	Ring Mode = "ring"

	// Append continues the last file of the capture of the same name.
	Append Mode = "append"
)

// Normal returns the options with one value for each meaning: the default in the place of an empty
// value, and 0 in the place of Unlimited. SizeBytes stays as it is, because its 0 asks for the
// default.
func (o Options) Normal() Options {
	for _, limit := range []*int64{&o.Limits.DurationSeconds, &o.Limits.Packets, &o.Limits.Files} {
		if *limit == Unlimited {
			*limit = 0
		}
	}
	for _, text := range []*string{&o.Filter, &o.Process, &o.Comment, &o.CaseNumber} {
		*text = strings.TrimSpace(*text)
	}
	o.Direction = cmp.Or(o.Direction, Both)
	o.OnInterfaceGone = cmp.Or(o.OnInterfaceGone, GoneEnds)
	o.Precision = cmp.Or(o.Precision, Nanosecond)
	o.Mode = cmp.Or(o.Mode, Single)
	o.Rings = max(o.Rings, 1)
	o.CPUs = append([]int{}, o.CPUs...)
	o.Filters = append(tuples.List{}, o.Filters...)
	return o
}

// Settings are the options of a capture whose request does not give them. The appliance keeps them
// over restarts.
type Settings struct {
	Options
}

// An InterfaceInfo is an interface whose packets can be captured.
type InterfaceInfo struct {
	Name      string   `json:"name"`
	Up        bool     `json:"up"`
	Loopback  bool     `json:"loopback"`
	LinkType  string   `json:"linkType"` // Ethernet, raw IP, ...
	Addresses []string `json:"addresses"`
}
