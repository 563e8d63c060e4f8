package captures

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"diagsh/capture"
	"diagsh/diag/system"
	"diagsh/internal/menu"
)

// Options are the parameters of a capture that its start and the settings have in common, beside those that the settings ask for.
type Options struct {
	SnapLength  *int           `arg:"snaplen" min:"0" max:"262144" help:"Bytes kept of each packet; 0 keeps all."`
	Headers     *bool          `arg:"headersonly" help:"Keep only the headers of packets, whatever their length."`
	Direction   string         `arg:"direction" choices:"in|out|both" help:"Which way packets must go, seen from this machine."`
	Promiscuous *bool          `arg:"promiscuous" help:"Capture packets that are addressed to other machines too."`
	Gone        string         `arg:"gone" choices:"end|wait" help:"What to do when a named interface is removed: end, or wait for it."`
	Format      string         `arg:"format" choices:"pcap|pcapng" help:"File format; pcap for one interface, pcapng for several, if not given."`
	Precision   string         `arg:"precision" choices:"nanosecond|microsecond" help:"Unit of the time stamps in files."`
	Mode        string         `arg:"mode" choices:"single|circular|ring|append" help:"One file; the last of it in ten parts; file after file; or go on in the last file of the capture named."`
	Files       *int64         `arg:"files,unlimited" min:"1" help:"Ends after so many files."`
	FileSize    *menu.Size     `arg:"filesize" unit:"MB" min:"1048576" help:"A ring begins its next file at this size."`
	FileTime    *time.Duration `arg:"filetime" min:"1" max:"31536000" help:"A ring begins its next file after this time."`
	KeepFiles   *int64         `arg:"keepfiles" min:"2" max:"10000" help:"How many files of a ring are kept; the oldest goes. All, if not given."`
	Persistent  *bool          `arg:"persistent" help:"Go on, in a new file, when the appliance starts again."`
	Keep        *bool          `arg:"keep" help:"Never delete the files to make room, or because they are old."`
	Ring        *menu.Size     `arg:"ring" unit:"MB" min:"2097152" help:"Memory for packets that wait to be read; chosen from what is free, if not given."`
	Rings       *int           `arg:"rings" min:"1" max:"64" help:"Over how many rings an interface is spread, when one CPU cannot fill or read it."`
	CPUs        []string       `arg:"cpus" help:"Numbers of the CPUs that the capture may run on, separated by commas; all, if not given."`
	Comment     *string        `arg:"comment" help:"A line of text for the file, which is pcapng then."`
	Case        *string        `arg:"case" help:"A case number for the file, which is pcapng then."`
}

// Check looks at one parameter.
func (o Options) Check(name string) error {
	switch name {
	case "cpus":
		return o.checkCPUs()
	case "comment", "case":
		given, what := o.Comment, "comment"
		if name == "case" {
			given, what = o.Case, "case number"
		}
		if o.Format == "pcap" && *given != "" {
			return menu.BadArgument(name, "A pcap file has no place for a %s", what).WithHint("Leave format out, or write format pcapng")
		}
	}
	return nil
}

// checkCPUs says which CPU the appliance may not run on.
func (o Options) checkCPUs() error {
	list, err := o.cpus()
	if err != nil {
		return err
	}
	usable, err := system.CPUs()
	if err != nil {
		return err
	}
	for _, n := range list {
		if !slices.Contains(usable, n) {
			return menu.BadArgument("cpus", "There is no CPU %d for the appliance", n).WithHint("It may use %s", strings.Trim(strings.ReplaceAll(fmt.Sprint(usable), " ", ","), "[]"))
		}
	}
	return nil
}

func (o Options) cpus() ([]int, error) {
	var list []int
	for _, text := range o.CPUs {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return nil, menu.BadArgument("cpus", "%q is not the number of a CPU", text).WithHint("CPUs are counted from 0")
		}
		list = append(list, n)
	}
	return list, nil
}

// Request puts the options into a request.
func (o Options) Request(r *capture.Request) {
	r.SnapLength, r.HeadersOnly, r.Direction, r.Promiscuous = o.SnapLength, o.Headers, capture.Traffic(o.Direction), o.Promiscuous
	r.OnInterfaceGone, r.Format, r.Precision, r.Mode = capture.OnGone(o.Gone), capture.Format(o.Format), capture.Precision(o.Precision), capture.Mode(o.Mode)
	r.Persistent, r.Keep, r.Comment, r.CaseNumber = o.Persistent, o.Keep, o.Comment, o.Case
	o.numbers(&r.Limits, &r.Rotation, &r.RingBytes, &r.Rings)
	r.CPUs, _ = o.cpus()
}

// Apply puts the options into the settings. A mode takes away what belongs to another.
func (o Options) Apply(s *capture.Settings) {
	set(&s.SnapLength, o.SnapLength)
	set(&s.HeadersOnly, o.Headers)
	set(&s.Persistent, o.Persistent)
	set(&s.Keep, o.Keep)
	set(&s.Comment, o.Comment)
	set(&s.CaseNumber, o.Case)
	if o.Promiscuous != nil {
		s.NotPromiscuous = !*o.Promiscuous
	}
	for _, w := range []struct {
		to    *string
		value string
	}{
		{(*string)(&s.Direction), o.Direction}, {(*string)(&s.OnInterfaceGone), o.Gone}, {(*string)(&s.Format), o.Format},
		{(*string)(&s.Precision), o.Precision}, {(*string)(&s.Mode), o.Mode},
	} {
		if w.value != "" {
			*w.to = w.value
		}
	}
	if o.Mode != "" && s.Mode != capture.Ring {
		s.Rotation = capture.Rotation{}
		if s.Mode != capture.Circular {
			s.Limits.Files = 0
		}
	}
	o.numbers(&s.Limits, &s.Rotation, &s.RingBytes, &s.Rings)
	if s.Rotation != (capture.Rotation{}) && o.Mode == "" {
		s.Mode = capture.Ring
	}
	if len(o.CPUs) > 0 {
		s.CPUs, _ = o.cpus()
	}
}

func (o Options) numbers(l *capture.Limits, r *capture.Rotation, ring *int64, rings *int) {
	set(&l.Files, o.Files)
	set((*menu.Size)(&r.FileBytes), o.FileSize)
	if o.FileTime != nil {
		r.FileSeconds = Seconds(*o.FileTime)
	}
	set(&r.KeepFiles, o.KeepFiles)
	set((*menu.Size)(ring), o.Ring)
	set(rings, o.Rings)
}

func set[T any](to *T, value *T) {
	if value != nil {
		*to = *value
	}
}

// Seconds of a duration, a begun one counted whole; unlimited stays unlimited.
func Seconds(d time.Duration) int64 {
	if d == menu.Unlimited {
		return capture.Unlimited
	}
	return int64((d + time.Second - 1) / time.Second)
}
