package ports

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// LogOptions are all that a user can say about the port log: the one schema of it. Settings,
// request and status embed them, with the same names in JSON. Commands take them as arguments, as
// package menu reads the tags.
type LogOptions struct {
	Selection

	Format LogFormat `json:"format" arg:"" choices:"ndjson|portreporter|both" help:"Files of one JSON object a line, the three text files of Port Reporter, or both."`

	// Coalesce writes one line a connection, when it closes.
	Coalesce bool `json:"coalesce" arg:"" help:"Write one line a connection, at its close, and leave out those before."`

	// SizeBytes and Days bound all sets of files together: the oldest sets go. 0 days is no bound, as
	// is -1, which a line writes as unlimited.
	SizeBytes int64 `json:"sizeBytes" arg:",size" label:"Maximum size" alias:"size=MB maxsize=MB" min:"33554432" max:"1099511627776" help:"Size of all files together, such as 250MB, from 32MB on; the oldest go."`
	Days      int64 `json:"days" arg:",unlimited,zero" min:"1" max:"3650" help:"Files that are older go; unlimited keeps them until the size is reached."`

	// Persistent logs go on when the appliance starts again.
	Persistent bool `json:"persistent" arg:"" help:"Go on when the appliance starts again."`
}

// InWords returns what is selected, as the log's first lines and its status say it.
func (s Selection) InWords() string {
	var parts []string
	for _, member := range []struct {
		name   string
		values []string
	}{{"processes", s.Processes}, {"users", s.Users}, {"ports", s.Ports}, {"addresses", s.Addresses}, {"events", s.Events}} {
		if len(member.values) > 0 {
			parts = append(parts, member.name+" "+strings.Join(member.values, ", "))
		}
	}
	if len(parts) == 0 {
		return "everything"
	}
	return strings.Join(parts, "; ")
}

// LogFormat is which files the log has.
type LogFormat string

const (
	NDJSON       LogFormat = "ndjson" // the empty value means the same
	PortReporter LogFormat = "portreporter"
	BothFormats  LogFormat = "both"
)

// Has reports whether the format has files of another one.
func (f LogFormat) Has(one LogFormat) bool { return f == one || f == BothFormats }

// The bounds of LogOptions.
const (
	LeastLogBytes = 32 << 20
	mostLogDays   = 3650
)

// FirstLogOptions returns the options of a new appliance.
func FirstLogOptions() LogOptions { return LogOptions{SizeBytes: 250 << 20}.Normal() }

// Normal returns the options with one value for each meaning: the default in the place of an empty
// value, and lists that are not nil.
func (o LogOptions) Normal() LogOptions {
	o.Format = cmp.Or(o.Format, NDJSON)
	o.Days = max(o.Days, 0)
	for _, list := range []*[]string{&o.Processes, &o.Users, &o.Ports, &o.Addresses, &o.Events} {
		*list = append([]string{}, *list...)
	}
	return o
}

// A LogOptionError is an option whose value cannot be used.
type LogOptionError struct {
	Member string // of LogOptions, as in JSON
	Wants  string // what is accepted
}

func (e *LogOptionError) Error() string { return fmt.Sprintf("%s is not %s", e.Member, e.Wants) }

// Check returns a *SelectionError or a *LogOptionError if normal options cannot be used.
func (o LogOptions) Check() error {
	if _, err := o.Filter(); err != nil {
		return err
	}
	switch {
	case !slices.Contains([]LogFormat{NDJSON, PortReporter, BothFormats}, o.Format):
		return &LogOptionError{"format", "ndjson, portreporter or both"}
	case o.SizeBytes < LeastLogBytes:
		return &LogOptionError{"sizeBytes", "32 MB or more"}
	case o.Days > mostLogDays:
		return &LogOptionError{"days", "a number of days up to 3650"}
	}
	return nil
}

// PartialLog is LogOptions of which some are given: those that are not zero, and those that Given
// names.
type PartialLog struct {
	LogOptions
	Given []string `json:"-" arg:"*"` // names of options, in any case; other names are ignored
}

// Over returns base, with the options that p gives in the place of its own.
func (p PartialLog) Over(base LogOptions) LogOptions {
	from, to := reflect.ValueOf(p.LogOptions), reflect.ValueOf(&base).Elem()
	for _, f := range reflect.VisibleFields(from.Type()) {
		if f.Anonymous {
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		named := slices.ContainsFunc(p.Given, func(given string) bool { return strings.EqualFold(given, name) })
		if value := from.FieldByIndex(f.Index); named || !value.IsZero() {
			to.FieldByIndex(f.Index).Set(value)
		}
	}
	return base
}

// A LogRequest asks for the log to start. Its members are the arguments of the command that starts
// it.
type LogRequest struct {
	// An option that is not given has the value of the settings, or with Defaults that of a new
	// appliance's settings.
	PartialLog
	Defaults bool `json:"defaults" arg:"" default:"no" help:"Say yes, for programs: what is not given is as on a new appliance, and not taken from the settings."`
}

// LogSettings are the options of a log whose request does not give them. The appliance keeps them
// over restarts.
type LogSettings struct{ LogOptions }

// A LogStatus is what the log does, or did last.
type LogStatus struct {
	State LogState `json:"state"`

	// StopReason is why the log that ran last ended. Problem is a sentence on why it is paused, or
	// on what went wrong at its end.
	StopReason LogStop `json:"stopReason,omitempty"`
	Problem    string  `json:"problem,omitempty"`

	Start time.Time `json:"startTime,omitzero"`
	End   time.Time `json:"endTime,omitzero"`
	Owner string    `json:"owner,omitempty"`

	LogOptions

	// Engine is how sockets are watched, while the log runs.
	Engine *Status `json:"engine,omitempty"`

	// Records were written since the start. RecordsLost were not, because the disk took none;
	// where they are missing the files have a Gap. GapsWritten counts those and the engine's.
	Records     uint64 `json:"records"`
	RecordsLost uint64 `json:"recordsLost"`
	GapsWritten uint64 `json:"gapsWritten"`

	// Sets are what is there of this log and earlier ones, Bytes how large their files are, and
	// Oldest is when the first of them begins: how far back the log reaches. File is the one that is
	// written now, or was last.
	Sets   int       `json:"sets"`
	Bytes  int64     `json:"bytes"`
	Oldest time.Time `json:"oldestTime,omitzero"`
	File   string    `json:"file,omitempty"`
}

// LogState is whether the log is written.
type LogState string

const (
	LogNotStarted LogState = "NotStarted"
	LogRunning    LogState = "Running"
	LogPaused     LogState = "Paused" // it runs, and the disk takes nothing now
	LogStopped    LogState = "Stopped"
)

// LogStop is why a log ended.
type LogStop string

const (
	LogStoppedByUser LogStop = "StoppedByUser"
	LogShutdown      LogStop = "Shutdown"
	LogInterrupted   LogStop = "Interrupted" // the appliance died
)
