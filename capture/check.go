package capture

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"diagsh/capture/tuples"
)

// Check reports what is wrong with a Spec, without a look at the machine. The error is a
// *SpecError.
func (s Spec) Check() error {
	switch {
	case len(s.Interfaces) == 0:
		return &SpecError{Member: "interfaces", Text: "no interface is named; give names, or ALL"}
	case s.SnapLength < 0 || s.SnapLength > MaxSnapLength:
		return &SpecError{Member: "snapLength",
			Text: fmt.Sprintf("%d is not a snap length; it is 0 (the whole packet) to %d bytes",
				s.SnapLength, MaxSnapLength)}
	case s.Format != "" && s.Format != PCAP && s.Format != PCAPNG:
		return &SpecError{Member: "format", Text: fmt.Sprintf("%q is not a format; it is pcap or pcapng", s.Format)}
	case s.Processes && s.Format == PCAP:
		return &SpecError{Member: "processes", Text: "a pcap file has no place for the processes of packets",
			Hint: "Leave format out, or write format pcapng; or leave processes out"}
	case s.Limits.SizeBytes == 0 || s.Limits.SizeBytes < Unlimited:
		return &SpecError{Member: "sizeBytes",
			Text: fmt.Sprintf("%d is not a size limit; it is a number of bytes, or unlimited", s.Limits.SizeBytes)}
	case s.Limits.DurationSeconds < Unlimited || s.Limits.DurationSeconds > maxDurationSeconds:
		return &SpecError{Member: "durationSeconds",
			Text: fmt.Sprintf("%d is not a duration; it is a number of seconds up to %d", s.Limits.DurationSeconds,
				int64(maxDurationSeconds))}
	case s.Limits.Packets < Unlimited:
		return &SpecError{Member: "packets", Text: fmt.Sprintf("%d is not a number of packets", s.Limits.Packets)}
	case s.Limits.Files < Unlimited:
		return &SpecError{Member: "files", Text: fmt.Sprintf("%d is not a number of files", s.Limits.Files)}
	case s.ReserveBytes < 0:
		return &SpecError{Member: "reserveBytes", Text: fmt.Sprintf("%d is not a number of bytes", s.ReserveBytes)}
	}
	if err := s.checkWords(); err != nil {
		return err
	}
	if err := s.Delivery.check(); err != nil {
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
			return &SpecError{Member: "interfaces", Text: "ALL already means every interface; name no other beside it"}
		case seen[name]:
			return &SpecError{Member: "interfaces", Text: fmt.Sprintf("interface %s is named twice", name)}
		}
		seen[name] = true
	}
	return nil
}

// checkWords checks the members whose value is one of a few words, or free text.
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
			return &SpecError{Member: w.member,
				Text: fmt.Sprintf("%q is not accepted; it is one of %s", w.value, strings.Join(w.accepted, ", "))}
		}
	}
	if err := checkProcess(s.Process); err != nil {
		return err
	}
	if _, err := tuples.Parse(s.Filters); err != nil {
		return filtersError(err)
	}
	for member, text := range map[string]string{"comment": s.Comment, "caseNumber": s.CaseNumber} {
		if len(text) > maxText || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
			return &SpecError{Member: member, Text: fmt.Sprintf("it is one line of text of at most %d bytes", maxText)}
		}
	}
	return nil
}

// filtersError converts an error of package tuples.
func filtersError(err error) *SpecError {
	e := &SpecError{Member: "filters", Text: err.Error()}
	var wrong *tuples.Error
	if errors.As(err, &wrong) {
		e.Hint = wrong.Try
	}
	return e
}

// MaxProcessName is the length in bytes that the name of a process may have.
const MaxProcessName = 62

// maxPID is the largest number of a process (PID_MAX_LIMIT).
const maxPID = 4 << 20

// ProcessNumber returns the number of a process that Options.Process names, and reports whether that
// is a number.
func ProcessNumber(process string) (pid uint32, ok bool) {
	if process == "" || strings.Trim(process, "0123456789") != "" {
		return 0, false
	}
	n, _ := strconv.ParseUint(process, 10, 32) // too large is refused by Check
	return uint32(n), true
}

// checkProcess checks the number or the name of a process.
func checkProcess(process string) error {
	pid, isNumber := ProcessNumber(process)
	_, negative := ProcessNumber(strings.TrimPrefix(process, "-"))
	switch {
	case negative && !isNumber, isNumber && (pid == 0 || pid > maxPID):
		return &SpecError{Member: "process", Text: fmt.Sprintf("%s is not the number of a process", process)}
	case len(process) > MaxProcessName:
		return &SpecError{Member: "process",
			Text: fmt.Sprintf("the name of a process has at most %d bytes", MaxProcessName)}
	case strings.ContainsFunc(process, func(r rune) bool { return r == '/' || r == 0 }):
		return &SpecError{Member: "process", Text: "it is the name of a process, without folders, or a number"}
	}
	return nil
}

// checkMode checks the members that belong to one mode only.
func (s Spec) checkMode() error {
	r := s.Rotation
	switch {
	case s.Mode != Ring && r != (Rotation{}):
		return &SpecError{Member: "mode",
			Text: "a size, a time or a number of files for rotation needs the mode ring"}
	case s.Mode == Circular && s.Limits.SizeBytes == Unlimited:
		return &SpecError{Member: "sizeBytes", Text: "a circular capture needs a size: that much is kept"}
	case s.Mode == Circular && s.Limits.SizeBytes < CircularParts*minFileBytes:
		return &SpecError{Member: "sizeBytes",
			Text: fmt.Sprintf("a circular capture needs at least %d MB", CircularParts*minFileBytes>>20)}
	case s.Mode == Ring && r.FileBytes == 0 && r.FileSeconds == 0:
		return &SpecError{Member: "fileBytes", Text: "a ring of files needs the size of a file, or the time for one"}
	case r.FileBytes < 0 || r.FileBytes > 0 && r.FileBytes < minFileBytes:
		return &SpecError{Member: "fileBytes",
			Text: fmt.Sprintf("%d is not a size for the files of a ring; it is at least %d bytes",
				r.FileBytes, minFileBytes)}
	case r.FileSeconds < 0 || r.FileSeconds > maxDurationSeconds:
		return &SpecError{Member: "fileSeconds",
			Text: fmt.Sprintf("%d is not a time for one file; it is a number of seconds", r.FileSeconds)}
	case r.KeepFiles < 0 || r.KeepFiles == 1 || r.KeepFiles > maxFiles:
		return &SpecError{Member: "keepFiles",
			Text: fmt.Sprintf("%d is not a number of files to keep; it is 2 to %d", r.KeepFiles, maxFiles)}
	case s.Limits.Files > 0 && !s.Rotates():
		return &SpecError{Member: "files", Text: "the number of files is a limit in the modes ring and circular only"}
	}
	return nil
}

// checkMachine checks what the capture asks of the machine: memory for its rings, and CPUs.
func (s Spec) checkMachine() error {
	switch {
	case s.RingBytes != 0 && (s.RingBytes < MinRingBytes || s.RingBytes > MaxRingBytes):
		return &SpecError{Member: "ringBytes",
			Text: fmt.Sprintf("%d is not a size for the ring; it is %d to %d bytes", s.RingBytes,
				MinRingBytes, MaxRingBytes)}
	case s.Rings < 0 || s.Rings > maxRings:
		return &SpecError{Member: "rings",
			Text: fmt.Sprintf("%d is not a number of rings; it is 1 to %d", s.Rings, maxRings)}
	}
	for _, cpu := range s.CPUs {
		if cpu < 0 || cpu > maxCPU {
			return &SpecError{Member: "cpus", Text: fmt.Sprintf("%d is not the number of a CPU", cpu)}
		}
	}
	return nil
}

const (
	// MinRingBytes and MaxRingBytes limit the bytes of all rings of one capture together.
	MinRingBytes = 2 << 20
	MaxRingBytes = 4 << 30

	maxRings = 64
	maxCPU   = 1023
	maxFiles = 10000
	maxText  = 1000
)

// maxDurationSeconds is ten years, far below what a time.Duration can hold.
const maxDurationSeconds = 10 * 366 * 24 * 3600
